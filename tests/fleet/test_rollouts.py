import pytest

from sightloop.fleet import rollout_store, store
from sightloop.fleet.errors import BadRings, NotSigned, RolloutNot, RolloutUnderWay
from sightloop.fleet.health import HealthCriteria
from sightloop.fleet.rollout_status import ListRollouts, list_rollouts, rollout_status
from sightloop.fleet.rollouts import (
    AbortRollout,
    NameRollout,
    StartRollout,
    abort_rollout,
    advance_rollouts,
    pause_rollout,
    resume_rollout,
    start_rollout,
    start_rollout_step,
)
from sightloop.kernel import steps
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.registry import store as registry
from sightloop.registry.errors import NotReleasable
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL

CRITERIA = HealthCriteria(bake_s=10.0, min_requests=10, offline_after_s=60.0)


def start(workspace, version, *rings, **more):
    request = StartRollout(
        model=version.model,
        number=version.number,
        rings=list(rings or ("canary", "fleet")),
        criteria=CRITERIA,
        **more,
    )
    return start_rollout(workspace, LOCAL_CALL, request)


def tick(workspace):
    return advance_rollouts(workspace, LOCAL_CALL)


def settle(workspace, clock, *devices, rounds=4, **service):
    """Devices do as they are told, time passes, the worker ticks."""
    for _ in range(rounds):
        tick(workspace)
        for device in devices:
            device.obey(**service)
        clock.advance(CRITERIA.bake_s)
        for device in devices:
            device.check_in()
    tick(workspace)


def champion(workspace, model="pcb"):
    with workspace.db.read() as tx:
        alias = registry.find_alias(tx, model, "champion")
    return None if alias is None else alias.number


def assigned(workspace, device):
    with workspace.db.read() as tx:
        (slot,) = store.slots_of(tx, device.id)
    return slot.number


def told(workspace, subject):
    with workspace.db.read() as tx:
        return [(event.kind, event.data["ring"]) for event in history(tx, subject=subject)]


@pytest.fixture
def fleet(workspace, enrol, release, clock):
    """Two devices in two rings that serve version 1, and a signed version 2."""
    release(champion=True)
    devices = enrol("a"), enrol("b", ring="fleet")
    for device in devices:
        device.obey()
    return (*devices, release())


def test_a_rollout_reaches_every_device_and_makes_its_version_champion(workspace, clock, fleet):
    first, second, version = fleet
    rollout = start(workspace, version)
    settle(workspace, clock, first, second)
    assert [assigned(workspace, device) for device in (first, second)] == [2, 2]
    assert champion(workspace) == 2
    assert tick(workspace) == []
    assert told(workspace, rollout.id) == [
        ("rollout.started", None),
        ("rollout.advanced", "canary"),
        ("rollout.advanced", "fleet"),
        ("rollout.finished", "fleet"),
    ]


def test_a_counter_only_grows_over_rollouts_and_turns_back(workspace, clock, fleet):
    first, second, version = fleet
    start(workspace, version)
    tick(workspace)
    first.obey()
    first.report(state="failed", problem="no memory")
    first.check_in()
    tick(workspace)
    with workspace.db.read() as tx:
        counters = [store.slots_of(tx, device.id)[0].counter for device in (first, second)]
    assert counters == [3, 1]


def test_a_failed_slot_turns_every_device_back_to_its_previous_version(workspace, clock, fleet):
    first, second, version = fleet
    rollout = start(workspace, version)
    settle(workspace, clock, first, rounds=2)
    second.check_in()
    assert assigned(workspace, second) == 2
    second.obey()
    second.report(state="failed", problem="no memory")
    second.check_in()
    (ended,) = tick(workspace)
    assert ended.state == "rolled_back"
    assert "no memory" in ended.reason
    assert [assigned(workspace, device) for device in (first, second)] == [1, 1]
    assert champion(workspace) == 1
    assert told(workspace, rollout.id)[-1] == ("rollout.rolled_back", "fleet")


