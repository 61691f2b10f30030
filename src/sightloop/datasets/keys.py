"""Digests and sample ids as raw bytes: the form in which trees and tables hold them.

A digest as text takes 71 bytes, raw it takes 32; a data set of a million samples has millions of
them. Nothing but the trees and the store needs the raw form.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal, NewType

from sightloop.datasets.values import SampleId
from sightloop.kernel.digests import Digest

ObjectKey = NewType("ObjectKey", bytes)
"""The 32 bytes of an object's SHA-256."""

SampleKey = NewType("SampleKey", bytes)
"""The 16 bytes of a sample id."""

ObjectKind = Literal["row", "node", "taxonomy", "commit"]
"""What an object is."""

_PREFIX = "sha256:"
_SAMPLE_BYTES = 16


def object_key(digest: Digest) -> ObjectKey:
    """The digest's raw bytes.

    >>> object_key(digest_of_key(ObjectKey(bytes(32)))) == bytes(32)
    True
    """
    return ObjectKey(bytes.fromhex(digest[len(_PREFIX) :]))


def digest_of_key(key: ObjectKey) -> Digest:
    """The digest as everyone else writes it."""
    return Digest(_PREFIX + key.hex())


def sample_key(sample: SampleId) -> SampleKey:
    """The id's raw bytes."""
    return SampleKey(bytes.fromhex(sample))


def sample_of_key(key: SampleKey) -> SampleId:
    """The id as everyone else writes it."""
    return SampleId(key.hex())


def key_at(column: bytes, row: int) -> SampleKey:
    """The key in that row of a column of sample keys, one after another."""
    return SampleKey(column[row * _SAMPLE_BYTES : (row + 1) * _SAMPLE_BYTES])


def row_after(column: bytes, sample: SampleId) -> int:
    """The first row of an ascending column of sample keys that comes after the sample."""
    key, n = sample_key(sample), len(column) // _SAMPLE_BYTES
    return bisect_left(range(n), True, key=lambda row: key_at(column, row) > key)
