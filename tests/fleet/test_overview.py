"""The fleet is read page by page and ring by ring, and says which devices need a look."""

import msgspec
import pytest

from sightloop.fleet.device_details import ShowDetails, show_details
from sightloop.fleet.overview import (
    CountFleet,
    NameDevices,
    PageDevices,
    count_fleet,
    latency_of,
    name_devices,
    page_devices,
)
from sightloop.fleet.values import Wanted
from sightloop.kernel.errors import NotFound
from sightloop.testing.workspaces import LOCAL_CALL
from tests.telemetry.conftest import Sender


def names(workspace, *, limit: int = 50, after=None, **wanted) -> list[str]:
    request = PageDevices(wanted=Wanted(**wanted), limit=limit, after=after)
    return [one.device.name for one in page_devices(workspace, LOCAL_CALL, request).devices]


def test_pages_follow_one_another_and_leave_nobody_out(workspace, enrol):
    for number in range(7):
        enrol(f"box-{number}", ring="canary" if number % 2 else "fleet")
    seen, after = [], None
    for _ in range(4):
        found = page_devices(workspace, LOCAL_CALL, PageDevices(after=after, limit=2))
        seen += [one.device.name for one in found.devices]
        after = found.after
    assert after is None
    assert seen == ["box-1", "box-3", "box-5", "box-0", "box-2", "box-4", "box-6"]


def test_a_device_that_missed_its_check_ins_is_silent_and_not_online(workspace, enrol, clock):
    enrol("quiet").check_in()
    clock.advance(901)
    enrol("lively").check_in()
    enrol("newcomer")
    assert names(workspace, state="silent") == ["quiet"]
    assert names(workspace, state="online") == ["lively"]
    assert names(workspace, state="new") == ["newcomer"]


def test_rare_check_ins_are_not_taken_for_silence(workspace, enrol, clock):
    server = msgspec.structs.replace(workspace.config.server, check_in_every_s=3600.0)
    object.__setattr__(
        workspace, "config", msgspec.structs.replace(workspace.config, server=server)
    )
    enrol("hourly").check_in()
    clock.advance(5000)
    assert names(workspace, state="online") == ["hourly"]


def test_a_ring_is_counted_by_how_its_devices_are(workspace, enrol, clock):
    enrol("quiet").check_in()
    clock.advance(901)
    broken = enrol("broken")
    broken.report(state="failed", problem="no memory")
    broken.check_in()
    enrol("newcomer")
    enrol("elsewhere", ring="fleet").check_in()
    canary, fleet = count_fleet(workspace, LOCAL_CALL, CountFleet()).rings
    assert (canary.n_devices, canary.n_online, canary.n_silent, canary.n_new) == (3, 1, 1, 1)
    assert canary.n_failing == 1
    assert (fleet.ring, fleet.n_devices, fleet.n_online) == ("fleet", 1, 1)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"ring": "fleet"}, ["two"]),
        ({"model": "glass"}, ["two"]),
        ({"model": "unknown"}, []),
        ({"state": "failing"}, ["one"]),
        ({"ring": "fleet", "state": "failing"}, []),
        ({"site": "nowhere"}, []),
    ],
)
def test_a_filter_keeps_what_it_names(workspace, enrol, wanted, found):
    one = enrol("one")
    one.report(state="failed", problem="no memory")
    one.check_in()
    enrol("two", ring="fleet", slots={"main": "glass"}).check_in()
    assert names(workspace, **wanted) == found


def test_a_slot_names_the_version_that_runs_beside_the_one_assigned(workspace, enrol, release):
    release(champion=True)
    box = enrol("box")
    box.obey()
    release(champion=True)
    (line,) = page_devices(workspace, LOCAL_CALL, PageDevices()).devices
    (slot,) = line.slots
    assert (slot.running, slot.assigned, slot.is_behind) == ("pcb@1", 1, False)


def test_latency_comes_from_the_windows_of_what_runs_now(workspace, enrol, release):
    version = release(champion=True)
    box = enrol("box")
    box.obey()
    sender = Sender(workspace, box.id)
    sender.send([sender.health(1, latency_counts=[0, 0, 10]), sender.health(2)])
    sender.send([sender.health(3, bundle=version.bundle)])
    (line,) = page_devices(workspace, LOCAL_CALL, PageDevices()).devices
    latency = line.slots[0].latency
    assert latency is not None
    assert (latency.p50_ms, latency.p95_ms, latency.top_ms) == (5.0, None, 10.0)


def test_no_answer_has_no_latency():
    assert latency_of([]) is None


def test_names_are_given_for_the_devices_that_are_known(workspace, enrol):
    box = enrol("box")
    found = name_devices(workspace, LOCAL_CALL, NameDevices(devices=[box.id, "dev_gone"]))
    assert found.names == {box.id: "box"}


def test_a_device_shows_how_it_served_and_what_it_switched(workspace, enrol, release):
    version = release(champion=True)
    box = enrol("box")
    box.obey()
    sender = Sender(workspace, box.id)
    sender.send([sender.health(1, bundle=version.bundle), sender.swap(2), sender.dropped(3)])
    details = show_details(workspace, LOCAL_CALL, ShowDetails(device="box"))
    (window,) = details.windows
    assert (window.version, window.n_requests) == ("pcb@1", 10)
    assert [one.swap.swap.outcome for one in details.swaps] == ["switched"]
    assert [one.dropped.n_envelopes for one in details.dropped] == [4]
    assert [stream.name for stream in details.streams] == ["cam"]


def test_a_device_that_is_none_is_named_in_the_refusal(workspace):
    with pytest.raises(NotFound, match="there is no device"):
        show_details(workspace, LOCAL_CALL, ShowDetails(device="nobody"))
