"""What a commit says: its root, its classes, its split rule, where it came from.

Specification: docs/formats/commit.md.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sightloop.contracts.decode import decode, encode
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.values import Taxonomy
from sightloop.kernel.digests import Digest, digest_of

FORMAT: Literal["sightloop.commit/1"] = "sightloop.commit/1"


class StoredCommit(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a commit as it is hashed: the taxonomy stands in an object of its own."""

    format: Literal["sightloop.commit/1"] = FORMAT
    root: Digest
    n_samples: int
    taxonomy: Digest
    split_rule: SplitRule
    parents: list[Digest]
    actor: str
    message: str
    committed_at_ms: int


class CommitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a data set.

    Equal samples give equal roots, whoever committed them when; the commit's own digest also
    covers its history.
    """

    format: Literal["sightloop.commit/1"] = FORMAT
    root: Digest
    n_samples: int
    taxonomy: Taxonomy
    split_rule: SplitRule
    parents: list[Digest]
    actor: str
    message: str
    committed_at_ms: int


def encode_commit(record: CommitRecord) -> bytes:
    """The bytes whose digest names the commit."""
    taxonomy = digest_of(encode(record.taxonomy))
    return encode(StoredCommit(**{**_fields(record), "taxonomy": taxonomy}))


def decode_commit(content: bytes, *, what: str) -> StoredCommit:
    """The record in these bytes.

    Raises:
        WrongFormat: a later Sightloop wrote it.
    """
    return decode(content, StoredCommit, what=what)


def with_taxonomy(stored: StoredCommit, taxonomy: Taxonomy) -> CommitRecord:
    """The record with its classes at hand."""
    return CommitRecord(**{**_fields(stored), "taxonomy": taxonomy})


def _fields(record: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(record)
