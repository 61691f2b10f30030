"""Curves as pages draw them: stretches with mean, least and greatest value.

A short curve is read whole. Of a long one the database sums up each stretch, so a page gets five
hundred figures and not a million rows; what was summed up is kept in memory as long as the curve
has as many points as then: points are only ever added, or all removed.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta
from sqlalchemy import BigInteger, Text, and_, cast, exists, func, literal, or_, select

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store
from sightloop.tracking.curves import Band, Stretch, band_of, band_of_stretches
from sightloop.tracking.points import metric_columns
from sightloop.tracking.tables import latest, points

MAX_BAND_POINTS = 2000
MAX_RUNS = 50
_READ_WHOLE = 4000
"""Points of a curve that is read whole: as quick as having it summed up."""
_KEPT = 200
_LARGEST = 1.7e308
"""Beyond it are only the infinities, as JSON and charts know numbers."""


class ListCurves(msgspec.Struct, frozen=True, kw_only=True):
    """Of which runs."""

    runs: Annotated[list[str], Meta(min_length=1, max_length=MAX_RUNS)]


class CurveKeys(msgspec.Struct, frozen=True, kw_only=True):
    """By run, the metrics that were logged more than once: there is a curve to draw."""

    by_run: dict[str, list[str]]


class ShowBands(msgspec.Struct, frozen=True, kw_only=True):
    """Which metrics of which runs, in at most so many stretches each."""

    runs: Annotated[list[str], Meta(min_length=1, max_length=MAX_RUNS)]
    keys: Annotated[list[str], Meta(min_length=1, max_length=50)]
    max_points: Annotated[int, Meta(ge=10, le=MAX_BAND_POINTS)] = 500


class RunBands(msgspec.Struct, frozen=True, kw_only=True):
    """The curves of one run."""

    run: str
    name: str
    started_at_ms: int
    bands: list[Band]


class BandsOfRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The runs in the order asked for."""

    runs: list[RunBands]


def list_curves(workspace: Workspace, call: Call, request: ListCurves) -> CurveKeys:
    """Which curves there are, without reading them.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    earlier = or_(
        points.c.step < latest.c.step,
        and_(points.c.step == latest.c.step, points.c.at_ms < latest.c.at_ms),
    )
    same = and_(points.c.run == latest.c.run, points.c.key == latest.c.key)
    query = select(latest.c.run, latest.c.key).where(latest.c.run.in_(request.runs))
    query = query.where(exists().where(same, earlier)).order_by(latest.c.run, latest.c.key)
    found: dict[str, list[str]] = {run: [] for run in request.runs}
    with workspace.db.read() as tx:
        for run, key in tx.execute(query):
            found[run].append(key)
    return CurveKeys(by_run=found)


def show_bands(workspace: Workspace, call: Call, request: ShowBands) -> BandsOfRuns:
    """The curves, ready to be drawn; a run that lacks a metric has no curve of it.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
    """
    require(call.actor, Permission.READ)
    shown = []
    with workspace.db.read() as tx:
        for run in request.runs:
            facts = store.find_run(tx, run)
            bands = [
                _band(tx, (workspace.db.url, run, key), limit=request.max_points)
                for key in dict.fromkeys(request.keys)
            ]
            shown.append(
                RunBands(
                    run=facts.id,
                    name=facts.name,
                    started_at_ms=facts.started_at_ms,
                    bands=[one for one in bands if one is not None],
                )
            )
    return BandsOfRuns(runs=shown)


Which = tuple[str, str, str]
"""A curve: the database, the run, the metric."""


class _Extent(NamedTuple):
    """How many points a curve has, and from which to which step, or time where steps are one."""

    n: int
    first: int
    last: int
    by_time: bool


def _band(tx: Tx, which: Which, *, limit: int) -> Band | None:
    _, run, key = which
    extent = _extent(tx, run, key)
    if extent is None:
        return None
    if extent.n <= _READ_WHOLE:
        columns = metric_columns(tx, run, key)
        return band_of(
            key, steps=columns.steps, at_ms=columns.at_ms, values=columns.values, limit=limit
        )
    asked = (*which, extent, limit)
    known = _memory.look_up(asked)
    if known is None:
        stretches = _stretches(tx, run, key, extent=extent, limit=limit)
        known = band_of_stretches(key, n_points=extent.n, stretches=stretches)
        _memory.keep(asked, known)
    return known


def _extent(tx: Tx, run: str, key: str) -> _Extent | None:
    mine = and_(points.c.run == run, points.c.key == key)
    n = tx.execute(select(func.count()).select_from(points).where(mine)).scalar_one()
    if n == 0:
        return None
    # Two questions: asked for both ends at once, the database would look at every point.
    first, last = (
        tx.execute(select(end(points.c.step)).where(mine)).scalar_one()
        for end in (func.min, func.max)
    )
    if first < last:
        return _Extent(n, first, last, by_time=False)
    first, last = (
        tx.execute(select(end(points.c.at_ms)).where(mine)).scalar_one()
        for end in (func.min, func.max)
    )
    return _Extent(n, first, last, by_time=True)


def _stretches(tx: Tx, run: str, key: str, *, extent: _Extent, limit: int) -> list[Stretch]:
    """A subquery sums up each stretch: grouping, the database would sort all points first."""
    width = max(math.ceil((extent.last - extent.first + 1) / limit), 1)
    mine = and_(points.c.run == run, points.c.key == key)
    column = points.c.at_ms if extent.by_time else points.c.step
    if extent.by_time:
        step = tx.execute(select(func.min(points.c.step)).where(mine)).scalar_one()
        mine = and_(mine, points.c.step == step)
    starts = select(literal(extent.first, BigInteger).label("begin")).cte(recursive=True)
    begin = starts.c.begin
    starts = starts.union_all(select(begin + width).where(begin + width <= extent.last))
    begin, value = starts.c.begin, points.c.value
    inside = and_(mine, column >= begin, column < begin + width)
    is_finite = and_(~points.c.is_nan, value.between(-_LARGEST, _LARGEST))
    first = func.min(points.c.step), func.min(points.c.at_ms)
    sums = (*first, func.avg(value), func.min(value), func.max(value))
    # A subquery has one column; in an array it holds them all, and is run once.
    array = func.json_build_array if tx.dialect.name == "postgresql" else func.json_array
    summed = select(array(*sums)).where(inside, is_finite).correlate(starts).scalar_subquery()
    found = []
    for start, text in tx.execute(select(begin, cast(summed, Text)).order_by(begin)):
        row = msgspec.json.decode(text)
        if row[0] is None:  # no point at all, or none that is a number: that is a gap
            here = and_(mine, column >= start, column < start + width)
            row = [*tx.execute(select(*first).where(here)).one(), None, None, None]
        if row[0] is not None:
            found.append(Stretch(*row))
    return found


class _Memory:
    """The curves summed up last; any number of threads may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bands: OrderedDict[tuple[object, ...], Band] = OrderedDict()

    def look_up(self, asked: Sequence[object]) -> Band | None:
        with self._lock:
            found = self._bands.get(tuple(asked))
            if found is not None:
                self._bands.move_to_end(tuple(asked))
            return found

    def keep(self, asked: Sequence[object], band: Band) -> None:
        with self._lock:
            self._bands[tuple(asked)] = band
            while len(self._bands) > _KEPT:
                self._bands.popitem(last=False)


_memory = _Memory()
