"""What was erased for good: the digests stay, so that old commits still verify.

A tombstone stands where the bytes of an image or the content of a row were. Readers leave such
rows out, writers do not let them back in. It holds no file name and no slice: those may be what
had to be erased.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    LargeBinary,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from sightloop.datasets.keys import (
    ObjectKey,
    SampleKey,
    digest_of_key,
    object_key,
    sample_key,
    sample_of_key,
)
from sightloop.datasets.values import SampleId
from sightloop.kernel.clock import format_utc
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest

ErasedKind = Literal["image", "row"]

_PER_STATEMENT = 5_000

_tombstones = Table(
    "dataset_tombstones",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("sample", LargeBinary(16)),
    Column("erased_at_ms", BigInteger, nullable=False),
    Column("erased_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("is_finished", Boolean, nullable=False),
)


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """An image or a row that is gone for good."""

    digest: Digest
    kind: ErasedKind
    sample: SampleId | None
    """Of which sample the row was; None for an image, which several samples may have shown."""
    erased_at_ms: int
    erased_by: str
    reason: str
    is_finished: bool
    """False from the decision until the last byte is gone; a crash may come between."""

    @property
    def told(self) -> str:
        """When, by whom and why, for people."""
        day = format_utc(self.erased_at_ms)[:10]
        return f"erased on {day} by {self.erased_by} ({self.reason})"


def write_tombstones(tx: Tx, tombstones: Iterable[Tombstone]) -> None:
    """Put them up; one that stands already stays as it is."""
    rows = [
        {
            "digest": object_key(one.digest),
            "kind": one.kind,
            "sample": None if one.sample is None else sample_key(one.sample),
            "erased_at_ms": one.erased_at_ms,
            "erased_by": one.erased_by,
            "reason": one.reason,
            "is_finished": one.is_finished,
        }
        for one in tombstones
    ]
    if not rows:
        return
    if tx.dialect.name == "postgresql":
        tx.execute(postgresql.insert(_tombstones).on_conflict_do_nothing(), rows)
    else:
        tx.execute(insert(_tombstones).prefix_with("OR IGNORE"), rows)


def find_tombstones(tx: Tx, digests: Collection[Digest]) -> dict[Digest, Tombstone]:
    """Those of the digests that were erased. Costs one small query where nothing ever was."""
    found: dict[Digest, Tombstone] = {}
    if not has_tombstones(tx):
        return found
    for some in _chunks([object_key(one) for one in digests]):
        query = select(_tombstones).where(_tombstones.c.digest.in_(some))
        found.update((one.digest, one) for one in _read(tx, query))
    return found


def every_tombstone(tx: Tx) -> list[Tombstone]:
    """All of them: for a remote, which is told."""
    return list(_read(tx, select(_tombstones).order_by(_tombstones.c.digest)))


def erased_images(tx: Tx) -> dict[Digest, Tombstone]:
    """Every image that was erased: for importers, which must not bring one back."""
    query = select(_tombstones).where(_tombstones.c.kind == "image")
    return {one.digest: one for one in _read(tx, query)}


def erased_keys(tx: Tx, keys: Collection[ObjectKey]) -> set[ObjectKey]:
    """Those of the objects that were erased."""
    found: set[ObjectKey] = set()
    for some in _chunks(keys):
        query = select(_tombstones.c.digest).where(_tombstones.c.digest.in_(some))
        found.update(ObjectKey(key) for key in tx.scalars(query))
    return found


def has_tombstones(tx: Tx) -> bool:
    """Whether anything was ever erased here."""
    return tx.execute(select(_tombstones.c.kind).limit(1)).first() is not None


def count_tombstones(tx: Tx) -> int:
    """How many there are. None ever goes, so an equal number later means the same ones."""
    return int(tx.execute(select(func.count()).select_from(_tombstones)).scalar_one())


def unfinished_tombstones(tx: Tx) -> list[Tombstone]:
    """What was decided to go and may still be there, because a crash came between."""
    return list(_read(tx, select(_tombstones).where(~_tombstones.c.is_finished)))


def finish_tombstones(tx: Tx, digests: Collection[Digest]) -> None:
    """The last bytes of these are gone."""
    for some in _chunks([object_key(one) for one in digests]):
        gone = _tombstones.c.digest.in_(some)
        tx.execute(update(_tombstones).where(gone).values(is_finished=True))


def _read(tx: Tx, query: object) -> Iterator[Tombstone]:
    for row in tx.execute(query).mappings():  # type: ignore[call-overload]
        sample = row["sample"]
        yield Tombstone(
            digest=digest_of_key(ObjectKey(row["digest"])),
            kind=row["kind"],
            sample=None if sample is None else sample_of_key(SampleKey(sample)),
            erased_at_ms=row["erased_at_ms"],
            erased_by=row["erased_by"],
            reason=row["reason"],
            is_finished=row["is_finished"],
        )


def _chunks(keys: Collection[ObjectKey]) -> Iterator[list[ObjectKey]]:
    remaining = iter(keys)
    while chunk := list(islice(remaining, _PER_STATEMENT)):
        yield chunk