def test_a_first_version_that_fails_is_withdrawn_because_there_is_nothing_to_go_back_to(
    workspace, enrol, release
):
    device, version = enrol("a"), release()
    start(workspace, version)
    tick(workspace)
    device.obey()
    device.report(n_failed=90)
    device.check_in()
    tick(workspace)
    assert assigned(workspace, device) is None
    assert device.check_in().assignments == []


def test_a_verdict_that_is_lost_on_the_way_turns_the_rollout_back(workspace, fleet, judged):
    _, _, version = fleet
    start(workspace, version)
    tick(workspace)
    judged(version, "fail")
    (ended,) = tick(workspace)
    assert ended.state == "rolled_back"
    assert "no longer a pass but fail: not_worse (fail): 0.70 is below 0.79" in ended.reason


def test_a_device_that_comes_back_after_the_end_finds_its_assignment(
    workspace, clock, fleet, enrol
):
    first, second, version = fleet
    away = enrol("away", ring="canary")
    start(workspace, version)
    settle(workspace, clock, first, second)
    assert champion(workspace) == 2
    away.obey()
    assert away.slots["main"].running == version.bundle


def test_what_is_assigned_has_been_published(workspace, fleet, client):
    _, _, version = fleet
    start(workspace, version)
    assert client.knows(version)


def test_only_a_signed_version_is_rolled_out(workspace, unsigned, judged):
    version = unsigned()
    judged(version, "pass")
    with pytest.raises(NotSigned, match="sightloop sign pcb@1") as caught:
        start(workspace, version)
    assert caught.value.code == "FLEET-030"


def test_only_a_version_with_a_passing_verdict_is_rolled_out(workspace, release, judged):
    version = release()
    judged(version, "inconclusive")
    with pytest.raises(NotReleasable, match=r"pcb@1 cannot be rolled out.*inconclusive"):
        start(workspace, version)


def test_a_model_has_one_rollout_at_a_time(workspace, fleet, release):
    _, _, version = fleet
    first = start(workspace, version)
    with pytest.raises(RolloutUnderWay, match=first.id) as caught:
        start(workspace, release())
    assert caught.value.code == "FLEET-031"


def test_starting_the_same_rollout_again_returns_it(workspace, fleet):
    _, _, version = fleet
    first = start(workspace, version, id="rollout_x")
    tick(workspace)
    again = start(workspace, version, id="rollout_x")
    assert again.id == first.id
    assert again.revision == 1


def test_the_step_starts_one_rollout_however_often_it_runs(workspace, fleet):
    _, _, version = fleet
    inputs = {"model": "pcb", "number": version.number, "rings": ["canary", "fleet"]}
    with workspace.db.write() as tx:
        step = steps.ask_for(tx, steps.StepSpec("rollout", 1, inputs), now_ms=0)
    outcomes = [start_rollout_step(workspace, step, control=None) for _ in range(2)]
    assert outcomes[0].output == outcomes[1].output
    assert len(list_rollouts(workspace, LOCAL_CALL, ListRollouts()).rollouts) == 1


@pytest.mark.parametrize(
    ("rings", "problem"),
    [
        (["canary"], "devices of the model are also in fleet"),
        (["canary", "fleet", "canary"], "named twice"),
        ([], "at least one"),
    ],
)
def test_rings_that_leave_a_device_out_are_refused(workspace, fleet, rings, problem):
    _, _, version = fleet
    request = StartRollout(model="pcb", number=version.number, rings=rings)
    with pytest.raises(BadRings, match=problem) as caught:
        start_rollout(workspace, LOCAL_CALL, request)
    assert caught.value.code == "FLEET-004"


def test_a_paused_rollout_assigns_nothing_until_it_is_resumed(workspace, clock, fleet):
    first, second, version = fleet
    rollout = start(workspace, version)
    tick(workspace)
    pause_rollout(workspace, LOCAL_CALL, NameRollout(rollout=rollout.id))
    settle(workspace, clock, first, second)
    assert assigned(workspace, second) == 1
    resume_rollout(workspace, LOCAL_CALL, NameRollout(rollout=rollout.id))
    settle(workspace, clock, first, second)
    assert assigned(workspace, second) == 2


