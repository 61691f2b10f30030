"""The tables of monitoring, and the only SQL of the room.

`monitoring_progress` is one row: how far the room has read, and a revision that everything which
changes a monitor raises. Who wants to change monitors reads the revision with them and writes only
if it still stands, so two workers, or a worker and a person closing an incident, never undo each
other's work.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    event,
    func,
    insert,
    select,
    tuple_,
    update,
)

from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.monitoring.dependence import NeighbourSums
from sightloop.monitoring.detector import State
from sightloop.monitoring.errors import IncidentUnknown
from sightloop.monitoring.evidence import Incident, IncidentState, Supporting, TracePoint
from sightloop.monitoring.monitors import Kind, Monitor, Watched
from sightloop.monitoring.pages import MonitorLine, Near, Opened, WantedIncidents, WantedMonitors
from sightloop.monitoring.settings import MonitorSettings
from sightloop.telemetry.values import StreamKey

_progress = Table(
    "monitoring_progress",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("last_profile", BigInteger, nullable=False),
    Column("last_loss", BigInteger, nullable=False),
)
_releases = Table(
    "monitoring_releases",
    metadata,
    Column("bundle", Text, primary_key=True),
    Column("settings", Text, nullable=False),
    Column("began_at_ms", BigInteger, nullable=False),
)
_streams = Table(
    "monitoring_streams",
    metadata,
    Column("bundle", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    PrimaryKeyConstraint("bundle", "device", "stream"),
    UniqueConstraint("bundle", "ordinal"),
)
_monitors = Table(
    "monitors",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("stratum", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("guarantee", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("threshold_nats", Float, nullable=False),
    Column("statistic_nats", Float),
    Column("nearness", Float, nullable=False),
    Column("n_windows", BigInteger, nullable=False),
    Column("n_images", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("neighbours", Text, nullable=False),
    Column("incident", Text),
    Column("updated_at_ms", BigInteger, nullable=False),
    UniqueConstraint("device", "stream", "bundle", "kind", "measure"),
    # Pages are chosen in this index alone, whatever the filter: rows are kilobytes of JSON.
    Index(
        "monitors_by_nearness",
        *("nearness", "id", "kind", "guarantee", "bundle", "device", "incident"),
    ),
)
# One row per profile or loss that was counted: the way every statistic went, and (by its key) a
# second guard that nothing is counted twice.
_steps = Table(
    "monitoring_steps",
    metadata,
    Column("kind", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("n_images", BigInteger, nullable=False),
    Column("statistics", Text, nullable=False),
    Column("problem", Text, nullable=False),
    PrimaryKeyConstraint("kind", "number"),
    Index("monitoring_steps_by_stream", "device", "stream", "bundle", "kind", "number"),
)
_incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("monitor", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("stratum", Text, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("statistic_nats", Float, nullable=False),
    Column("threshold_nats", Float, nullable=False),
    Column("guarantee", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("closed_at_ms", BigInteger),
    Column("closed_because", Text, nullable=False),
    Index("incidents_by_stream", "device", "stream", "state"),
    Index("incidents_by_time", "opened_at_ms", "id"),
    Index("incidents_by_state", "state", "opened_at_ms", "id"),
)
_supporting = Table(
    "incident_monitors",
    metadata,
    Column("incident", Text, nullable=False),
    Column("monitor", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("guarantee", Text, nullable=False),
    Column("statistic_nats", Float, nullable=False),
    Column("joined_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("incident", "monitor"),
)


@event.listens_for(_progress, "after_create")
def _begin_progress(_table: Table, tx: Tx, **_: object) -> None:
    # The one row is there from the start, so that two first workers cannot both insert it.
    tx.execute(insert(_progress).values(id=1, revision=0, last_profile=0, last_loss=0))


class Progress(NamedTuple):
    """How far the room has read telemetry, and the revision of its monitors."""

    revision: int
    last_profile: int
    last_loss: int


class CountedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A profile (or loss) that was counted, and where it left each measure's statistic.

    `n_images` are those of the step alone. `problem` says what could not be counted, and is empty
    as a rule.
    """

    kind: Kind
    number: int
    device: str
    stream: str
    bundle: Digest
    at_ms: int
    n_images: int
    statistics: dict[str, float]
    problem: str


