"""Replacing keys: devices follow, the old key is worth nothing, and a crash is completed."""

import pytest
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, TargetFile, Targets, Timestamp

from sightloop.fleet.errors import BadThreshold, RepositoryKeyMissing, UnknownKeyRole
from sightloop.fleet.rotation import RotateKey, rotate_key
from sightloop.fleet.update_repository import publish
from sightloop.kernel.actors import Role
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotAllowed
from sightloop.registry.keys import find_signer, key_path
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.registry.update_metadata import MetadataFolder, update_metadata_folder
from sightloop.testing.faults import CrashPlan, SimulatedCrash, dying_disk
from sightloop.testing.workspaces import LOCAL_CALL

ONLINE = ["targets", "snapshot", "timestamp"]
ALL = ["root", *ONLINE, "assignments", "owner-pcb"]


def rotate(workspace, role, **fields):
    return rotate_key(workspace, LOCAL_CALL, RotateKey(role=role, **fields))


def folder_of(workspace):
    return MetadataFolder(update_metadata_folder(workspace))


@pytest.mark.parametrize("role", ALL)
def test_devices_follow_a_rotation_and_take_versions_signed_after_it(
    workspace, release, client, role
):
    first = release()
    publish(workspace)
    assert client.knows(first)
    before = find_signer(workspace, role).public_key.keyid
    (key_id,) = rotate(workspace, role).key_ids
    assert key_id == find_signer(workspace, role).public_key.keyid != before
    second = release()
    publish(workspace)
    assert client.knows(first)
    assert client.knows(second)


def test_what_a_stolen_key_signs_after_its_rotation_is_refused(workspace, client):
    thief = find_signer(workspace, "timestamp")
    client.look()
    rotate(workspace, "timestamp")
    path = folder_of(workspace).path / "timestamp.json"
    forged = Metadata[Timestamp].from_file(str(path))
    forged.signed.version += 1
    forged.sign(thief)
    path.write_bytes(forged.to_bytes())
    with pytest.raises(RepositoryError):
        client.look()


def test_versions_a_thief_drove_up_are_forgotten_with_his_key(workspace, release, client):
    path = folder_of(workspace).path / "timestamp.json"
    honest = path.read_bytes()
    forged = Metadata[Timestamp].from_bytes(honest)
    forged.signed.version = 1 << 30
    forged.sign(find_signer(workspace, "timestamp"))
    path.write_bytes(forged.to_bytes())
    client.look()
    path.write_bytes(honest)
    with pytest.raises(RepositoryError):
        client.look()
    rotate(workspace, "timestamp")
    version = release()
    publish(workspace)
    assert client.knows(version)


def test_assignments_are_signed_again_by_the_new_online_key(workspace, release, enrol):
    release(champion=True)
    device = enrol("line-1")
    device.obey()
    (old,) = device.check_in().assignments
    done = rotate(workspace, "assignments")
    (new,) = device.check_in().assignments
    assert done.n_assignments == 1
    assert (old.key_id != new.key_id, [new.key_id]) == (True, done.key_ids)
    targets = folder_of(workspace).load_newest("targets", Targets).signed
    assert targets.get_delegated_role("assignments").keyids == done.key_ids


def test_an_owners_rotation_drops_what_the_registry_does_not_know(workspace, release, client):
    release()
    publish(workspace)
    thief, folder = find_signer(workspace, "owner-pcb"), folder_of(workspace)
    foreign = digest_of(b"foreign")
    path = f"bundles/pcb/{foreign.removeprefix('sha256:')}.json"
    forged = folder.load_newest("owner-pcb", Targets)
    forged.signed.targets[path] = TargetFile.from_data(path, b"foreign")
    forged.signed.version += 1
    forged.sign(thief)
    folder.write("owner-pcb", forged)
    publish(workspace)
    assert client.finds("pcb", foreign)
    rotate(workspace, "owner-pcb")
    assert not client.finds("pcb", foreign)
    assert sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1))


def test_a_root_of_three_keys_needs_two_of_them(workspace, client):
    client.look()
    rotate(workspace, "root", n_keys=3, threshold=2)
    client.look()
    key_path(workspace, "root").unlink()
    rotate(workspace, "timestamp")
    client.look()
    key_path(workspace, "root-2").unlink()
    with pytest.raises(RepositoryKeyMissing) as caught:
        rotate(workspace, "timestamp")
    assert caught.value.code == "FLEET-041"


def test_a_root_goes_back_to_one_key(workspace, client):
    rotate(workspace, "root", n_keys=3, threshold=2)
    rotate(workspace, "root")
    assert not key_path(workspace, "root-3").exists()
    assert folder_of(workspace).load_newest("root", Root).signed.roles["root"].threshold == 1
    client.look()


def test_a_device_away_for_many_rotations_follows_all_of_them(workspace, release, client):
    version = release()
    publish(workspace)
    client.look()
    for role in [*ALL, "root"]:
        rotate(workspace, role)
    assert client.knows(version)


@pytest.mark.parametrize(
    ("role", "n_keys", "threshold"), [("root", 2, 3), ("timestamp", 2, 1), ("root", 10, 1)]
)
def test_a_threshold_that_cannot_be_met_is_refused(workspace, role, n_keys, threshold):
    with pytest.raises(BadThreshold) as caught:
        rotate(workspace, role, n_keys=n_keys, threshold=threshold)
    assert caught.value.code == "FLEET-043"


def test_a_key_that_is_not_there_is_not_rotated(workspace):
    with pytest.raises(UnknownKeyRole, match="owner-nothing") as caught:
        rotate(workspace, "owner-nothing")
    assert caught.value.code == "FLEET-042"


def test_only_an_admin_rotates_keys(workspace):
    from sightloop.kernel.actors import Actor, ActorId
    from sightloop.kernel.workspace import Call

    call = Call(Actor(ActorId("p"), "person", Role.APPROVER))
    with pytest.raises(NotAllowed):
        rotate_key(workspace, call, RotateKey(role="timestamp"))


@pytest.mark.parametrize("role", ALL)
def test_a_rotation_cut_at_any_write_is_completed_by_asking_again(workspace, release, client, role):
    version = release()
    publish(workspace)
    client.look()
    plan = CrashPlan()
    with dying_disk(plan):
        rotate(workspace, role)
    for before_write in range(plan.n_writes):
        with dying_disk(CrashPlan(before_write)), pytest.raises(SimulatedCrash):
            rotate(workspace, role)
        publish(workspace)
        if role in ("assignments", "owner-pcb"):
            assert client.knows(version)
        rotate(workspace, role)
        publish(workspace)
        assert client.knows(version)
