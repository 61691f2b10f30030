"""Tasks in the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    Select,
    Table,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from sightloop.contracts.bundle import Detection
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.review.errors import NoSuchTask, TaskNotOpen
from sightloop.review.values import ProgressCount, Purpose, Task, TaskFilter, TaskState
from sightloop.telemetry.values import StreamKey

_tasks = Table(
    "review_tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kept", Text, nullable=False, unique=True),
    Column("purpose", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", Float, nullable=False),
    Column("incident", Text),
    Column("opened_for", Text),
    Column("blind", Boolean, nullable=False),
    Column("prelabels", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("group", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("inclusion_probability", Float, nullable=False),
    Column("captured_at_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Index("review_tasks_opened_for", "opened_for", "state"),
    Index("review_tasks_by_image", "image"),
    Index("review_tasks_by_group", "group"),
)
_URGENT_FIRST = (_tasks.c.priority.desc(), _tasks.c.created_at_ms, _tasks.c.id)
_LATEST_FIRST = (_tasks.c.changed_at_ms.desc(), _tasks.c.id)
# In the very order in which pages are read: a page costs what it shows, however many tasks wait.
Index("review_tasks_by_urgency", _tasks.c.state, *_URGENT_FIRST)
Index("review_tasks_by_change", _tasks.c.state, *_LATEST_FIRST)
Index("review_tasks_by_purpose", _tasks.c.purpose, _tasks.c.state, *_URGENT_FIRST)
Index("review_tasks_by_lane", _tasks.c.lane, _tasks.c.state, *_URGENT_FIRST)
Index("review_tasks_by_incident", _tasks.c.incident, _tasks.c.state, *_URGENT_FIRST)
Index("review_tasks_by_stream", _tasks.c.device, _tasks.c.stream, _tasks.c.state, *_URGENT_FIRST)

_AT_ONCE = 1000
"""Databases limit how many values one statement may name."""


def find_task(tx: Tx, task: str) -> Task:
    """The task of this id.

    Raises:
        NoSuchTask: there is none.
    """
    found = find_tasks(tx, [task])
    if not found:
        raise NoSuchTask(task=task)
    return found[task]


def find_tasks(tx: Tx, tasks: Sequence[str]) -> dict[str, Task]:
    """Those of these tasks that exist, by id; any number of them."""
    found: dict[str, Task] = {}
    for start in range(0, len(tasks), _AT_ONCE):
        some = select(_tasks).where(_tasks.c.id.in_(tasks[start : start + _AT_ONCE]))
        found |= {task.id: task for task in _tasks_of(tx, some)}
    return found


def bundles_of(tx: Tx, tasks: Sequence[str]) -> dict[str, Digest]:
    """By task: the bundle that looked at its image when it was kept."""
    found: dict[str, Digest] = {}
    for start in range(0, len(tasks), _AT_ONCE):
        some = _tasks.c.id.in_(tasks[start : start + _AT_ONCE])
        rows = tx.execute(select(_tasks.c.id, _tasks.c.bundle).where(some))
        found |= {task: Digest(bundle) for task, bundle in rows}
    return found


def list_tasks_where(
    tx: Tx,
    *,
    states: Collection[TaskState] | None = None,
    purpose: Purpose | None = None,
    incident: str | None = None,
    limit: int | None = None,
) -> list[Task]:
    """Tasks, the most urgent first and then the oldest; None selects every value."""
    query = select(_tasks)
    if states is not None:
        query = query.where(_tasks.c.state.in_(states))
    if purpose is not None:
        query = query.where(_tasks.c.purpose == purpose)
    if incident is not None:
        query = query.where(_tasks.c.incident == incident)
    return _tasks_of(tx, query.limit(limit))


def page_of_tasks(tx: Tx, wanted: TaskFilter, *, after: Task | None, limit: int) -> list[Task]:
    """Tasks in one state, from the one after `after`.

    What waits comes by urgency, what is over by when that happened, the latest first.
    """
    if wanted.state in ("open", "flagged"):
        query = select(_tasks).order_by(*_URGENT_FIRST)
        if after is not None:
            later = (
                (_tasks.c.priority < after.priority)
                | (_tasks.c.created_at_ms > after.created_at_ms)
                | ((_tasks.c.created_at_ms == after.created_at_ms) & (_tasks.c.id > after.id))
            )
            query = query.where((_tasks.c.priority <= after.priority) & later)
    else:
        query = select(_tasks).order_by(*_LATEST_FIRST)
        if after is not None:
            later = (_tasks.c.changed_at_ms < after.changed_at_ms) | (_tasks.c.id > after.id)
            query = query.where((_tasks.c.changed_at_ms <= after.changed_at_ms) & later)
    query = query.where((_tasks.c.state == wanted.state) & _where(wanted)).limit(limit)
    return [_task_of(row) for row in tx.execute(query).mappings()]


def next_free_task(tx: Tx, wanted: TaskFilter, *, held: Select[Any]) -> Task | None:
    """The most urgent task in that state that is not among `held`, locked until the end of `tx`."""
    query = (
        select(_tasks)
        .where((_tasks.c.state == wanted.state) & _where(wanted) & _tasks.c.id.not_in(held))
        .order_by(*_URGENT_FIRST)
        .limit(1)
        .with_for_update(skip_locked=True, of=_tasks)
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else _task_of(row)


def tasks_matching(wanted: TaskFilter) -> Select[Any]:
    """The ids of all tasks in that state that match, for use inside another query."""
    return select(_tasks.c.id).where((_tasks.c.state == wanted.state) & _where(wanted))


def streams_with_tasks(tx: Tx, *, limit: int) -> list[StreamKey]:
    """Streams of which there are tasks, by device and name."""
    order = (_tasks.c.device, _tasks.c.stream)
    query = select(*order).distinct().order_by(*order).limit(limit)
    return [StreamKey(device, stream) for device, stream in tx.execute(query)]


def tasks_opened_for(tx: Tx, incident: str) -> list[Task]:
    """Tasks that were opened for this incident, whatever became of them."""
    return _tasks_of(tx, select(_tasks).where(_tasks.c.opened_for == incident))


def tasks_of_incident(tx: Tx, incident: str, *, limit: int) -> list[Task]:
    """Tasks that were chosen or opened for the incident, the most urgent first."""
    return _tasks_of(tx, select(_tasks).where(_of_incident(incident)).limit(limit))


def count_of_incident(tx: Tx, incident: str) -> dict[TaskState, int]:
    """How many tasks that were chosen or opened for the incident stand in each state."""
    query = select(_tasks.c.state, func.count()).where(_of_incident(incident))
    return {state: int(n) for state, n in tx.execute(query.group_by(_tasks.c.state))}


def tasks_of_kept(tx: Tx, kept: Collection[str]) -> list[Task]:
    """The tasks that these kept images became; at most a few hundred at a time."""
    return _tasks_of(tx, select(_tasks).where(_tasks.c.kept.in_(kept)))


def count_opened_for(tx: Tx, incident: str) -> dict[TaskState, int]:
    """How many tasks were opened for this incident, by what became of them."""
    query = select(_tasks.c.state, func.count()).where(_tasks.c.opened_for == incident)
    return {state: int(count) for state, count in tx.execute(query.group_by(_tasks.c.state))}


def tasks_to_open(
    tx: Tx, incident: str, *, streams: Collection[StreamKey], limit: int
) -> list[Task]:
    """Flagged tasks of the incident, or of these streams whatever they were flagged for."""
    wanted: list[ColumnElement[bool]] = [_tasks.c.incident == incident]
    wanted += [
        and_(_tasks.c.device == camera.device, _tasks.c.stream == camera.stream)
        for camera in streams
    ]
    flagged = _tasks.c.state == "flagged"
    return _tasks_of(tx, select(_tasks).where(flagged & or_(*wanted)).limit(limit))


def kept_with_task(tx: Tx, kept: Collection[str]) -> set[str]:
    """Those of these kept images that are tasks; at most a few thousand at a time."""
    return set(tx.scalars(select(_tasks.c.kept).where(_tasks.c.kept.in_(kept))))


def images_with_task(tx: Tx, images: Collection[Digest]) -> set[Digest]:
    """Those of these images of which a task exists; at most a few thousand at a time."""
    query = select(_tasks.c.image).where(_tasks.c.image.in_(images))
    return {Digest(image) for image in tx.scalars(query)}


def count_tasks(tx: Tx, *, purpose: Purpose | None = None) -> dict[TaskState, int]:
    """How many tasks stand in each state that any stands in."""
    query = select(_tasks.c.state, func.count()).group_by(_tasks.c.state)
    if purpose is not None:
        query = query.where(_tasks.c.purpose == purpose)
    return {state: int(n) for state, n in tx.execute(query.order_by(_tasks.c.state))}


def count_progress(tx: Tx) -> list[ProgressCount]:
    """How many tasks of each purpose stand in each state that any stands in."""
    order = (_tasks.c.purpose, _tasks.c.state)
    query = select(*order, func.count()).group_by(*order).order_by(*order)
    return [
        ProgressCount(purpose=purpose, state=state, n_tasks=int(n_tasks))
        for purpose, state, n_tasks in tx.execute(query)
    ]


def add_tasks(tx: Tx, tasks: Sequence[Task]) -> list[Task]:
    """Store those of the tasks whose kept images are none yet; returns them."""
    known = kept_with_task(tx, [task.kept for task in tasks])
    added = [task for task in tasks if task.kept not in known]
    if added:
        tx.execute(insert(_tasks), [_task_row(task) for task in added])
    return added


def open_tasks(tx: Tx, tasks: Collection[str], *, opened_for: str, now_ms: int) -> None:
    """Ask people for labels of these flagged tasks; others stay as they are."""
    tx.execute(
        update(_tasks)
        .where(_tasks.c.id.in_(tasks) & (_tasks.c.state == "flagged"))
        .values(state="open", opened_for=opened_for, changed_at_ms=now_ms)
    )


def unlabelled_like(tx: Tx, *, images: Collection[Digest], groups: Collection[str]) -> list[Task]:
    """Training tasks without labels that show one of these images or are of one of these groups."""
    alike = _tasks.c.image.in_(images) | _tasks.c.group.in_(set(groups) - {""})
    waits = _tasks.c.state.in_(("flagged", "open", "skipped"))
    return _tasks_of(tx, select(_tasks).where((_tasks.c.purpose == "train") & waits & alike))


def end_task(tx: Tx, task: str, state: TaskState, *, note: str, now_ms: int) -> None:
    """Skip or withdraw a task that has no labels.

    Raises:
        NoSuchTask: there is none.
        TaskNotOpen: it has labels, or is in that state already.
    """
    before: set[TaskState] = {"flagged", "open", "skipped"} if state == "withdrawn" else {"open"}
    changed = tx.execute(
        update(_tasks)
        .where((_tasks.c.id == task) & _tasks.c.state.in_(before))
        .values(state=state, note=note, changed_at_ms=now_ms)
    )
    if changed.rowcount == 0:
        raise TaskNotOpen(task=task, state=find_task(tx, task).state, wanted=state)


def mark_done(tx: Tx, task: str, *, now_ms: int) -> bool:
    """Move an open or skipped task to done; False when it is in another state or unknown."""
    marked = tx.execute(
        update(_tasks)
        .where((_tasks.c.id == task) & _tasks.c.state.in_(("open", "skipped")))
        .values(state="done", changed_at_ms=now_ms)
    )
    return marked.rowcount == 1


def _of_incident(incident: str) -> ColumnElement[bool]:
    return or_(_tasks.c.incident == incident, _tasks.c.opened_for == incident)


def _tasks_of(tx: Tx, query: Select[Any]) -> list[Task]:
    return [_task_of(row) for row in tx.execute(query.order_by(*_URGENT_FIRST)).mappings()]


def _where(wanted: TaskFilter) -> ColumnElement[bool]:
    given = {
        _tasks.c.purpose: wanted.purpose,
        _tasks.c.lane: wanted.lane,
        _tasks.c.incident: wanted.incident,
        _tasks.c.device: wanted.device,
        _tasks.c.stream: wanted.stream,
    }
    return and_(True, *(column == value for column, value in given.items() if value is not None))


def _task_row(task: Task) -> dict[str, Any]:
    prelabels = msgspec.json.encode(task.prelabels).decode()
    return msgspec.structs.asdict(task) | {"prelabels": prelabels}


def _task_of(row: Any) -> Task:  # noqa: ANN401 - a SQLAlchemy row mapping
    prelabels = msgspec.json.decode(row["prelabels"], type=list[Detection])
    return Task(**(dict(row) | {"prelabels": prelabels}))