def read_progress(tx: Tx) -> Progress:
    """Where the room stands."""
    row = tx.execute(
        select(_progress.c.revision, _progress.c.last_profile, _progress.c.last_loss)
    ).one()
    return Progress(*row)


def move_progress(tx: Tx, *, expected: Progress, to: Progress) -> bool:
    """Take the right to change monitors as read at `expected`; False when others changed them."""
    moved = tx.execute(
        update(_progress)
        .where(_progress.c.revision == expected.revision)
        .values(to._replace(revision=expected.revision + 1)._asdict())
    )
    return bool(moved.rowcount)


def raise_revision(tx: Tx) -> None:
    """Announce that monitors are changed in this transaction; whoever read them has to again."""
    tx.execute(update(_progress).values(revision=_progress.c.revision + 1))


def settings_of(tx: Tx, bundle: Digest) -> MonitorSettings | None:
    """The settings the release is held to; None while nothing of it was counted."""
    text = tx.scalars(select(_releases.c.settings).where(_releases.c.bundle == bundle)).first()
    return None if text is None else msgspec.json.decode(text, type=MonitorSettings)


def add_release(tx: Tx, bundle: Digest, settings: MonitorSettings, *, now_ms: int) -> None:
    """Hold the release to these settings from its first window on."""
    text = msgspec.json.encode(settings, order="sorted").decode()
    tx.execute(insert(_releases).values(bundle=bundle, settings=text, began_at_ms=now_ms))


def ordinals_of(tx: Tx, bundle: Digest) -> dict[StreamKey, int]:
    """As which number each stream appeared under the bundle, from 1."""
    columns = (_streams.c.device, _streams.c.stream, _streams.c.ordinal)
    rows = tx.execute(select(*columns).where(_streams.c.bundle == bundle))
    return {StreamKey(device, stream): ordinal for device, stream, ordinal in rows}


def add_stream(tx: Tx, bundle: Digest, camera: StreamKey, *, ordinal: int) -> None:
    """Give the stream its number, for ever."""
    tx.execute(insert(_streams).values(bundle=bundle, ordinal=ordinal, **camera._asdict()))


def monitors_of(tx: Tx, watched: Watched) -> list[Monitor]:
    """The monitors of this kind, stream and bundle, by measure; whatever their stratum."""
    mine = (
        (_monitors.c.kind == watched.kind)
        & (_monitors.c.device == watched.device)
        & (_monitors.c.stream == watched.stream)
        & (_monitors.c.bundle == watched.bundle)
    )
    return _select_monitors(tx, mine)


def list_monitors(
    tx: Tx, *, device: str | None = None, bundle: Digest | None = None
) -> list[Monitor]:
    """Monitors by device, stream, kind and measure; None selects every value."""
    return _select_monitors(tx, _equal(_monitors, device=device, bundle=bundle))


def page_monitors(
    tx: Tx, wanted: WantedMonitors, *, after: Near | None, limit: int
) -> list[MonitorLine]:
    """Monitors, those nearest to their alarm first, from the one after `after` on."""
    column = _monitors.c
    order = (column.nearness, column.id)
    query = select(column.id).where(
        _equal(_monitors, kind=wanted.kind, guarantee=wanted.guarantee, device=wanted.device)
    )
    if wanted.bundles is not None:
        query = query.where(column.bundle.in_(wanted.bundles))
    if wanted.has_alarmed is not None:
        is_open = column.incident.is_not(None)
        query = query.where(is_open if wanted.has_alarmed else ~is_open)
    if after is not None:
        query = query.where(tuple_(*order) < tuple_(after.nearness, after.monitor))
    chosen = tx.scalars(query.order_by(*(one.desc() for one in order)).limit(limit)).all()
    rows = tx.execute(
        select(*(_monitors.c[name] for name in MonitorLine.__struct_fields__)).where(
            column.id.in_(chosen)
        )
    ).mappings()
    lines = {row["id"]: MonitorLine(**row) for row in rows}
    return [lines[monitor] for monitor in chosen]


