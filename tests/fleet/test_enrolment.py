import pytest

from sightloop.contracts.check_in import EnrolRequest
from sightloop.fleet import store
from sightloop.fleet.enrolment import (
    DEVICE_ENROLLED,
    CreateEnrolment,
    create_enrolment,
    enrol_device,
)
from sightloop.fleet.errors import BadFleetName, DeviceNameTaken, NoSlots, RepositoryMissing
from sightloop.fleet.update_repository import root_bytes
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, Unauthenticated
from sightloop.kernel.events import history
from sightloop.kernel.tokens import actor_of
from sightloop.kernel.workspace import Call
from sightloop.registry.errors import BadModelName
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace

PLACE = CreateEnrolment(name="box-1", ring="canary", site="hall", slots={"main": "pcb"})
REQUEST = EnrolRequest(name="own-name", device_class="box", agent_version="1", capabilities=[])


def actor_with(workspace, token):
    with workspace.db.read() as tx:
        return actor_of(tx, token, now_ms=workspace.clock.now_ms())


def enrol(workspace, place, request=REQUEST):
    call = Call(actor_with(workspace, place.token))
    return enrol_device(workspace, call, request, token=place.token)


def test_a_device_gets_an_identity_a_token_and_the_root_of_trust(workspace):
    reply = enrol(workspace, create_enrolment(workspace, LOCAL_CALL, PLACE))
    assert actor_with(workspace, reply.token) == Actor(ActorId(reply.device), "device", Role.DEVICE)
    assert reply.update_root == root_bytes(workspace)


def test_the_prepared_place_decides_name_ring_site_and_slots(workspace):
    reply = enrol(workspace, create_enrolment(workspace, LOCAL_CALL, PLACE))
    with workspace.db.read() as tx:
        device = store.get_device(tx, "box-1")
        slots = store.slots_of(tx, reply.device)
    assert (device.id, device.ring, device.site) == (reply.device, "canary", "hall")
    assert [(slot.slot, slot.model, slot.counter) for slot in slots] == [("main", "pcb", 0)]


def test_a_place_without_a_name_takes_the_devices_own(workspace):
    place = create_enrolment(workspace, LOCAL_CALL, CreateEnrolment(ring="r", slots={"s": "m"}))
    reply = enrol(workspace, place)
    with workspace.db.read() as tx:
        assert store.get_device(tx, "own-name").id == reply.device


def test_a_token_enrols_one_device_only(workspace):
    place = create_enrolment(workspace, LOCAL_CALL, PLACE)
    call = Call(actor_with(workspace, place.token))
    enrol_device(workspace, call, REQUEST, token=place.token)
    with pytest.raises(Unauthenticated, match="used before"):
        enrol_device(workspace, call, REQUEST, token=place.token)


def test_a_token_expires(workspace, clock):
    place = create_enrolment(workspace, LOCAL_CALL, PLACE)
    clock.advance(PLACE.lifetime_s)
    with pytest.raises(Unauthenticated):
        enrol(workspace, place)


def test_a_device_whose_reply_was_lost_is_replaced_under_its_name(workspace):
    lost = enrol(workspace, create_enrolment(workspace, LOCAL_CALL, PLACE))
    again = enrol(workspace, create_enrolment(workspace, LOCAL_CALL, PLACE))
    assert again.device == lost.device
    with pytest.raises(Unauthenticated):
        actor_with(workspace, lost.token)


def test_the_name_of_a_device_that_checked_in_is_taken(workspace, enrol):
    enrol("box-1").check_in()
    with pytest.raises(DeviceNameTaken, match="box-1") as caught:
        create_enrolment(workspace, LOCAL_CALL, PLACE)
    assert caught.value.code == "FLEET-020"


def test_enrolling_is_told_in_an_event(workspace):
    reply = enrol(workspace, create_enrolment(workspace, LOCAL_CALL, PLACE))
    with workspace.db.read() as tx:
        event = history(tx)[-1]
    assert (event.kind, event.subject) == (DEVICE_ENROLLED, reply.device)
    assert event.data["name"] == "box-1"
    assert event.data["ring"] == "canary"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"slots": {}}, NoSlots),
        ({"slots": {"main": "PCB/../x"}}, BadModelName),
        ({"slots": {"a b": "pcb"}}, BadFleetName),
        ({"ring": ""}, BadFleetName),
        ({"name": "../box"}, BadFleetName),
    ],
)
def test_what_could_never_work_is_refused_before_a_token_exists(workspace, changes, error):
    wrong = {"ring": "canary", "slots": {"main": "pcb"}} | changes
    with pytest.raises(error):
        create_enrolment(workspace, LOCAL_CALL, CreateEnrolment(**wrong))
    with workspace.db.read() as tx:
        assert history(tx) == []


def test_only_an_admin_prepares_places(workspace):
    engineer = Call(Actor(ActorId("eve"), "person", Role.ENGINEER))
    with pytest.raises(NotAllowed, match="administer"):
        create_enrolment(workspace, engineer, PLACE)


def test_without_an_update_repository_the_token_is_not_spent(tmp_path, clock):
    bare = fresh_workspace(tmp_path / "bare", clock=clock)
    place = create_enrolment(bare, LOCAL_CALL, PLACE)
    with pytest.raises(RepositoryMissing):
        enrol(bare, place)
    assert actor_with(bare, place.token).role == Role.ENROLMENT
