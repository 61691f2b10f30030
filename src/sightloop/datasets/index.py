"""The index of a commit: samples and boxes as columns, so that any filter is a few array passes.

It holds nothing that the commit does not say, is made from the rows (or from the index of another
commit and the rows that differ), and can be thrown away at any time. 100,000 samples with 300,000
boxes take 15 MB, in memory and as a file. Pure.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sightloop.datasets.diff import NO_SPLIT
from sightloop.datasets.geometry import SizePx, area_of
from sightloop.datasets.keys import key_at, row_after, sample_key, sample_of_key
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.values import ClassId, Sample, SampleId
from sightloop.kernel.digests import Digest

Mask = NDArray[np.bool_]
Numbers = NDArray[Any]
BoxSize = Literal["small", "medium", "large"]

SPLITS: Sequence[str] = ("train", "val", "test", "audit", NO_SPLIT)
NO_LANE = "none"
LANES: Sequence[str] = (NO_LANE, "audit", "uncertain", "novel", "drift", "operator")
SIZES: Sequence[BoxSize] = ("small", "medium", "large")
SIZE_EDGES_PX2 = (32.0**2, 96.0**2)
"""Where small ends and where large begins. Source: the COCO evaluation's area ranges."""

SIDE_EDGES_PX = (0, 8, 16, 32, 64, 96, 128, 256, 512)
"""Where the bins of the box sizes begin, as the side of a square of that area."""

BOXES_EDGES = (0, 1, 2, 3, 4, 5, 10, 20, 50)
"""Where the bins of boxes per image begin."""

FORMAT = "sightloop.index/2"
_DIGEST_BYTES = 32
_MAX_CELLS = 1 << 24


class SampleFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which samples are meant: those to which everything that is given applies."""

    class_id: ClassId | None = None
    """A box of this class is on it; with `size`, a box of this class and size."""
    size: BoxSize | None = None
    strata: Sequence[str] = ()
    """`field=value`; all of them."""
    split: str | None = None
    lane: str | None = None
    tag: str | None = None
    without_boxes: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether every sample fits."""
        return self == SampleFilter()