def list_releases(
    tx: Tx, *, bundles: Collection[Digest] | None = None, limit: int
) -> list[tuple[Digest, MonitorSettings, int]]:
    """Releases that are held to a promise, the latest first: bundle, settings, since when."""
    query = select(_releases.c.bundle, _releases.c.settings, _releases.c.began_at_ms)
    if bundles is not None:
        query = query.where(_releases.c.bundle.in_(bundles))
    query = query.order_by(_releases.c.began_at_ms.desc(), _releases.c.bundle).limit(limit)
    return [
        (Digest(bundle), msgspec.json.decode(settings, type=MonitorSettings), began_at_ms)
        for bundle, settings, began_at_ms in tx.execute(query)
    ]


def count_streams(tx: Tx, bundle: Digest) -> int:
    """How many streams have appeared under the bundle: the last one's number."""
    query = select(func.max(_streams.c.ordinal)).where(_streams.c.bundle == bundle)
    return int(tx.scalar(query) or 0)


def save_monitors(tx: Tx, monitors: Collection[Monitor]) -> None:
    """Make these monitors stand as given, known or new."""
    if monitors:
        tx.execute(
            delete(_monitors).where(_monitors.c.id == bindparam("old")),
            [{"old": monitor.id} for monitor in monitors],
        )
        tx.execute(insert(_monitors), [_monitor_row(monitor) for monitor in monitors])


def add_steps(tx: Tx, steps: Sequence[CountedStep]) -> None:
    """Note what was counted; a number that was counted before is a bug and fails."""
    rows = [
        msgspec.structs.asdict(step) | {"statistics": msgspec.json.encode(step.statistics).decode()}
        for step in steps
    ]
    if rows:
        tx.execute(insert(_steps), rows)


def steps_of(tx: Tx, watched: Watched, *, limit: int) -> list[CountedStep]:
    """The latest steps of these monitors, oldest first."""
    query = (
        select(_steps)
        .where(
            (_steps.c.device == watched.device)
            & (_steps.c.stream == watched.stream)
            & (_steps.c.bundle == watched.bundle)
            & (_steps.c.kind == watched.kind)
        )
        .order_by(_steps.c.number.desc())
        .limit(limit)
    )
    return [_step_of(row) for row in reversed(tx.execute(query).mappings().all())]


def count_steps(tx: Tx) -> dict[Kind, int]:
    """How many profiles and losses were counted."""
    rows = tx.execute(select(_steps.c.kind, func.count()).group_by(_steps.c.kind))
    return {kind: int(n) for kind, n in rows}


def add_incident(tx: Tx, incident: Incident) -> None:
    """Record an incident that was opened."""
    tx.execute(insert(_incidents).values(msgspec.structs.asdict(incident)))


def open_incident(tx: Tx, watched: Watched) -> Incident | None:
    """The open incident of this kind, stream and bundle, if there is one."""
    found = list_incidents(
        tx,
        state="open",
        kind=watched.kind,
        device=watched.device,
        stream=watched.stream,
        bundle=watched.bundle,
    )
    return found[0] if found else None


def find_incident(tx: Tx, incident: str) -> Incident:
    """The incident of this id.

    Raises:
        IncidentUnknown: there is none.
    """
    row = tx.execute(select(_incidents).where(_incidents.c.id == incident)).mappings().first()
    if row is None:
        raise IncidentUnknown(incident=incident)
    return Incident(**row)


def list_incidents(
    tx: Tx,
    *,
    state: IncidentState | None = None,
    kind: Kind | None = None,
    device: str | None = None,
    stream: str | None = None,
    bundle: Digest | None = None,
    limit: int = 1000,
) -> list[Incident]:
    """Incidents, the latest first; None selects every value."""
    wanted = _equal(_incidents, state=state, kind=kind, device=device, stream=stream, bundle=bundle)
    latest = (_incidents.c.opened_at_ms.desc(), _incidents.c.id)
    rows = tx.execute(select(_incidents).where(wanted).order_by(*latest).limit(limit)).mappings()
    return [Incident(**row) for row in rows]