def test_an_aborted_rollout_turns_back(workspace, clock, fleet):
    first, _, version = fleet
    rollout = start(workspace, version)
    tick(workspace)
    ended = abort_rollout(
        workspace, LOCAL_CALL, AbortRollout(rollout=rollout.id, reason="wrong day")
    )
    assert (ended.state, ended.reason) == ("aborted", "wrong day")
    assert assigned(workspace, first) == 1
    assert told(workspace, rollout.id)[-1] == ("rollout.aborted", "canary")


@pytest.mark.parametrize("act", ["pause", "resume", "abort"])
def test_an_ended_rollout_cannot_be_changed(workspace, fleet, act):
    _, _, version = fleet
    name = start(workspace, version).id
    abort_rollout(workspace, LOCAL_CALL, AbortRollout(rollout=name, reason="x"))
    with pytest.raises(RolloutNot, match="it is aborted") as caught:
        if act == "pause":
            pause_rollout(workspace, LOCAL_CALL, NameRollout(rollout=name))
        elif act == "resume":
            resume_rollout(workspace, LOCAL_CALL, NameRollout(rollout=name))
        else:
            abort_rollout(workspace, LOCAL_CALL, AbortRollout(rollout=name, reason="x"))
    assert caught.value.code == "FLEET-032"


def test_the_timeline_says_who_switched_when(workspace, clock, fleet):
    first, second, version = fleet
    rollout = start(workspace, version)
    settle(workspace, clock, first, second)
    status = rollout_status(workspace, LOCAL_CALL, NameRollout(rollout=rollout.id))
    moments = [(entry.what, entry.device) for entry in status.timeline]
    order = ["started", "ring opened", "assigned", "switched", "healthy", "ring done"]
    assert [what for what, _ in moments[:6]] == order
    assert moments[-1] == ("finished", None)
    assert {device for what, device in moments if what == "switched"} == {first.id, second.id}
    assert {slot.state for slot in status.slots} == {"healthy"}


def test_the_status_says_what_a_rollout_waits_for(workspace, fleet):
    _, _, version = fleet
    rollout = start(workspace, version)
    tick(workspace)
    status = rollout_status(workspace, LOCAL_CALL, NameRollout(rollout=rollout.id))
    (slot,) = status.slots
    assert (slot.state, slot.reason) == ("waiting", "has not seen its assignment")
    assert status.waiting_members == 1


def test_two_workers_that_decide_at_once_move_a_rollout_once(workspace, clock, fleet):
    _, _, version = fleet
    rollout = start(workspace, version)
    with workspace.db.read() as tx:
        seen = rollout_store.get_rollout(tx, rollout.id)
    tick(workspace)
    with workspace.db.write() as tx:
        assert not rollout_store.move_rollout(tx, seen)


def test_a_tick_without_a_change_writes_nothing(workspace, fleet):
    _, _, version = fleet
    start(workspace, version)
    tick(workspace)
    plan = CrashPlan()
    tick(crashing(workspace, plan))
    assert plan.n_writes == 0


def test_a_crash_in_any_tick_loses_and_repeats_nothing(workspace, clock, fleet):
    first, second, version = fleet
    rollout = start(workspace, version)
    for _ in range(4):
        with pytest.raises(SimulatedCrash):
            tick(crashing(workspace, CrashPlan(before_write=0)))
            raise SimulatedCrash  # nothing to write this time, which is as good
        tick(workspace)
        for device in (first, second):
            device.obey()
        clock.advance(CRITERIA.bake_s)
        for device in (first, second):
            device.check_in()
    tick(workspace)
    assert champion(workspace) == 2
    assert told(workspace, rollout.id).count(("rollout.finished", "fleet")) == 1


def test_an_engineer_cannot_release(workspace, fleet):
    engineer = Call(Actor(ActorId("eve"), "person", Role.ENGINEER))
    request = StartRollout(model="pcb", number=2, rings=["canary", "fleet"])
    with pytest.raises(NotAllowed, match="release"):
        start_rollout(workspace, engineer, request)


def test_an_unknown_rollout_is_not_found(workspace):
    with pytest.raises(NotFound, match="rollout 'rollout_9'"):
        rollout_status(workspace, LOCAL_CALL, NameRollout(rollout="rollout_9"))