class Words(NamedTuple):
    """Which of some words stand on which samples: pairs of row and code, in no order."""

    words: Sequence[str]
    rows: Numbers
    codes: Numbers

    def on(self, word: str, n: int) -> Mask:
        """The samples (of `n`) on which the word stands."""
        mask = np.zeros(n, bool)
        if word in self.words:
            mask[self.rows[self.codes == self.words.index(word)]] = True
        return mask

    def samples_per_word(self, n: int) -> Numbers:
        """On how many of `n` samples each word stands, once or more.

        Ticks them off in a table of words by samples, some words at a time: for 300,000 pairs
        that takes 10 ms where sorting them takes 90.
        """
        found = np.zeros(len(self.words), np.int64)
        at_once = max(_MAX_CELLS // max(n, 1), 1)
        for start in range(0, len(self.words), at_once):
            end = min(start + at_once, len(self.words))
            mine = (self.codes >= start) & (self.codes < end)
            seen = np.zeros((end - start, n), bool)
            seen[self.codes[mine] - start, self.rows[mine]] = True
            found[start:end] = seen.sum(axis=1)
        return found


class ClassShare(NamedTuple):
    """How many boxes of a class there are, and on how many images."""

    boxes: int
    images: int


@dataclass(frozen=True)
class Index:
    """The columns of one commit, in order of the sample ids."""

    commit: Digest
    ids: bytes
    """16 bytes per sample."""
    splits: Numbers
    """uint8, positions in `SPLITS`."""
    lanes: Numbers
    """uint8, positions in `LANES`."""
    widths_px: Numbers
    """uint32."""
    heights_px: Numbers
    """uint32."""
    strata: Words
    tags: Words
    boxes: Words
    """The words are class ids; one pair per box."""
    sources: Words
    """`import`, `human` or `model@version`; one pair per box, in the order of `boxes`."""
    areas_px2: Numbers
    """float64, one per box."""
    proposed: Numbers
    """bool, one per box: no person or file vouches for it yet."""

    @property
    def n(self) -> int:
        """How many samples."""
        return len(self.splits)

    @cached_property
    def boxes_per_sample(self) -> Numbers:
        """int64, one per sample."""
        return np.bincount(self.boxes.rows, minlength=self.n)

    @cached_property
    def class_shares(self) -> dict[ClassId, ClassShare]:
        """Of every class that has a box."""
        boxes = np.bincount(self.boxes.codes, minlength=len(self.boxes.words))
        images = self.boxes.samples_per_word(self.n)
        return {
            ClassId(word): ClassShare(int(boxes[code]), int(images[code]))
            for code, word in enumerate(self.boxes.words)
            if boxes[code]
        }

    def matching(self, wanted: SampleFilter) -> Mask:
        """Which samples fit the filter; a word that the index does not know fits none."""
        mask = np.ones(self.n, bool)
        if wanted.split is not None:
            mask &= self.splits == _position(SPLITS, wanted.split)
        if wanted.lane is not None:
            mask &= self.lanes == _position(LANES, wanted.lane)
        for stratum in wanted.strata:
            mask &= self.strata.on(stratum, self.n)
        if wanted.tag is not None:
            mask &= self.tags.on(wanted.tag, self.n)
        if wanted.class_id is not None or wanted.size is not None:
            mask &= self._has_box(wanted)
        if wanted.without_boxes:
            mask &= self.boxes_per_sample == 0
        return mask

    def row_after(self, sample: SampleId) -> int:
        """The first row whose id comes after this one."""
        return row_after(self.ids, sample)

    def ids_of(self, rows: Iterable[int]) -> list[SampleId]:
        """The samples in these rows."""
        return [sample_of_key(key_at(self.ids, int(row))) for row in rows]

    def _has_box(self, wanted: SampleFilter) -> Mask:
        fits = np.ones(len(self.areas_px2), bool)
        if wanted.class_id is not None:
            fits &= self.boxes.codes == _position(self.boxes.words, wanted.class_id)
        if wanted.size is not None:
            fits &= size_codes(self.areas_px2) == SIZES.index(wanted.size)
        mask = np.zeros(self.n, bool)
        mask[self.boxes.rows[fits]] = True
        return mask


def size_codes(areas_px2: Numbers) -> Numbers:
    """Positions in `SIZES`."""
    return np.digitize(areas_px2, SIZE_EDGES_PX2)


def size_of(area_px2: float) -> BoxSize:
    """Whether a box counts as small, medium or large.

    >>> size_of(1023.9), size_of(1024), size_of(9216)
    ('small', 'medium', 'large')
    """
    return SIZES[sum(area_px2 >= edge for edge in SIZE_EDGES_PX2)]


def build_index(commit: Digest, samples: Iterable[Sample], rule: SplitRule) -> Index:
    """The index of these samples, which come in order of their ids."""
    draft = _Draft()
    for row, sample in enumerate(samples):
        draft.add(row, sample, rule)
    return draft.finished(commit)


def changed_index(
    old: Index,
    commit: Digest,
    *,
    gone: Iterable[SampleId],
    written: Sequence[Sample],
    rule: SplitRule,
) -> Index:
    """The old index without `gone` and with `written`, which replace samples of the same id.

    The split rule must be that of the old commit, whose samples keep their place.
    """
    part = build_index(commit, written, rule)
    dropped = {sample_key(one) for one in gone} | {sample_key(one.id) for one in written}
    keep = np.fromiter((key_at(old.ids, row) not in dropped for row in range(old.n)), bool, old.n)
    keys = np.concatenate([_as_keys(old.ids)[keep], _as_keys(part.ids)])
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    moves = np.full(old.n, -1, np.int64)
    moves[keep] = places[: int(keep.sum())]
    added = places[int(keep.sum()) :]
    lasting = moves[old.boxes.rows] >= 0
    return Index(
        commit=commit,
        ids=keys[order].astype(">u8").tobytes(),  # joining made them native
        splits=np.concatenate([old.splits[keep], part.splits])[order],
        lanes=np.concatenate([old.lanes[keep], part.lanes])[order],
        widths_px=np.concatenate([old.widths_px[keep], part.widths_px])[order],
        heights_px=np.concatenate([old.heights_px[keep], part.heights_px])[order],
        strata=_joined(old.strata, part.strata, moves, added),
        tags=_joined(old.tags, part.tags, moves, added),
        boxes=_joined(old.boxes, part.boxes, moves, added),
        sources=_joined(old.sources, part.sources, moves, added),
        areas_px2=np.concatenate([old.areas_px2[lasting], part.areas_px2]),
        proposed=np.concatenate([old.proposed[lasting], part.proposed]),
    )


def encode_index(index: Index) -> bytes:
    """The index as a file: a digest, a header in JSON, and the columns one after another."""
    columns = _columns(index)
    header = _Header(
        format=FORMAT,
        commit=index.commit,
        words={name: list(getattr(index, name).words) for name in _WORDS},
        columns=[(name, column.dtype.str, len(column)) for name, column in columns],
        ids_bytes=len(index.ids),
    )
    head = msgspec.json.encode(header)
    parts = [len(head).to_bytes(8, "big"), head, index.ids]
    body = b"".join([*parts, *(np.ascontiguousarray(column).tobytes() for _, column in columns)])
    return hashlib.sha256(body).digest() + body


def decode_index(content: bytes, *, commit: Digest) -> Index | None:
    """The index of that commit in these bytes; None if they are anything else, or damaged."""
    digest, body = content[:_DIGEST_BYTES], memoryview(content)[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    end = 8 + int.from_bytes(body[:8], "big")
    try:
        header = msgspec.json.decode(body[8:end], type=_Header)
    except msgspec.MsgspecError:  # written by another version of Sightloop
        return None
    if (header.format, header.commit) != (FORMAT, commit):
        return None
    ids = bytes(body[end : end + header.ids_bytes])
    at, columns = end + header.ids_bytes, {}
    for name, dtype, length in header.columns:
        columns[name] = np.frombuffer(body, np.dtype(dtype), length, at)
        at += columns[name].nbytes
    words = {
        name: Words(header.words[name], columns[f"{name}.rows"], columns[f"{name}.codes"])
        for name in _WORDS
    }
    return Index(
        commit=commit,
        ids=ids,
        splits=columns["splits"],
        lanes=columns["lanes"],
        widths_px=columns["widths_px"],
        heights_px=columns["heights_px"],
        strata=words["strata"],
        tags=words["tags"],
        boxes=words["boxes"],
        sources=words["sources"],
        areas_px2=columns["areas_px2"],
        proposed=columns["proposed"],
    )


class _Header(msgspec.Struct, frozen=True):
    format: str
    commit: Digest
    words: dict[str, list[str]]
    columns: list[tuple[str, str, int]]
    ids_bytes: int


_WORDS = ("strata", "tags", "boxes", "sources")


class _Draft:
    """Columns that grow sample by sample."""

    def __init__(self) -> None:
        self._ids: list[bytes] = []
        self._splits, self._lanes = array("B"), array("B")
        self._widths_px, self._heights_px = array("I"), array("I")
        self._words = {name: _DraftWords() for name in _WORDS}
        self._areas_px2, self._proposed = array("d"), array("B")

    def add(self, row: int, sample: Sample, rule: SplitRule) -> None:
        self._ids.append(sample_key(sample.id))
        self._splits.append(SPLITS.index(split_of(sample, rule) or NO_SPLIT))
        self._lanes.append(LANES.index(sample.lane or NO_LANE))
        self._widths_px.append(sample.width_px)
        self._heights_px.append(sample.height_px)
        for field, value in sample.slices.items():
            self._words["strata"].add(row, f"{field}={value}")
        for tag in set(sample.tags):
            self._words["tags"].add(row, tag)
        boxes, sources = self._words["boxes"], self._words["sources"]
        size = SizePx(sample.width_px, sample.height_px)
        for one in sample.annotations:
            boxes.add(row, one.class_id)
            sources.add(row, one.source)
            self._areas_px2.append(area_of(one.geometry, size))
            self._proposed.append(one.state == "proposed")

    def finished(self, commit: Digest) -> Index:
        return Index(
            commit=commit,
            ids=b"".join(self._ids),
            splits=np.array(self._splits, np.uint8),
            lanes=np.array(self._lanes, np.uint8),
            widths_px=np.array(self._widths_px, np.uint32),
            heights_px=np.array(self._heights_px, np.uint32),
            areas_px2=np.array(self._areas_px2, np.float64),
            proposed=np.array(self._proposed, bool),
            strata=self._words["strata"].finished(),
            tags=self._words["tags"].finished(),
            boxes=self._words["boxes"].finished(),
            sources=self._words["sources"].finished(),
        )


class _DraftWords:
    def __init__(self) -> None:
        self._codes_of: dict[str, int] = {}
        self._rows, self._codes = array("I"), array("I")

    def add(self, row: int, word: str) -> None:
        self._rows.append(row)
        self._codes.append(self._codes_of.setdefault(word, len(self._codes_of)))

    def finished(self) -> Words:
        rows, codes = (np.array(one, np.uint32) for one in (self._rows, self._codes))
        return Words(list(self._codes_of), rows, codes)


def _joined(old: Words, new: Words, moves: Numbers, added: Numbers) -> Words:
    """Both, with rows and codes as they are after the change; `moves` is -1 for rows that go."""
    codes = {word: code for code, word in enumerate(old.words)}
    recoded = [codes.setdefault(word, len(codes)) for word in new.words]
    rows = moves[old.rows]
    lasting = rows >= 0
    return Words(
        list(codes),
        np.concatenate([rows[lasting], added[new.rows]]).astype(np.uint32),
        np.concatenate([old.codes[lasting], np.array(recoded, np.uint32)[new.codes]]),
    )


def _as_keys(ids: bytes) -> Numbers:
    return np.frombuffer(ids, ">u8").reshape(-1, 2)


def _position(words: Sequence[str], word: str) -> int:
    return words.index(word) if word in words else -1


def _columns(index: Index) -> list[tuple[str, Numbers]]:
    columns: list[tuple[str, Numbers]] = []
    for field in fields(index):
        value = getattr(index, field.name)
        if isinstance(value, Words):
            columns += [(f"{field.name}.rows", value.rows), (f"{field.name}.codes", value.codes)]
        elif isinstance(value, np.ndarray):
            columns.append((field.name, value))
    return columns