def page_incidents(
    tx: Tx, wanted: WantedIncidents, *, after: Opened | None, limit: int
) -> list[Incident]:
    """Open incidents and then closed ones, each the latest first, from the one after `after` on."""
    query = select(_incidents).where(_equal(_incidents, **msgspec.structs.asdict(wanted)))
    order = (_incidents.c.state, _incidents.c.opened_at_ms, _incidents.c.id)
    if after is not None:
        query = query.where(tuple_(*order) < tuple_(after.state, after.at_ms, after.incident))
    rows = tx.execute(query.order_by(*(one.desc() for one in order)).limit(limit)).mappings()
    return [Incident(**row) for row in rows]


def count_open(tx: Tx) -> dict[Kind, int]:
    """How many incidents of each kind are open."""
    query = select(_incidents.c.kind, func.count()).where(_incidents.c.state == "open")
    return {kind: int(n) for kind, n in tx.execute(query.group_by(_incidents.c.kind))}


def note_closed(tx: Tx, incident: str, *, because: str, now_ms: int) -> None:
    """Mark the incident closed."""
    tx.execute(
        update(_incidents)
        .where(_incidents.c.id == incident)
        .values(state="closed", closed_at_ms=now_ms, closed_because=because)
    )


def add_supporting(tx: Tx, incident: str, supporting: Sequence[Supporting]) -> None:
    """Attach monitors to an incident."""
    if supporting:
        rows = [{"incident": incident, **msgspec.structs.asdict(one)} for one in supporting]
        tx.execute(insert(_supporting), rows)


def supporting_of(tx: Tx, incident: str) -> list[Supporting]:
    """Who joined the incident, in that order."""
    columns = [column for column in _supporting.c if column.name != "incident"]
    query = (
        select(*columns)
        .where(_supporting.c.incident == incident)
        .order_by(_supporting.c.joined_at_ms, _supporting.c.measure)
    )
    return [Supporting(**row) for row in tx.execute(query).mappings()]


def trace_of(steps: Sequence[CountedStep], measure: str) -> list[TracePoint]:
    """The way one measure's statistic went through these steps; images count from the first."""
    seen = accumulate(step.n_images for step in steps)
    return [
        TracePoint(step.at_ms, n_images, step.statistics[measure])
        for step, n_images in zip(steps, seen, strict=True)
        if measure in step.statistics
    ]


def _equal(table: Table, **values: str | None) -> ColumnElement[bool]:
    wanted = [table.c[name] == value for name, value in values.items() if value is not None]
    return and_(True, *wanted)


def _select_monitors(tx: Tx, wanted: ColumnElement[bool]) -> list[Monitor]:
    order = (_monitors.c.device, _monitors.c.stream, _monitors.c.kind, _monitors.c.measure)
    rows = tx.execute(select(_monitors).where(wanted).order_by(*order)).mappings()
    return [_monitor_of(row) for row in rows]


def _monitor_row(monitor: Monitor) -> dict[str, Any]:
    return {
        "id": monitor.id,
        **msgspec.structs.asdict(monitor.watched),
        "measure": monitor.measure,
        "guarantee": monitor.guarantee,
        "reason": monitor.reason,
        "threshold_nats": monitor.threshold_nats,
        "statistic_nats": monitor.state.statistic_nats,
        "nearness": monitor.nearness,
        "n_windows": monitor.state.n_windows,
        "n_images": monitor.state.n_images,
        "state": msgspec.json.encode(monitor.state).decode(),
        "neighbours": msgspec.json.encode(monitor.neighbours).decode(),
        "incident": monitor.incident,
        "updated_at_ms": monitor.updated_at_ms,
    }


def _monitor_of(row: Any) -> Monitor:  # noqa: ANN401 - a SQLAlchemy row mapping
    names = ("id", "measure", "guarantee", "reason", "threshold_nats", "incident", "updated_at_ms")
    return Monitor(
        watched=Watched(**{name: row[name] for name in Watched.__struct_fields__}),
        state=msgspec.json.decode(row["state"], type=State),
        neighbours=msgspec.json.decode(row["neighbours"], type=NeighbourSums),
        **{name: row[name] for name in names},
    )


def _step_of(row: Any) -> CountedStep:  # noqa: ANN401 - a SQLAlchemy row mapping
    statistics = msgspec.json.decode(row["statistics"], type=dict[str, float])
    return CountedStep(**(dict(row) | {"statistics": statistics}))
