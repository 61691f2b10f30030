"""Packs and their indexes: which bytes of which pack are which blob. Pure.

A pack is a row of pieces, one after another, without anything between. In a pack of blobs each
piece is a blob; in one of metadata it is a compressed block with many objects. The index names
what is in which piece by the first 16 bytes of its SHA-256, enough for telling apart whatever was
not made to collide; what is read is checked against all 32. Specification: docs/formats/remote.md.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.datasets.remotes.key_columns import SHORT_BYTES, ShortKeys

MAX_GAP_BYTES = 64 << 10
"""Unwanted bytes that are read along rather than asking once more."""
MAX_SPAN_BYTES = 8 << 20
"""Most bytes asked for at once: bounds memory, and what a broken connection costs."""

_HEAD = struct.Struct(">4sII")
_MAGIC = b"SLX1"
_CHECKSUM_BYTES = 32
_KEY_TYPE = f"S{SHORT_BYTES}"

Numbers = NDArray[Any]


class Place(NamedTuple):
    """Bytes of a pack."""

    start: int
    length: int


class Piece(NamedTuple):
    """A wanted object, by its number among those wanted, and where it is."""

    wanted: int
    place: Place


class Span(NamedTuple):
    """A stretch of a pack that is read in one request, and the wanted pieces in it."""

    start: int
    length: int
    pieces: list[Piece]


class PackIndex:
    """The index of one pack, ready for looking up many keys at once."""

    def __init__(self, *, keys: ShortKeys, pieces: Numbers | None, lengths: Numbers) -> None:
        """`keys` name what is in the pieces of these numbers, or one after another in each."""
        self._order = np.argsort(keys).astype(np.uint32)
        self._keys = keys[self._order]
        self._pieces = pieces
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._lengths = lengths

    @property
    def n_entries(self) -> int:
        """How many objects the pack has."""
        return len(self._keys)

    @property
    def size_bytes(self) -> int:
        """How many bytes the pack must have."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def places_of_pieces(self) -> list[Place]:
        """Where every piece is, in order."""
        starts = (self._ends - self._lengths.astype(np.int64)).tolist()
        return [Place(*one) for one in zip(starts, self._lengths.tolist(), strict=True)]

    def has(self, keys: ShortKeys) -> NDArray[np.bool_]:
        """Which of the keys the pack holds."""
        if not len(self._keys):
            return np.zeros(len(keys), bool)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.asarray(self._keys[at] == keys)

    def places(self, keys: ShortKeys) -> list[Piece]:
        """Where those of the keys are that the pack holds, in order of their places."""
        here = np.flatnonzero(self.has(keys))
        at = np.searchsorted(self._keys, keys[here])
        entries = self._order[at]
        pieces = entries if self._pieces is None else self._pieces[entries]
        lengths = self._lengths[pieces]
        starts = self._ends[pieces] - lengths.astype(np.int64)
        found = zip(here.tolist(), starts.tolist(), lengths.tolist(), strict=True)
        return sorted(
            (Piece(wanted, Place(start, length)) for wanted, start, length in found),
            key=lambda piece: piece.place,
        )


def encode_index(entries: Sequence[tuple[bytes, int]], lengths: Sequence[int]) -> bytes:
    """An index's bytes.

    Args:
        entries: the 32-byte digest of each object and the number of its piece, in order of these.
        lengths: how many bytes each piece has.
    """
    parts = [
        _HEAD.pack(_MAGIC, len(lengths), len(entries)),
        np.array(lengths, ">u4").tobytes(),
        b"".join(digest[:SHORT_BYTES] for digest, _ in entries),
    ]
    if len(entries) != len(lengths):
        parts.append(np.array([piece for _, piece in entries], ">u4").tobytes())
    body = b"".join(parts)
    return body + hashlib.sha256(body).digest()


def decode_index(content: bytes) -> PackIndex | None:
    """The index in these bytes; None when they are damaged."""
    body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if len(body) < _HEAD.size or hashlib.sha256(body).digest() != checksum:
        return None
    magic, n_pieces, n_entries = _HEAD.unpack_from(body)
    has_numbers = n_entries != n_pieces
    size = _HEAD.size + 4 * n_pieces + (SHORT_BYTES + 4 * has_numbers) * n_entries
    if magic != _MAGIC or len(body) != size:
        return None
    at = _HEAD.size
    lengths = np.frombuffer(body, ">u4", n_pieces, at).astype(np.uint32)
    at += 4 * n_pieces
    keys = np.frombuffer(body, _KEY_TYPE, n_entries, at)
    at += SHORT_BYTES * n_entries
    pieces = np.frombuffer(body, ">u4", n_entries, at).astype(np.uint32) if has_numbers else None
    if pieces is not None and n_entries and pieces.max() >= n_pieces:
        return None
    return PackIndex(keys=keys, pieces=pieces, lengths=lengths)


def spans(
    pieces: Iterable[Piece],
    *,
    max_gap_bytes: int = MAX_GAP_BYTES,
    max_span_bytes: int = MAX_SPAN_BYTES,
) -> list[Span]:
    """The stretches to read: near pieces together, in order, none longer than the limit.

    A single piece may be longer. Pieces must come in order of their places; several wanted
    objects may lie in one.

    >>> [(one.start, one.length) for one in spans(
    ...     [Piece(0, Place(0, 10)), Piece(1, Place(12, 8)), Piece(2, Place(500, 5))],
    ...     max_gap_bytes=4)]
    [(0, 20), (500, 5)]
    """
    found: list[Span] = []
    for piece in pieces:
        start, length = piece.place
        if found:
            last = found[-1]
            is_near = start - (last.start + last.length) <= max_gap_bytes
            whole = max(start + length - last.start, last.length)
            if is_near and (whole <= max_span_bytes or whole == last.length):
                last.pieces.append(piece)
                found[-1] = Span(last.start, whole, last.pieces)
                continue
        found.append(Span(start, length, [piece]))
    return found
