"""In which order blobs go into packs, so that what is fetched together lies together. Pure.

By split, then by class, then by sample. An image with several classes stands with the rarest of
them: whoever fetches a rare class finds it in one stretch, and whoever fetches a common one reads
most of the pack anyway.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightloop.datasets.diff import NO_SPLIT
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.values import Sample

SPLITS = ("train", "val", "test", "audit", NO_SPLIT)
_PREFIX = "sha256:"


class Placing:
    """The images of samples that come in order of their ids. About 60 bytes per image."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._splits = array("B")
        self._class_codes: dict[str, int] = {}
        self._rows, self._codes = array("I"), array("I")

    def add(self, sample: Sample, rule: SplitRule) -> None:
        """Note where the sample's image belongs."""
        row = len(self._splits)
        self._digests += bytes.fromhex(sample.image.removeprefix(_PREFIX))
        self._splits.append(SPLITS.index(split_of(sample, rule) or NO_SPLIT))
        for class_id in {one.class_id for one in sample.annotations}:
            self._rows.append(row)
            self._codes.append(self._class_codes.setdefault(class_id, len(self._class_codes)))

    def order(self) -> KeyColumn:
        """The images' digests, each once, in the order in which they go into packs."""
        order = np.lexsort((self._rarest_classes(), np.frombuffer(self._splits, np.uint8)))
        return KeyColumn(self._digests).take(order).first_of_each()

    def _rarest_classes(self) -> NDArray[Any]:
        """Per image the rank of the rarest class on it: 0 for the rarest of all."""
        n_classes = len(self._class_codes)
        rows, codes = (np.frombuffer(one, np.uint32) for one in (self._rows, self._codes))
        counts = np.bincount(codes, minlength=n_classes)
        # Between equally frequent classes the name decides, so that a repeated push makes the
        # same packs whatever came first.
        by_name = np.empty(n_classes, np.int64)
        by_name[[self._class_codes[name] for name in sorted(self._class_codes)]] = range(n_classes)
        ranks = np.empty(n_classes, np.int64)
        ranks[np.lexsort((by_name, counts))] = range(n_classes)
        rarest = np.full(len(self._splits), n_classes, np.int64)
        np.minimum.at(rarest, rows, ranks[codes])
        return rarest
