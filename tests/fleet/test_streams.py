import pytest

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.fleet.errors import BadStreamPolicy
from sightloop.fleet.streams import POLICY_CHANGED, SetStreamPolicy, set_stream_policy
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.testing.workspaces import LOCAL_CALL


def test_a_changed_rate_reaches_the_device_and_leaves_the_rest_as_it_was(workspace, enrol):
    device = enrol("box")
    (before,) = device.check_in().policies
    request = SetStreamPolicy(device="box", stream="cam", audit_rate=0.5)
    set_stream_policy(workspace, LOCAL_CALL, request)
    (after,) = device.check_in().policies
    assert after.audit_rate == 0.5
    assert after.window_images == before.window_images


def test_a_policy_survives_the_stream_being_pointed_at_something_else(workspace, enrol):
    device = enrol("box")
    device.check_in()
    set_stream_policy(
        workspace, LOCAL_CALL, SetStreamPolicy(device=device.id, stream="cam", drift_rate=1.0)
    )
    device.streams = [StreamDeclaration("cam", "main", "line=b")]
    assert device.check_in().policies[0].drift_rate == 1.0


def test_a_change_is_one_event_and_the_same_again_none(workspace, enrol):
    device = enrol("box")
    device.check_in()
    for _ in range(2):
        set_stream_policy(
            workspace, LOCAL_CALL, SetStreamPolicy(device="box", stream="cam", audit_rate=0.5)
        )
    with workspace.db.read() as tx:
        events = [event for event in history(tx) if event.kind == POLICY_CHANGED]
    assert [event.data["policy"]["audit_rate"] for event in events] == [0.5]


@pytest.mark.parametrize("change", [{"audit_rate": 1.1}, {"drift_rate": -1.0}, {"window_s": 0.0}])
def test_a_rate_that_is_no_probability_is_refused(workspace, enrol, change):
    enrol("box").check_in()
    with pytest.raises(BadStreamPolicy, match="stream cam of box") as caught:
        set_stream_policy(
            workspace, LOCAL_CALL, SetStreamPolicy(device="box", stream="cam", **change)
        )
    assert caught.value.code == "FLEET-003"


def test_an_unknown_stream_is_answered_with_the_known_ones(workspace, enrol):
    enrol("box").check_in()
    with pytest.raises(NotFound, match="declared are: cam"):
        set_stream_policy(
            workspace, LOCAL_CALL, SetStreamPolicy(device="box", stream="typo", audit_rate=0.1)
        )


def test_a_viewer_changes_no_policy(workspace, enrol):
    enrol("box").check_in()
    viewer = Call(Actor(ActorId("vic"), "person", Role.VIEWER))
    with pytest.raises(NotAllowed, match="run the loop"):
        set_stream_policy(
            workspace, viewer, SetStreamPolicy(device="box", stream="cam", audit_rate=0.1)
        )
