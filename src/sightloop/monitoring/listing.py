"""Monitors, incidents and promises page by page, however many there are."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.monitoring import store
from sightloop.monitoring.evidence import Incident
from sightloop.monitoring.monitors import Kind
from sightloop.monitoring.pages import MonitorLine, Near, Opened, WantedIncidents, WantedMonitors
from sightloop.monitoring.references import Guarantee
from sightloop.monitoring.settings import MonitorSettings
from sightloop.registry import store as registry

Limit = Annotated[int, Meta(ge=1, le=1000)]


class PageMonitors(msgspec.Struct, frozen=True, kw_only=True):
    """Which monitors; `after` goes on where an earlier page ended."""

    kind: Kind | None = None
    guarantee: Guarantee | None = None
    device: str | None = None
    model: str | None = None
    has_alarmed: bool | None = None
    after: Near | None = None
    limit: Limit = 50


class MonitorPage(msgspec.Struct, frozen=True, kw_only=True):
    """Monitors, those nearest to their alarm first; `after` is None on the last page."""

    monitors: list[MonitorLine]
    after: Near | None


class PageIncidents(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents; `after` goes on where an earlier page ended."""

    wanted: WantedIncidents = WantedIncidents()
    after: Opened | None = None
    limit: Limit = 50


class IncidentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Open incidents, then closed ones; how many are open in all, by kind."""

    incidents: list[Incident]
    n_open: dict[Kind, int]
    after: Opened | None


class ListPromises(msgspec.Struct, frozen=True, kw_only=True):
    """Of which model; None takes every model."""

    model: str | None = None
    limit: Limit = 10


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a release's monitors are held to, since its first window."""

    bundle: Digest
    model: str | None
    number: int | None
    settings: MonitorSettings
    n_streams: int
    """Streams that have appeared; those beyond the declared ones share a tenth of alpha."""
    began_at_ms: int


class PromiseList(msgspec.Struct, frozen=True, kw_only=True):
    """Promises, of the latest release first."""

    promises: list[Promise]


def page_monitors(workspace: Workspace, call: Call, request: PageMonitors) -> MonitorPage:
    """Monitors, those nearest to their alarm first.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        wanted = WantedMonitors(
            kind=request.kind,
            guarantee=request.guarantee,
            device=request.device,
            bundles=_bundles_of(tx, request.model),
            has_alarmed=request.has_alarmed,
        )
        found = store.page_monitors(tx, wanted, after=request.after, limit=request.limit + 1)
    shown = found[: request.limit]
    last = shown[-1] if len(found) > request.limit else None
    after = None if last is None else Near(last.nearness, last.id)
    return MonitorPage(monitors=shown, after=after)


def page_incidents(workspace: Workspace, call: Call, request: PageIncidents) -> IncidentPage:
    """Open incidents, then closed ones, each the latest first.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = store.page_incidents(
            tx, request.wanted, after=request.after, limit=request.limit + 1
        )
        n_open = store.count_open(tx)
    shown = found[: request.limit]
    last = shown[-1] if len(found) > request.limit else None
    after = None if last is None else Opened(last.state, last.opened_at_ms, last.id)
    return IncidentPage(incidents=shown, n_open=n_open, after=after)


def list_promises(workspace: Workspace, call: Call, request: ListPromises) -> PromiseList:
    """What is promised of false alarms, per release.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        bundles = _bundles_of(tx, request.model)
        releases = store.list_releases(tx, bundles=bundles, limit=request.limit)
        return PromiseList(promises=[_promise(tx, *release) for release in releases])


def _promise(tx: Tx, bundle: Digest, settings: MonitorSettings, began_at_ms: int) -> Promise:
    version = registry.version_of_bundle(tx, bundle)
    return Promise(
        bundle=bundle,
        model=None if version is None else version.model,
        number=None if version is None else version.number,
        settings=settings,
        n_streams=store.count_streams(tx, bundle),
        began_at_ms=began_at_ms,
    )


def _bundles_of(tx: Tx, model: str | None) -> list[Digest] | None:
    if model is None:
        return None
    return [version.bundle for version in registry.versions_of(tx, model)]
