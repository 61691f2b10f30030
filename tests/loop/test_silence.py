"""A device that stays away is told of once, and again only after it came back."""

import pytest

from sightloop.contracts.check_in import CheckIn
from sightloop.fleet import store
from sightloop.fleet.values import Device, DeviceId, Report
from sightloop.kernel import events
from sightloop.kernel.workspace import Workspace
from sightloop.loop.ticks import DEVICE_SILENT, OLD_NEWS_MS, notice_silence
from sightloop.testing.clock import ManualClock

CAM = DeviceId("dev_1")
SILENT_MS = 900_000


@pytest.fixture
def came_by(workspace: Workspace):
    with workspace.db.write() as tx:
        facts = {"ring": "fleet", "site": "", "device_class": "x", "agent_version": "1"}
        device = Device(id=CAM, name="cam-1", capabilities=[], enrolled_at_ms=0, **facts)
        store.put_device(tx, device)

    def come() -> None:
        now_ms = workspace.clock.now_ms()
        said = {"agent_version": "1", "capabilities": [], "boot": "b", "streams": [], "slots": []}
        check_in = CheckIn(device=CAM, at_ms=now_ms, n_spooled=0, **said)
        with workspace.db.write() as tx:
            store.put_report(tx, device, Report(seen_at_ms=now_ms, check_in=check_in))

    come()
    return come


def told(workspace: Workspace) -> list[dict]:
    notice_silence(workspace)
    with workspace.db.read() as tx:
        found = events.history(tx, subject=CAM)
    return [event.data for event in found if event.kind == DEVICE_SILENT]


def test_a_device_is_silent_after_a_quarter_of_an_hour(workspace, came_by, clock: ManualClock):
    clock.advance(SILENT_MS / 1000)
    assert told(workspace) == []
    clock.advance(1)
    assert told(workspace) == [{"device": CAM, "name": "cam-1", "minutes": 15}]


def test_one_silence_is_told_once(workspace, came_by, clock: ManualClock):
    for _ in range(3):
        clock.advance(SILENT_MS / 1000 + 1)
        assert len(told(workspace)) == 1


def test_the_next_silence_is_told_again(workspace, came_by, clock: ManualClock):
    clock.advance(SILENT_MS / 1000 + 1)
    told(workspace)
    came_by()
    clock.advance(SILENT_MS / 1000 + 1)
    assert len(told(workspace)) == 2


def test_a_silence_older_than_a_day_is_no_news(workspace, came_by, clock: ManualClock):
    clock.advance(OLD_NEWS_MS / 1000 + 1)
    assert told(workspace) == []
