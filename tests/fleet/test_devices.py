import pytest

from sightloop.fleet.devices import ListDevices, ShowDevice, list_devices, show_device
from sightloop.kernel.errors import NotFound
from sightloop.testing.workspaces import LOCAL_CALL


def names(workspace, **where):
    found = list_devices(workspace, LOCAL_CALL, ListDevices(**where))
    return [facts.device.name for facts in found.devices]


def test_devices_are_listed_by_name_and_by_ring(workspace, enrol):
    enrol("b", ring="fleet"), enrol("a")
    assert names(workspace) == ["a", "b"]
    assert names(workspace, ring="fleet") == ["b"]
    assert names(workspace, site="nowhere") == []


def test_a_device_shows_what_it_should_run_beside_what_it_says(workspace, enrol, release):
    version = release(champion=True)
    device = enrol("box")
    device.obey(n_requests=42)
    facts = show_device(workspace, LOCAL_CALL, ShowDevice(device="box"))
    (slot,) = facts.slots
    assert (slot.assigned, slot.assigned_number, slot.counter) == (version.bundle, 1, 1)
    assert (slot.report.running, slot.report.n_requests) == (version.bundle, 42)
    assert [stream.name for stream in facts.streams] == ["cam"]


def test_a_device_that_never_came_has_no_time_and_no_report(workspace, enrol):
    enrol("box")
    facts = show_device(workspace, LOCAL_CALL, ShowDevice(device="box"))
    assert facts.seen_at_ms is None
    assert facts.slots[0].report is None


def test_an_unknown_device_is_not_found(workspace):
    with pytest.raises(NotFound, match="device 'nobody'"):
        show_device(workspace, LOCAL_CALL, ShowDevice(device="nobody"))
