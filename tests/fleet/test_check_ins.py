import msgspec
import pytest
from securesystemslib.signer import Signature
from tuf.api.metadata import Targets

from sightloop.contracts.assignment import Assignment
from sightloop.contracts.check_in import StreamDeclaration
from sightloop.contracts.decode import decode
from sightloop.fleet import store
from sightloop.fleet.check_ins import SLOT_FAILED, SLOT_SWITCHED, STREAM_DECLARED, check_in
from sightloop.fleet.errors import SpeaksForAnother
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.update_metadata import MetadataFolder, update_metadata_folder
from sightloop.testing.faults import CrashPlan, crashing
from sightloop.testing.workspaces import LOCAL_CALL


def assignment_in(reply):
    (signed,) = reply.assignments
    return decode(signed.payload, Assignment, what="the assignment")


def kinds_since(workspace, number):
    with workspace.db.read() as tx:
        return [event.kind for event in history(tx, after=number)]


def last_event(workspace):
    with workspace.db.read() as tx:
        return history(tx)[-1]


def test_a_slot_of_a_model_without_a_champion_is_assigned_nothing(enrol):
    assert enrol("box").check_in().assignments == []


def test_a_slot_without_an_assignment_gets_its_models_champion(enrol, release):
    version = release(champion=True)
    device = enrol("box")
    assignment = assignment_in(device.check_in())
    assert (assignment.device, assignment.slot) == (device.id, "main")
    assert (assignment.bundle, assignment.version) == (version.bundle, 1)
    assert assignment.counter == 1


def test_an_unsigned_champion_is_not_assigned(workspace, enrol, unsigned, judged):
    version = unsigned()
    judged(version, "pass")
    set_alias(workspace, LOCAL_CALL, SetAlias(model="pcb", alias="champion", number=1))
    assert enrol("box").check_in().assignments == []


def test_an_assignment_stays_when_the_champion_moves(enrol, release):
    release(champion=True)
    device = enrol("box")
    first = device.check_in()
    release(champion=True)
    assert device.check_in().assignments == first.assignments


def test_an_assignment_is_signed_by_the_key_the_update_metadata_delegates_to(
    workspace, enrol, release
):
    release(champion=True)
    (signed,) = enrol("box").check_in().assignments
    targets = MetadataFolder(update_metadata_folder(workspace)).load_newest("targets", Targets)
    delegations = targets.signed.delegations
    assert delegations.roles["assignments"].keyids == [signed.key_id]
    key = delegations.keys[signed.key_id]
    key.verify_signature(Signature(signed.key_id, signed.signature), signed.payload)
    assert delegations.roles["assignments"].paths == ["assignments/*"]


def test_two_slots_of_a_device_get_the_champions_of_their_models(enrol, release):
    pcb, shelf = release("pcb", champion=True), release("shelf", champion=True)
    device = enrol("box", slots={"left": "pcb", "right": "shelf"})
    found = [
        decode(signed.payload, Assignment, what="x") for signed in device.check_in().assignments
    ]
    assert {(a.slot, a.bundle) for a in found} == {("left", pcb.bundle), ("right", shelf.bundle)}


def test_the_latest_report_is_kept_with_the_servers_time(workspace, enrol, clock):
    device = enrol("box")
    device.check_in()
    clock.advance(5)
    device.report(n_requests=7)
    device.check_in()
    with workspace.db.read() as tx:
        report = store.report_of(tx, device.id)
    assert report.seen_at_ms == clock.now_ms()
    assert report.of_slot("main").n_requests == 7


def test_an_uneventful_check_in_is_one_write_and_no_event(workspace, enrol, release):
    release(champion=True)
    device = enrol("box")
    device.obey()
    before, plan = last_event(workspace).number, CrashPlan()
    device.workspace = crashing(workspace, plan)
    device.check_in()
    assert plan.n_writes == 1
    assert kinds_since(workspace, before) == []


def test_a_slot_that_runs_something_else_is_told_in_an_event(workspace, enrol):
    device = enrol("box")
    device.report(state="serving", running=digest_of(b"new"))
    device.check_in()
    event = last_event(workspace)
    assert (event.kind, event.subject) == (SLOT_SWITCHED, device.id)
    assert event.data == {
        "device": device.id,
        "slot": "main",
        "bundle": digest_of(b"new"),
        "previous": None,
    }


def test_a_failed_slot_is_told_once_with_its_problem(workspace, enrol):
    device = enrol("box")
    device.report(state="failed", assigned=digest_of(b"new"), problem="out of memory")
    device.check_in()
    event = last_event(workspace)
    assert (event.kind, event.data["problem"]) == (SLOT_FAILED, "out of memory")
    device.check_in()
    assert last_event(workspace) == event


def test_a_device_speaks_for_itself_only(enrol):
    device, other = enrol("box"), enrol("other")
    device.id = other.id
    with pytest.raises(SpeaksForAnother, match=f"speak for device {other.id}") as caught:
        device.check_in()
    assert caught.value.code == "FLEET-010"


def test_a_person_cannot_check_in_as_a_device(workspace, enrol):
    device = enrol("box")
    device.call = Call(Actor(ActorId(device.id), "person", Role.ADMIN))
    with pytest.raises(NotAllowed, match="act as a device"):
        device.check_in()


def test_a_declared_stream_gets_its_policy_in_the_order_it_was_declared(enrol):
    device = enrol("box")
    device.streams = [StreamDeclaration("z", "main"), StreamDeclaration("a", "main", "line=b")]
    assert [policy.stream for policy in device.check_in().policies] == ["z", "a"]
    assert [policy.stream for policy in device.check_in().policies] == ["z", "a"]


def test_a_stream_is_told_of_when_it_is_declared_and_when_it_sees_something_else(workspace, enrol):
    device = enrol("box")
    device.check_in(), device.check_in()
    device.streams = [StreamDeclaration("cam", "main", "line=b")]
    device.check_in()
    with workspace.db.read() as tx:
        told = [event.data for event in history(tx) if event.kind == STREAM_DECLARED]
    assert [data["stratum"] for data in told] == ["line=a", "line=b"]
    assert told[0] == {
        "device": device.id,
        "stream": "cam",
        "slot": "main",
        "model": "pcb",
        "stratum": "line=a",
    }


def test_the_reply_says_when_to_come_again_by_whose_clock(enrol, clock):
    reply = enrol("box").check_in()
    assert reply.next_check_in_s == 60.0
    assert reply.server_time_ms == clock.now_ms()


def test_a_new_agent_version_is_noted_on_the_device(workspace, enrol):
    device = enrol("box")
    device.check_in()
    with workspace.db.read() as tx:
        request = store.report_of(tx, device.id).check_in
    newer = msgspec.structs.replace(request, agent_version="2", capabilities=["openvino"])
    check_in(workspace, device.call, newer)
    with workspace.db.read() as tx:
        found = store.get_device(tx, "box")
    assert (found.agent_version, found.capabilities) == ("2", ["openvino"])
