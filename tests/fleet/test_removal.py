import pytest

from sightloop.fleet import rollout_store, store
from sightloop.fleet.devices import ListDevices, list_devices
from sightloop.fleet.errors import DeviceRemoved
from sightloop.fleet.health import HealthCriteria
from sightloop.fleet.removal import RemoveDevice, explain_refusal, remove_device
from sightloop.fleet.rollouts import (
    AbortRollout,
    StartRollout,
    abort_rollout,
    advance_rollouts,
    start_rollout,
)
from sightloop.kernel import tokens
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound, Unauthenticated
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.telemetry.health import latest_health
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL
from tests.telemetry.conftest import Sender

CRITERIA = HealthCriteria(bake_s=10.0, min_requests=10, offline_after_s=60.0)


def remove(workspace, name, reason="sold"):
    return remove_device(workspace, LOCAL_CALL, RemoveDevice(device=name, reason=reason))


def token_for(workspace, device):
    with workspace.db.write() as tx:
        return tokens.issue(tx, actor=ActorId(device.id), kind="device", role=Role.DEVICE, now_ms=0)


def start(workspace, version, *rings):
    request = StartRollout(
        model=version.model, number=version.number, rings=list(rings), criteria=CRITERIA
    )
    return start_rollout(workspace, LOCAL_CALL, request)


def test_a_removed_device_is_gone_and_its_name_is_free(workspace, release, enrol):
    release(champion=True)
    gone = enrol("line-1")
    gone.obey()
    stays = enrol("line-2")
    removed = remove(workspace, "line-1")
    assert (removed.device, removed.name, removed.reason) == (gone.id, "line-1", "sold")
    found = list_devices(workspace, LOCAL_CALL, ListDevices()).devices
    assert [one.device.id for one in found] == [stays.id]
    again = enrol("line-1")
    again.obey()
    assert again.id != gone.id


def test_its_token_is_worth_nothing_and_its_holder_is_told_why(workspace, enrol):
    device = enrol("line-1")
    token = token_for(workspace, device)
    remove(workspace, "line-1")
    with workspace.db.read() as tx, pytest.raises(Unauthenticated):
        tokens.actor_of(tx, token, now_ms=workspace.clock.now_ms())
    with pytest.raises(
        DeviceRemoved, match=r"'line-1' .* was removed at .*Z; stop its agent"
    ) as it:
        explain_refusal(workspace, token)
    assert (it.value.code, it.value.http_status) == ("FLEET-060", 410)
    explain_refusal(workspace, "guessed")  # a stranger learns nothing


def test_a_rollout_goes_on_without_it(workspace, clock, release, enrol):
    release(champion=True)
    kept, gone = enrol("line-1"), enrol("line-2")
    for device in (kept, gone):
        device.obey()
    rollout = start(workspace, release(), "canary")
    advance_rollouts(workspace, LOCAL_CALL)
    remove(workspace, "line-2")
    for _ in range(4):
        kept.obey()
        clock.advance(CRITERIA.bake_s)
        kept.check_in()
        advance_rollouts(workspace, LOCAL_CALL)
    with workspace.db.read() as tx:
        assert rollout_store.get_rollout(tx, rollout.id).state == "finished"
        placed = rollout_store.placements_of(tx, rollout.id)
    assert [one.device for one in placed] == [kept.id]


def test_a_rollout_that_reached_it_can_be_turned_back(workspace, release, enrol):
    release(champion=True)
    kept, gone = enrol("line-1"), enrol("line-2")
    for device in (kept, gone):
        device.obey()
    rollout = start(workspace, release(), "canary")
    advance_rollouts(workspace, LOCAL_CALL)
    remove(workspace, "line-2")
    request = AbortRollout(rollout=rollout.id, reason="bad")
    assert abort_rollout(workspace, LOCAL_CALL, request).state == "aborted"


def test_its_history_telemetry_and_name_stay(workspace, release, enrol):
    release(champion=True)
    device = enrol("line-1")
    device.obey()
    sender = Sender(workspace, device.id)
    sender.send([sender.health(1)])
    remove(workspace, "line-1")
    with workspace.db.read() as tx:
        events = list(history(tx, subject=device.id))
        assert store.names_of(tx, [device.id, "dev_unknown"]) == {device.id: "line-1"}
        windows = latest_health(tx, device.id, limit=5)
    assert [event.kind for event in events][-1] == "device.removed"
    assert "device.enrolled" in {event.kind for event in events}
    assert windows
    assert events[-1].data["reason"] == "sold"


def test_removing_it_once_more_changes_nothing(workspace, clock, enrol):
    enrol("line-1")
    first = remove(workspace, "line-1")
    clock.advance(60)
    assert remove(workspace, "line-1", "again") == first
    assert remove(workspace, first.device) == first


def test_a_device_that_never_was_is_named(workspace):
    with pytest.raises(NotFound, match="line-9"):
        remove(workspace, "line-9")


def test_only_an_admin_removes_devices(workspace, enrol):
    enrol("line-1")
    approver = Call(Actor(ActorId("anna"), "person", Role.APPROVER))
    with pytest.raises(NotAllowed):
        remove_device(workspace, approver, RemoveDevice(device="line-1"))


def test_a_crash_before_any_write_leaves_the_device_whole_or_removed(workspace, release, enrol):
    release(champion=True)
    device = enrol("line-1")
    device.obey()
    plan = CrashPlan()
    for step in range(10):
        plan = CrashPlan(before_write=step)
        try:
            remove(crashing(workspace, plan), "line-1")
        except SimulatedCrash:
            device.check_in()  # nothing of it is gone
        else:
            break
    assert plan.n_writes >= 1
    assert remove(workspace, "line-1").device == device.id
