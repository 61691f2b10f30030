"""Where open merges wait: merges with conflicts that people have yet to settle.

An open merge holds no rows and moves nothing. It names three commits, what they contradict each
other in, and what was decided so far; the merge itself is worked out anew when it goes on.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import BigInteger, Column, Table, Text, delete, insert, select, update

from sightloop.datasets.conflicts import Conflict, Resolution, sample_of
from sightloop.datasets.values import SampleId
from sightloop.kernel.actors import ActorId
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest

_merges = Table(
    "dataset_merges",
    metadata,
    Column("id", Text, primary_key=True),
    Column("branch", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("ours", Text, nullable=False),
    Column("theirs", Text, nullable=False),
    Column("base", Text),
    Column("message", Text, nullable=False),
    Column("conflicts", Text, nullable=False),
    Column("resolutions", Text, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
)


class Decision(msgspec.Struct, frozen=True):
    """How a conflict was settled, by whom and when."""

    resolution: Resolution
    by: ActorId
    at_ms: int


class OpenMerge(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that waits for decisions."""

    id: str
    branch: str
    """The branch that is merged into."""
    source: str
    """What is merged, as it was named."""
    ours: Digest
    theirs: Digest
    base: Digest | None
    message: str
    conflicts: list[Conflict]
    """Numbered from 1 by their place here."""
    resolutions: dict[int, Decision]
    """By the number of the conflict."""
    opened_by: ActorId
    opened_at_ms: int

    @property
    def unresolved(self) -> list[int]:
        """Numbers of the conflicts that are not settled yet."""
        numbers = range(1, len(self.conflicts) + 1)
        return [number for number in numbers if number not in self.resolutions]


def insert_merge(tx: Tx, merge: OpenMerge) -> None:
    """Keep a new open merge."""
    values = msgspec.structs.asdict(merge)
    values["conflicts"] = msgspec.json.encode(merge.conflicts).decode()
    values["resolutions"] = _resolutions_text(merge)
    tx.execute(insert(_merges).values(values))


def find_merge(tx: Tx, merge_id: str) -> OpenMerge | None:
    """The open merge of that id."""
    row = tx.execute(select(_merges).where(_merges.c.id == merge_id)).mappings().first()
    return None if row is None else _merge_of(dict(row))


def list_merges(tx: Tx, *, branch: str | None = None) -> list[OpenMerge]:
    """Open merges, into that branch if one is given, the oldest first."""
    query = select(_merges).order_by(_merges.c.opened_at_ms, _merges.c.id)
    if branch is not None:
        query = query.where(_merges.c.branch == branch)
    return [_merge_of(dict(row)) for row in tx.execute(query).mappings()]


def write_resolutions(tx: Tx, merge: OpenMerge) -> None:
    """Keep what was decided so far."""
    values = {"resolutions": _resolutions_text(merge)}
    tx.execute(update(_merges).where(_merges.c.id == merge.id).values(values))


def delete_merge(tx: Tx, merge_id: str) -> bool:
    """Forget the open merge; False when it is gone already."""
    return tx.execute(delete(_merges).where(_merges.c.id == merge_id)).rowcount == 1


def forget_merges_about(tx: Tx, samples: Collection[SampleId | None]) -> None:
    """Forget open merges with a conflict about one of the samples: nothing of it may be left."""
    for merge in list_merges(tx):
        if any(sample_of(one) in samples for one in merge.conflicts if sample_of(one)):
            delete_merge(tx, merge.id)


def _resolutions_text(merge: OpenMerge) -> str:
    return msgspec.json.encode(merge.resolutions).decode()


def _merge_of(row: dict[str, object]) -> OpenMerge:
    for name, kind in (("conflicts", list[Conflict]), ("resolutions", dict[int, Decision])):
        row[name] = msgspec.json.decode(str(row[name]), type=kind)
    return OpenMerge(**row)  # type: ignore[arg-type]
