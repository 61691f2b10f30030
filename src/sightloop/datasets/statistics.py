"""What a commit holds, counted: classes, sizes, splits, slices, lanes. Pure, from its index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from sightloop.datasets.index import (
    BOXES_EDGES,
    LANES,
    SIDE_EDGES_PX,
    SIZES,
    SPLITS,
    Index,
    Mask,
    Numbers,
    Words,
    size_codes,
)
from sightloop.datasets.values import ClassId, Taxonomy

N_VALUES = 200
"""How many values of a slice field, and how many tags, are listed: the most frequent."""


class Amount(NamedTuple):
    """Images with some property, and the boxes on them."""

    name: str
    images: int
    boxes: int


class ClassAmount(msgspec.Struct, frozen=True, kw_only=True):
    """A class: its boxes, and the images that have at least one of them."""

    class_id: ClassId
    name: str
    boxes: int
    images: int


class SliceField(msgspec.Struct, frozen=True, kw_only=True):
    """A field images differ in and its most frequent values."""

    field: str
    n_values: int
    values: list[Amount]


class Bin(NamedTuple):
    """How many fall into `low` <= x < `high` (None: no end)."""

    low: int
    high: int | None
    n: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """A commit, counted."""

    n_images: int
    n_boxes: int
    n_proposed: int
    """Boxes that nobody vouches for yet."""
    n_without_boxes: int
    """Images."""
    classes: list[ClassAmount]
    """All of the taxonomy, in its order."""
    splits: list[Amount]
    lanes: list[Amount]
    """`none` are images that no device kept."""
    slices: list[SliceField]
    tags: list[Amount]
    sizes: dict[str, int]
    """Boxes by COCO size: small below 32 x 32 px, large from 96 x 96 px."""
    box_sides_px: list[Bin]
    """Boxes by the side of a square of their area."""
    boxes_per_image: list[Bin]


def count_all(index: Index, taxonomy: Taxonomy) -> Statistics:
    """Everything that is worth counting."""
    per_sample = index.boxes_per_sample
    shares = index.class_shares
    sizes = np.bincount(size_codes(index.areas_px2), minlength=len(SIZES))
    return Statistics(
        n_images=index.n,
        n_boxes=len(index.areas_px2),
        n_proposed=int(index.proposed.sum()),
        n_without_boxes=int(np.count_nonzero(per_sample == 0)),
        classes=[
            ClassAmount(
                class_id=one.id,
                name=one.name,
                boxes=shares[one.id].boxes if one.id in shares else 0,
                images=shares[one.id].images if one.id in shares else 0,
            )
            for one in taxonomy.classes
        ],
        splits=_amounts(SPLITS, index.splits, per_sample),
        lanes=_amounts(LANES, index.lanes, per_sample),
        slices=_slices(index.strata, per_sample),
        tags=_most(_word_amounts(index.tags, per_sample)),
        sizes={name: int(count) for name, count in zip(SIZES, sizes, strict=True)},
        box_sides_px=_bins(np.sqrt(index.areas_px2), SIDE_EDGES_PX),
        boxes_per_image=_bins(per_sample, BOXES_EDGES),
    )


def n_true(mask: Mask) -> int:
    """How many samples a mask picks."""
    return int(np.count_nonzero(mask))


def _amounts(names: Sequence[str], codes: Numbers, per_sample: Numbers) -> list[Amount]:
    images = np.bincount(codes, minlength=len(names))
    boxes = np.bincount(codes, weights=per_sample, minlength=len(names))
    return [
        Amount(name, int(images[code]), int(boxes[code]))
        for code, name in enumerate(names)
        if images[code]
    ]


def _word_amounts(words: Words, per_sample: Numbers) -> list[Amount]:
    images = np.bincount(words.codes, minlength=len(words.words))
    boxes = np.bincount(words.codes, weights=per_sample[words.rows], minlength=len(words.words))
    return [
        Amount(word, int(images[code]), int(boxes[code]))
        for code, word in enumerate(words.words)
        if images[code]
    ]


def _slices(strata: Words, per_sample: Numbers) -> list[SliceField]:
    by_field: dict[str, list[Amount]] = {}
    for one in _word_amounts(strata, per_sample):
        field, _, value = one.name.partition("=")
        by_field.setdefault(field, []).append(one._replace(name=value))
    return [
        SliceField(field=field, n_values=len(values), values=_most(values))
        for field, values in sorted(by_field.items())
    ]


def _most(amounts: list[Amount]) -> list[Amount]:
    return sorted(amounts, key=lambda one: (-one.images, one.name))[:N_VALUES]


def _bins(values: Numbers, edges: Sequence[int]) -> list[Bin]:
    counts = np.bincount(np.digitize(values, edges[1:]), minlength=len(edges))
    ends = [*edges[1:], None]
    return [
        Bin(low, high, int(count)) for low, high, count in zip(edges, ends, counts, strict=True)
    ]
