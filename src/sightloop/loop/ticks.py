"""What has to be looked at from time to time, because no event tells of it.

A duty costs one query when there is nothing to do, may run in several workers at once, and does
not keep state of its own.
"""

from __future__ import annotations

from sightloop.fleet import store as fleet
from sightloop.fleet.overview import silent_after_s
from sightloop.fleet.rollouts import advance_rollouts
from sightloop.fleet.store import SilentDevice
from sightloop.fleet.update_repository import publish
from sightloop.kernel import audit, events
from sightloop.kernel.actors import step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.collecting import is_any_due, look_at_all
from sightloop.loop.policy_file import read_policy
from sightloop.loop.settings import is_paused
from sightloop.monitoring.advance import AdvanceMonitors, advance_monitors

DEVICE_SILENT = EventKind("device.silent")
OLD_NEWS_MS = 86_400_000

_CALL = Call(step_actor("tick"))


def watch_streams(workspace: Workspace) -> None:
    """New profiles and audited losses reach their monitors."""
    models = read_policy(workspace).models
    settings = {name: policy.monitoring for name, policy in models.items()}
    advance_monitors(workspace, _CALL, AdvanceMonitors(by_model=settings))


def move_rollouts(workspace: Workspace) -> None:
    """Rollouts go as far as their devices' reports allow."""
    advance_rollouts(workspace, _CALL)


def end_collecting(workspace: Workspace) -> None:
    """Turns that have waited too long for images to label go on with what they have."""
    policy = read_policy(workspace)
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        if is_paused(tx) or not is_any_due(tx, policy, now_ms=now_ms):
            return
    with workspace.db.write() as tx:
        look_at_all(tx, policy, now_ms=now_ms)


def keep_updates_fresh(workspace: Workspace) -> None:
    """Update metadata is signed anew before it expires."""
    publish(workspace)


def seal_audit_log(workspace: Workspace) -> None:
    """Events written since the last seal are sealed."""
    with workspace.db.write() as tx:
        while audit.seal_events(tx, now_ms=workspace.clock.now_ms()):
            pass


def notice_silence(workspace: Workspace) -> None:
    """A device that is silent, as the fleet's pages count it, is told of once per silence.

    One that was silent for a day before any worker looked is old news, and not told.
    """
    now_ms = workspace.clock.now_ms()
    silent_ms = round(silent_after_s(workspace) * 1000)
    with workspace.db.read() as tx:
        silent = _untold(tx, now_ms, silent_ms)
    if not silent:
        return
    with workspace.db.write() as tx:
        for device in _untold(tx, now_ms, silent_ms):  # again: another worker may have been quicker
            data = {
                "device": device.id,
                "name": device.name,
                "minutes": (now_ms - device.seen_at_ms) // 60_000,
            }
            tell(tx, DEVICE_SILENT, device.id, by=_CALL.actor, at_ms=now_ms, data=data)


def _untold(tx: Tx, now_ms: int, silent_ms: int) -> list[SilentDevice]:
    silent = fleet.silent_between(tx, now_ms - OLD_NEWS_MS, now_ms - silent_ms)
    found = []
    for device in silent:
        told = events.latest_of(tx, DEVICE_SILENT, device.id)
        if told is None or told.at_ms <= device.seen_at_ms:
            found.append(device)
    return found
