"""Labels in the database: saved once per task, counted by stratum, marked when committed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from sightloop.datasets.values import ClassId
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.review.blinding import second_draw
from sightloop.review.errors import AlreadyLabelled, TaskNotOpen
from sightloop.review.tasks import bundles_of, find_task, mark_done
from sightloop.review.values import HUMAN, LabelBox, LabelCount, Task, TaskLabels

# SQLite numbers rows itself only when the key is exactly INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

_labels = Table(
    "review_labels",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("task", ForeignKey("review_tasks.id"), nullable=False, unique=True),
    Column("purpose", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("boxes", Text, nullable=False),
    Column("n_boxes", Integer, nullable=False),
    Column("slices", Text, nullable=False),
    Column("strata", Text, nullable=False),
    Column("split_key", Text),
    Column("blind", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("labelled_by", Text, nullable=False),
    Column("labelled_at_ms", BigInteger, nullable=False),
    Column("duration_ms", BigInteger),
    Column("labelled_for", Text, nullable=False),
    Column("commit", Text),
    # Who is to be asked twice, None where no person labelled: found by index, not one by one.
    Column("second_draw", Float),
    Index("review_labels_second", "second_draw"),
    Index("review_labels_to_commit", "commit", "branch", "number"),
    sqlite_autoincrement=True,
)
_strata = Table(
    "review_label_strata",
    metadata,
    Column("stratum", Text, nullable=False),
    Column("number", ForeignKey("review_labels.number"), nullable=False),
    PrimaryKeyConstraint("stratum", "number"),
)

_NESTED: dict[str, Any] = {
    "boxes": list[LabelBox],
    "slices": dict[str, str],
    "strata": list[str],
    "labelled_for": list[ClassId],
}


class LabelledAt(NamedTuple):
    """One verified image, as far as counting needs it."""

    at_ms: int
    strata: list[str]
    bundle: Digest


def find_labels(tx: Tx, task: str) -> TaskLabels | None:
    """The labels of the task; None before it has any."""
    row = tx.execute(select(_labels).where(_labels.c.task == task)).mappings().first()
    return None if row is None else _labels_of(row)


def labels_of_tasks(tx: Tx, tasks: Sequence[str]) -> dict[str, TaskLabels]:
    """The labels of those of these tasks that have any; at most a few thousand at a time."""
    query = select(_labels).where(_labels.c.task.in_(tasks))
    return {row["task"]: _labels_of(row) for row in tx.execute(query).mappings()}


def tasks_for_second(
    tx: Tx,
    *,
    share: float,
    labelled_by_other_than: str | None = None,
    among: Select[Any] | None = None,
    outside: Sequence[Select[Any]],
    limit: int,
) -> list[str]:
    """Labelled tasks that are asked for twice, the earliest labelled first.

    Args:
        share: of all tasks that people label, how many are asked for twice.
        among: a query for the ids of the tasks to choose from; None means all.
        outside: queries for the ids of tasks to leave out.
    """
    query = select(_labels.c.task).where(_labels.c.second_draw < share)
    if labelled_by_other_than is not None:
        query = query.where(_labels.c.labelled_by != labelled_by_other_than)
    if among is not None:
        query = query.where(_labels.c.task.in_(among))
    for ids in outside:
        query = query.where(_labels.c.task.not_in(ids))
    return list(tx.scalars(query.order_by(_labels.c.number).limit(limit)))


def record_labels(tx: Tx, labels: TaskLabels) -> bool:
    """Save the labels of an open or skipped task and mark it done; False if they are saved.

    The same labels from the same person count as saved, so that a request whose answer was lost
    may be repeated.

    Raises:
        NoSuchTask: there is no such task.
        AlreadyLabelled: it has other labels, or somebody else's.
        TaskNotOpen: nobody was asked for labels, or they are no longer wanted.
    """
    if not mark_done(tx, labels.task, now_ms=labels.labelled_at_ms):
        refuse_second_labels(find_labels(tx, labels.task), labels, find_task(tx, labels.task))
        return False
    number = tx.execute(
        insert(_labels).values(_labels_row(labels)).returning(_labels.c.number)
    ).scalar_one()
    tx.execute(
        insert(_strata), [{"stratum": stratum, "number": number} for stratum in labels.strata]
    )
    return True


def refuse_second_labels(saved: TaskLabels | None, labels: TaskLabels, task: Task) -> None:
    """Return when `labels` are the ones that are saved already.

    Raises:
        AlreadyLabelled, TaskNotOpen: as `record_labels`.
    """
    if saved is None:
        raise TaskNotOpen(task=task.id, state=task.state, wanted="labelled")
    content = [
        (each.labelled_by, each.boxes, each.slices, each.split_key) for each in (saved, labels)
    ]
    if content[0] != content[1]:
        raise AlreadyLabelled(
            task=task.id, labelled_by=saved.labelled_by, labelled_at_ms=saved.labelled_at_ms
        )


def labels_to_commit(tx: Tx, branch: str, *, limit: int) -> list[TaskLabels]:
    """Labels for the branch that no commit holds yet, in the order in which they were saved."""
    query = (
        select(_labels)
        .where(_labels.c.commit.is_(None) & (_labels.c.branch == branch))
        .order_by(_labels.c.number)
        .limit(limit)
    )
    return [_labels_of(row) for row in tx.execute(query).mappings()]


def mark_committed(tx: Tx, numbers: Collection[int], commit: Digest) -> set[int]:
    """Note which commit holds these labels; returns those that were not noted before."""
    marked = (
        update(_labels)
        .where(_labels.c.number.in_(numbers) & _labels.c.commit.is_(None))
        .values(commit=commit)
        .returning(_labels.c.number)
    )
    return {int(number) for number in tx.scalars(marked)}


def label_counts(
    tx: Tx, *, since_number: int = 0, since_ms: int = 0, stratum: str | None = None
) -> list[LabelCount]:
    """Verified labels saved above that number and at or after that time, committed or not.

    One count per stratum and purpose that has any, in that order; the stratum `""` counts every
    image, and an image counts in each of its strata. `latest_label` gives numbers to start from.
    """
    saved = (_labels.c.number > since_number) & (_labels.c.labelled_at_ms >= since_ms)
    query = (
        select(_strata.c.stratum, _labels.c.purpose, func.count(), func.sum(_labels.c.n_boxes))
        .join(_strata, _strata.c.number == _labels.c.number)
        .where(saved)
        .group_by(_strata.c.stratum, _labels.c.purpose)
        .order_by(_strata.c.stratum, _labels.c.purpose)
    )
    if stratum is not None:
        query = query.where(_strata.c.stratum == stratum)
    return [
        LabelCount(stratum=found, purpose=purpose, n_images=int(n_images), n_boxes=int(n_boxes))
        for found, purpose, n_images, n_boxes in tx.execute(query)
    ]


def labels_since(tx: Tx, since_ms: int) -> list[LabelledAt]:
    """When images were verified since, of which strata they are, and under which bundle kept."""
    query = (
        select(_labels.c.labelled_at_ms, _labels.c.strata, _labels.c.task)
        .where(_labels.c.labelled_at_ms >= since_ms)
        .order_by(_labels.c.number)
    )
    found = [(at_ms, strata, task) for at_ms, strata, task in tx.execute(query)]
    bundles = bundles_of(tx, [task for _, _, task in found])
    return [
        LabelledAt(at_ms, msgspec.json.decode(strata, type=list[str]), bundles[task])
        for at_ms, strata, task in found
    ]


def latest_label(tx: Tx) -> int:
    """The number of the label saved last; 0 before the first."""
    return int(tx.execute(select(func.coalesce(func.max(_labels.c.number), 0))).scalar_one())


def audit_keys_among(tx: Tx, groups: Collection[str]) -> set[str]:
    """Those of these groups that somebody gave an audited image as its split key."""
    query = select(_labels.c.split_key).where(_labels.c.purpose == "audit")
    return set(tx.scalars(query.where(_labels.c.split_key.in_(groups))))


def _labels_row(labels: TaskLabels) -> dict[str, Any]:
    row = msgspec.structs.asdict(labels)
    del row["number"]  # the database gives it
    for name in _NESTED:
        row[name] = msgspec.json.encode(row[name]).decode()
    is_human = labels.source.startswith(HUMAN)
    draw = second_draw(labels.task) if is_human else None
    return row | {"n_boxes": len(labels.boxes), "second_draw": draw}


def _labels_of(row: Any) -> TaskLabels:  # noqa: ANN401 - a SQLAlchemy row mapping
    values = dict(row)
    del values["n_boxes"], values["second_draw"]
    for name, kind in _NESTED.items():
        values[name] = msgspec.json.decode(values[name], type=kind)
    return TaskLabels(**values)
