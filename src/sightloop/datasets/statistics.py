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

N_COLUMNS = 24
"""How many values of a field stand side by side with every class."""

N_TABLES = 12
"""How many slice fields get such a table."""

N_SIZES = 20

SHAPES = ("tall", "upright", "square", "wide", "very wide")
SHAPE_EDGES = (0.5, 0.9, 1.1, 2.0)
"""Where each but the first begins, as width over height."""


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


class ClassTable(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes of every class, by the values of one field: what a slice has too few of."""

    field: str
    """`split`, `box size`, or the name of a slice field."""
    values: list[str]
    """The most frequent ones, at most `N_COLUMNS`."""
    boxes: list[list[int]]
    """One list per class of the taxonomy, one number per value."""


class SourceAmount(NamedTuple):
    """Boxes from one source, by whether somebody vouches for them."""

    source: str
    verified: int
    proposed: int


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
    class_tables: list[ClassTable]
    """By split, by box size, then by slice field."""
    image_sizes: list[Amount]
    """The most frequent first, at most `N_SIZES`; named `640 x 480`, in px."""
    shapes: list[Amount]
    """Images by width over height; see `SHAPES`."""
    sources: list[SourceAmount]
    """Where the boxes come from, most first."""


def count_all(index: Index, taxonomy: Taxonomy, *, with_tables: bool = True) -> Statistics:
    """Everything that is worth counting; the tables take as long as all the rest."""
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
        class_tables=_class_tables(index, taxonomy) if with_tables else [],
        image_sizes=_image_sizes(index),
        shapes=_shapes(index),
        sources=_sources(index),
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


def _class_tables(index: Index, taxonomy: Taxonomy) -> list[ClassTable]:
    classes = [one.id for one in taxonomy.classes]
    sizes = size_codes(index.areas_px2)
    tables = [
        _class_table(index, classes, "split", SPLITS, index.splits[index.boxes.rows]),
        _class_table(index, classes, "box size", SIZES, sizes),
    ]
    fields: dict[str, list[int]] = {}
    in_use = np.bincount(index.strata.codes, minlength=len(index.strata.words))
    for word, code in sorted((word, code) for code, word in enumerate(index.strata.words)):
        if in_use[code]:  # a changed index still knows words of samples that are gone
            fields.setdefault(word.partition("=")[0], []).append(code)
    for field in sorted(fields)[:N_TABLES]:
        words = [index.strata.words[code].partition("=")[2] for code in fields[field]]
        places = np.full(len(index.strata.words) + 1, len(words), np.int64)
        places[fields[field]] = np.arange(len(words))
        value_of = np.full(index.n, len(words), np.int64)  # the last: samples without the field
        mine = places[index.strata.codes] < len(words)
        value_of[index.strata.rows[mine]] = places[index.strata.codes[mine]]
        tables.append(_class_table(index, classes, field, words, value_of[index.boxes.rows]))
    return tables


def _class_table(
    index: Index, classes: Sequence[ClassId], field: str, values: Sequence[str], codes: Numbers
) -> ClassTable:
    """`codes` says for each box which value it has; codes beyond the values are left out."""
    n_values, n_words = len(values), len(index.boxes.words)
    known = codes < n_values
    cells = index.boxes.codes[known].astype(np.int64) * n_values + codes[known]
    counts = np.bincount(cells, minlength=n_words * n_values).reshape(n_words, n_values)
    per_value = counts.sum(axis=0)
    shown = np.argsort(-per_value, kind="stable")[:N_COLUMNS]
    shown = np.sort(shown[per_value[shown] > 0])
    rows = {word: counts[code, shown].tolist() for code, word in enumerate(index.boxes.words)}
    return ClassTable(
        field=field,
        values=[values[code] for code in shown],
        boxes=[rows.get(one, [0] * len(shown)) for one in classes],
    )


def _image_sizes(index: Index) -> list[Amount]:
    both = index.widths_px.astype(np.uint64) << np.uint64(32) | index.heights_px
    sizes, codes = np.unique(both, return_inverse=True)
    names = [f"{int(one) >> 32} x {int(one) & 0xFFFFFFFF}" for one in sizes]
    return _most(_amounts(names, codes, index.boxes_per_sample))[:N_SIZES]


def _shapes(index: Index) -> list[Amount]:
    ratios = index.widths_px / np.maximum(index.heights_px, 1)
    return _amounts(SHAPES, np.digitize(ratios, SHAPE_EDGES), index.boxes_per_sample)


def _sources(index: Index) -> list[SourceAmount]:
    words = index.sources.words
    counts = np.bincount(
        index.sources.codes.astype(np.int64) * 2 + index.proposed, minlength=2 * len(words)
    ).reshape(-1, 2)
    found = [
        SourceAmount(word, *counts[code].tolist())
        for code, word in enumerate(words)
        if counts[code].any()
    ]
    return sorted(found, key=lambda one: (-one.verified - one.proposed, one.source))[:N_VALUES]
