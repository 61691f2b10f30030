"""What curation looks at, as columns: images, splits, sizes, and every box of a commit. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightloop.datasets.geometry import WholeImage
from sightloop.datasets.index import SPLITS
from sightloop.datasets.keys import ObjectKey, key_at, object_key, sample_key, sample_of_key
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import AttributeValue, ClassId, Sample, SampleId

Numbers = NDArray[Any]

ACCEPTED = "not-a-leak"
"""The tag of a sample of which a person said that it stays in its split, whatever it resembles."""

QUARANTINED = SPLITS.index("quarantined")
SCORES = ("score", "confidence")
"""Attributes in which a proposal may say how sure its model was."""

_NOWHERE = (math.nan,) * 4
_KEY_BYTES = 32


@dataclass(frozen=True)
class Columns:
    """Samples in order of their ids, and their annotations in the order of their rows."""

    ids: bytes
    """16 bytes per sample."""
    images: bytes
    """32 bytes per sample."""
    splits: Numbers
    """uint8, positions in `index.SPLITS`."""
    accepted: Numbers
    """bool: tagged `ACCEPTED`."""
    sizes_px: Numbers
    """(n, 2) int32, width and height."""
    class_ids: Sequence[ClassId]
    labelled: Numbers
    """(k, 2) int32: sample and class, for every class a sample is labelled for."""
    samples: Numbers
    """(m,) int32: on which sample each annotation is, ascending."""
    classes: Numbers
    """(m,) int32, positions in `class_ids`."""
    corners_px: Numbers
    """(m, 4) float64: x1, y1, x2, y2 of the bounding box; NaN for a class of the whole image."""
    vouched: Numbers
    """(m,) bool: a person or a file vouches for it; the others are a model's proposals."""
    scores: Numbers
    """(m,) float64: how sure the model was; NaN if it does not say."""

    @property
    def n(self) -> int:
        """How many samples."""
        return len(self.splits)

    @cached_property
    def starts(self) -> Numbers:
        """(n + 1,) the first annotation of each sample, and the end."""
        return np.searchsorted(self.samples, np.arange(self.n + 1))

    @cached_property
    def image_codes(self) -> Numbers:
        """(n,) a number per sample that is equal where the images are."""
        codes: dict[ObjectKey, int] = {}
        numbers = (codes.setdefault(key, len(codes)) for key in self.image_keys())
        return np.fromiter(numbers, np.int64, self.n)

    def image_keys(self) -> list[ObjectKey]:
        """The image of each sample."""
        at = range(0, len(self.images), _KEY_BYTES)
        return [ObjectKey(self.images[start : start + _KEY_BYTES]) for start in at]

    def ids_of(self, rows: Iterable[int]) -> list[SampleId]:
        """The samples in these rows."""
        return [sample_of_key(key_at(self.ids, int(row))) for row in rows]


def columns_from(samples: Iterable[Sample], rule: SplitRule) -> Columns:
    """The columns of these samples, which come in order of their ids."""
    draft = _Draft()
    for row, sample in enumerate(samples):
        draft.add(row, sample, rule)
    return draft.finished()


class _Draft:
    """Columns that grow sample by sample."""

    def __init__(self) -> None:
        self._ids: list[bytes] = []
        self._images: list[bytes] = []
        self._splits, self._accepted, self._vouched = array("B"), array("B"), array("B")
        self._sizes, self._labelled = array("i"), array("i")
        self._samples, self._classes = array("i"), array("i")
        self._corners, self._scores = array("d"), array("d")
        self._codes: dict[ClassId, int] = {}

    def add(self, row: int, sample: Sample, rule: SplitRule) -> None:
        self._ids.append(sample_key(sample.id))
        self._images.append(object_key(sample.image))
        split = split_of(sample, rule)
        self._splits.append(QUARANTINED if split is None else SPLITS.index(split))
        self._accepted.append(ACCEPTED in sample.tags)
        self._sizes.extend((sample.width_px, sample.height_px))
        for class_id in sample.labelled_for:
            self._labelled.extend((row, self._code(class_id)))
        for one in sample.annotations:
            place = one.geometry
            self._samples.append(row)
            self._classes.append(self._code(one.class_id))
            self._corners.extend(
                _NOWHERE
                if isinstance(place, WholeImage)
                else (place.x1, place.y1, place.x2, place.y2)
            )
            self._vouched.append(is_true(one))
            self._scores.append(math.nan if is_true(one) else score_of(one.attributes))

    def finished(self) -> Columns:
        return Columns(
            ids=b"".join(self._ids),
            images=b"".join(self._images),
            splits=np.array(self._splits, np.uint8),
            accepted=np.array(self._accepted, bool),
            sizes_px=np.array(self._sizes, np.int32).reshape(-1, 2),
            class_ids=list(self._codes),
            labelled=np.array(self._labelled, np.int32).reshape(-1, 2),
            samples=np.array(self._samples, np.int32),
            classes=np.array(self._classes, np.int32),
            corners_px=np.array(self._corners, np.float64).reshape(-1, 4),
            vouched=np.array(self._vouched, bool),
            scores=np.array(self._scores, np.float64),
        )

    def _code(self, class_id: ClassId) -> int:
        return self._codes.setdefault(class_id, len(self._codes))


def score_of(attributes: dict[str, AttributeValue]) -> float:
    """How sure the model was, in [0, 1]; NaN if it does not say."""
    for name in SCORES:
        value = attributes.get(name)
        if isinstance(value, int | float) and 0 <= value <= 1:
            return float(value)
    return math.nan
