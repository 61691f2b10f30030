"""Taking a version back everywhere, which is not a rollback."""

import pytest
from tuf.api.metadata import Targets

from sightloop.contracts.revocation import revocations_in
from sightloop.fleet.revoking import revoke_version
from sightloop.fleet.rollouts import StartRollout, start_rollout
from sightloop.fleet.update_repository import publish, released_blob
from sightloop.kernel.errors import NotFound
from sightloop.registry import store as registry
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.errors import NotSignedYet, OwnerKeyMissing, VersionRevoked
from sightloop.registry.keys import key_path
from sightloop.registry.revoking import RevokeVersion
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.registry.update_metadata import MetadataFolder, update_metadata_folder
from sightloop.testing.workspaces import LOCAL_CALL

WHY = "it misses scratches on blue boards"


def revoke(workspace, version):
    request = RevokeVersion(model=version.model, number=version.number, reason=WHY)
    return revoke_version(workspace, LOCAL_CALL, request)


def statements(workspace):
    folder = MetadataFolder(update_metadata_folder(workspace))
    signed = folder.load_newest("owner-pcb", Targets).signed
    found = revocations_in(signed.unrecognized_fields, what="x")
    return [(one.bundle, one.version, one.reason) for one in found]


def test_a_revoked_version_is_no_target_any_more_and_stands_on_the_owners_list(
    workspace, release, client
):
    first, second = release(), release()
    publish(workspace)
    revoke(workspace, second)
    assert (client.knows(first), client.knows(second)) == (True, False)
    assert statements(workspace) == [(second.bundle, 2, WHY)]


def test_a_revocation_outlives_every_later_signature(workspace, release, client):
    first = release()
    revoke(workspace, first)
    later = release()
    publish(workspace)
    assert client.knows(later)
    assert statements(workspace) == [(first.bundle, 1, WHY)]


def test_the_devices_of_a_revoked_champion_get_the_version_before(workspace, release, enrol):
    first, second = release(), release(champion=True)
    device = enrol("line-1")
    device.obey()
    done = revoke(workspace, second)
    assert (done.instead, done.n_slots) == (1, 1)
    device.obey()
    assert device.slots["main"].running == first.bundle
    assert device.slots["main"].counter == 2


def test_devices_of_a_version_without_a_predecessor_are_assigned_nothing(workspace, release, enrol):
    only = release(champion=True)
    device = enrol("line-1")
    device.obey()
    assert revoke(workspace, only).instead is None
    assert device.check_in().assignments == []


def test_a_rollout_of_a_revoked_version_is_aborted(workspace, release, enrol):
    release(champion=True)
    enrol("line-1").obey()
    second = release()
    rollout = start_rollout(
        workspace, LOCAL_CALL, StartRollout(model="pcb", number=2, rings=["canary"])
    )
    assert revoke(workspace, second).rollouts == [rollout.id]


def test_a_revoked_version_is_never_signed_promoted_or_rolled_out_again(workspace, release):
    version = release()
    revoke(workspace, version)
    attempts = (
        lambda: sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1)),
        lambda: set_alias(workspace, LOCAL_CALL, SetAlias(model="pcb", alias="champion", number=1)),
        lambda: start_rollout(
            workspace, LOCAL_CALL, StartRollout(model="pcb", number=1, rings=["canary"])
        ),
    )
    for attempt in attempts:
        with pytest.raises(VersionRevoked, match=WHY) as caught:
            attempt()
        assert caught.value.code == "REG-045"


def test_the_files_of_a_revoked_version_are_given_to_nobody(workspace, release):
    version = release()
    revoke(workspace, version)
    with pytest.raises(NotFound):
        released_blob(workspace, version.bundle)


def test_revoking_twice_changes_nothing(workspace, release):
    version = release()
    first = revoke(workspace, version)
    assert revoke(workspace, version).version == first.version
    assert publish(workspace).written == []


def test_what_was_never_signed_is_rejected_and_not_revoked(workspace, unsigned):
    with pytest.raises(NotSignedYet, match="models reject") as caught:
        revoke(workspace, unsigned())
    assert caught.value.code == "REG-046"


def test_without_the_owners_key_nothing_is_revoked(workspace, release):
    version = release()
    key_path(workspace, "owner-pcb").unlink()
    with pytest.raises(OwnerKeyMissing):
        revoke(workspace, version)
    with workspace.db.read() as tx:
        assert registry.get_version(tx, "pcb", 1).revoked_at_ms is None


def test_a_check_in_reply_says_which_metadata_is_the_newest(workspace, release, enrol):
    device = enrol("line-1")
    before = device.check_in().update_version
    release()
    publish(workspace)
    assert device.check_in().update_version == before + 1
