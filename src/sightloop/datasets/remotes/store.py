"""What this workspace knows of remotes: their addresses, and the images it left there.

A **promised** blob is one that a row here names, that is not in the blob store, and that a remote
has: it was left out of a partial pull, or its pull has not come that far.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql

from sightloop.datasets.keys import ObjectKey, object_key
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest

_PER_STATEMENT = 5_000

_remotes = Table(
    "dataset_remotes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("added_at_ms", BigInteger, nullable=False),
)
_promised = Table(
    "dataset_promised_blobs",
    metadata,
    Column("digest", LargeBinary(32), nullable=False),
    Column("remote", Text, nullable=False),
    PrimaryKeyConstraint("digest", "remote"),
    sqlite_with_rowid=False,
)

_T = TypeVar("_T")


class RemoteRecord(NamedTuple):
    """A remote as it was added."""

    name: str
    url: str
    endpoint: str
    region: str
    added_at_ms: int


def find_remote(tx: Tx, name: str) -> RemoteRecord | None:
    """The remote of that name."""
    row = tx.execute(select(_remotes).where(_remotes.c.name == name)).first()
    return None if row is None else RemoteRecord(*row)


def list_remotes(tx: Tx) -> list[RemoteRecord]:
    """Every remote, by name."""
    return [RemoteRecord(*row) for row in tx.execute(select(_remotes).order_by(_remotes.c.name))]


def insert_remote(tx: Tx, record: RemoteRecord) -> None:
    """Add one of a new name."""
    tx.execute(insert(_remotes).values(record._asdict()))


def delete_remote(tx: Tx, name: str) -> None:
    """Forget the remote's address; what it promised is still only there."""
    tx.execute(delete(_remotes).where(_remotes.c.name == name))


def promise(tx: Tx, remote: str, blobs: Iterable[ObjectKey]) -> None:
    """From now on these blobs may be missing here: the remote has them."""
    rows = [{"digest": key, "remote": remote} for key in sorted(set(blobs))]
    if not rows:
        return
    if tx.dialect.name == "postgresql":
        tx.execute(postgresql.insert(_promised).on_conflict_do_nothing(), rows)
    else:
        tx.execute(insert(_promised).prefix_with("OR IGNORE"), rows)


def redeem(tx: Tx, blobs: Collection[ObjectKey]) -> None:
    """These blobs are here now."""
    for some in _chunks(blobs):
        tx.execute(delete(_promised).where(_promised.c.digest.in_(some)))


def is_promised(tx: Tx, digest: Digest) -> bool:
    """Whether the blob may be missing here, because a remote has it."""
    return promising_remote(tx, digest) is not None


def promising_remote(tx: Tx, digest: Digest) -> str | None:
    """The remote that promised the blob; None if none did."""
    query = select(_promised.c.remote).where(_promised.c.digest == object_key(digest)).limit(1)
    return tx.scalar(query.order_by(_promised.c.remote))


def count_promised(tx: Tx, remote: str) -> int:
    """How many blobs the remote has promised."""
    query = select(func.count()).select_from(_promised).where(_promised.c.remote == remote)
    return int(tx.scalar(query) or 0)


def promised_among(
    tx: Tx, blobs: Iterable[ObjectKey], *, remote: str | None = None
) -> set[ObjectKey]:
    """Those of the blobs that are promised, by that remote or by any."""
    found: set[ObjectKey] = set()
    for some in _chunks(blobs):
        query = select(_promised.c.digest).where(_promised.c.digest.in_(some))
        if remote is not None:
            query = query.where(_promised.c.remote == remote)
        found.update(ObjectKey(key) for key in tx.scalars(query))
    return found


def _chunks(values: Iterable[_T]) -> Iterator[list[_T]]:
    remaining = iter(values)
    while chunk := list(islice(remaining, _PER_STATEMENT)):
        yield chunk
