"""Releases of the agent: signed, assigned, and told only to agents that can be replaced."""

import pytest
from tuf.api.metadata import Targets

from sightloop.contracts.agent_release import SELF_UPDATE, release_path
from sightloop.contracts.assignment import Assignment
from sightloop.contracts.check_in import CheckIn
from sightloop.contracts.decode import decode
from sightloop.fleet.agent_releases import (
    AssignAgent,
    ReleaseAgent,
    assign_agent,
    release_agent,
)
from sightloop.fleet.check_ins import check_in
from sightloop.fleet.errors import BadRelease
from sightloop.fleet.removal import RemoveDevice, remove_device
from sightloop.fleet.rotation import RotateKey, rotate_key
from sightloop.fleet.update_repository import publish, released_blob, target_blob
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotFound
from sightloop.registry.errors import UpdateMetadataDamaged
from sightloop.registry.keys import ensure_signer
from sightloop.registry.update_metadata import MetadataFolder, update_metadata_folder
from sightloop.testing.workspaces import LOCAL_CALL


@pytest.fixture
def released(workspace, tmp_path):
    wheel = tmp_path / "sightloop-0.2.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    request = ReleaseAgent(version="0.2.0", wheels=[str(wheel)])
    made = release_agent(workspace, LOCAL_CALL, request)
    publish(workspace)
    return made


def reply_to(workspace, device, *capabilities: str):
    request = CheckIn(
        device=device.id,
        agent_version="0.1.0",
        capabilities=["bundle/1", *capabilities],
        boot="boot_1",
        at_ms=1,
        streams=[],
        slots=[],
        n_spooled=0,
    )
    return check_in(workspace, device.call, request)


def test_a_release_is_a_signed_target_and_its_wheels_are_given_out(workspace, released, client):
    path = release_path(released.digest)
    assert client.look().get_targetinfo(path) is not None
    assert target_blob(workspace, path) == released.digest
    assert released_blob(workspace, digest_of(b"a wheel")) == digest_of(b"a wheel")


def test_releases_somebody_else_slipped_in_are_not_signed_along(workspace, released, tmp_path):
    folder = MetadataFolder(update_metadata_folder(workspace))
    forged = folder.load_newest("agents", Targets)
    forged.signed.version = 2
    forged.sign(ensure_signer(workspace, "timestamp"))
    folder.write("agents", forged)
    wheel = tmp_path / "sightloop-0.3.0-py3-none-any.whl"
    wheel.write_bytes(b"another wheel")
    with pytest.raises(UpdateMetadataDamaged, match=r"key [0-9a-f]+ of agents") as caught:
        release_agent(workspace, LOCAL_CALL, ReleaseAgent(version="0.3.0", wheels=[str(wheel)]))
    assert caught.value.code == "REG-041"


def test_a_device_that_was_assigned_a_release_can_be_removed(workspace, released, enrol):
    enrol("line-1")
    kept = enrol("line-2")
    assign_agent(workspace, LOCAL_CALL, AssignAgent(number=1))
    remove_device(workspace, LOCAL_CALL, RemoveDevice(device="line-1"))
    again = enrol("line-1")
    assert reply_to(workspace, again, SELF_UPDATE).agent is None
    assert reply_to(workspace, kept, SELF_UPDATE).agent is not None


def test_only_an_agent_that_can_be_replaced_is_told_of_a_release(workspace, released, enrol):
    device = enrol("line-1")
    assign_agent(workspace, LOCAL_CALL, AssignAgent(number=1))
    assert reply_to(workspace, device).agent is None
    told = decode(reply_to(workspace, device, SELF_UPDATE).agent.payload, Assignment, what="x")
    assert (told.slot, told.bundle, told.counter) == ("@agent", released.digest, 1)


def test_the_counter_of_an_agents_assignments_only_grows(workspace, released, enrol):
    device = enrol("line-1")
    for counter in (1, 2):
        assign_agent(workspace, LOCAL_CALL, AssignAgent(number=1, devices=["line-1"]))
        reply = reply_to(workspace, device, SELF_UPDATE)
        assert decode(reply.agent.payload, Assignment, what="x").counter == counter
    done = rotate_key(workspace, LOCAL_CALL, RotateKey(role="assignments"))
    reply = reply_to(workspace, device, SELF_UPDATE)
    assert [reply.agent.key_id] == done.key_ids
    assert decode(reply.agent.payload, Assignment, what="x").counter == 3


def test_a_ring_gets_a_release_alone(workspace, released, enrol):
    enrol("line-1", ring="canary"), enrol("line-2", ring="fleet")
    done = assign_agent(workspace, LOCAL_CALL, AssignAgent(number=1, ring="canary"))
    assert done.devices == ["line-1"]


def test_a_release_without_a_readable_wheel_is_refused(workspace):
    for wheels in ([], ["/nowhere/agent.whl"]):
        request = ReleaseAgent(version="1", wheels=wheels)
        with pytest.raises(BadRelease) as caught:
            release_agent(workspace, LOCAL_CALL, request)
        assert caught.value.code == "FLEET-045"


def test_a_release_that_was_never_made_is_not_assigned(workspace):
    with pytest.raises(NotFound, match="agent release"):
        assign_agent(workspace, LOCAL_CALL, AssignAgent(number=7))
