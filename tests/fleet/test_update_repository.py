import stat
import threading
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile, Targets

from sightloop.fleet.errors import RepositoryKeyMissing, RepositoryMissing
from sightloop.fleet.publication import Publication
from sightloop.fleet.update_repository import (
    create_repository,
    publish,
    released_blob,
    repository_keys,
    role_expiries,
    root_bytes,
    target_blob,
)
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Workspace
from sightloop.registry.errors import UpdateMetadataDamaged
from sightloop.registry.keys import ensure_signer, key_path
from sightloop.registry.update_metadata import Lifetimes, MetadataFolder, update_metadata_folder
from sightloop.testing.clock import ManualClock
from sightloop.testing.faults import CrashPlan, SimulatedCrash
from sightloop.testing.workspaces import fresh_workspace

DAY_S = 86400


def folder_of(workspace: Workspace) -> MetadataFolder:
    return MetadataFolder(update_metadata_folder(workspace))


def test_a_client_accepts_a_new_repository(client):
    assert client.look().get_targetinfo("bundles/pcb/nothing.json") is None


def test_a_signed_version_is_known_to_clients_once_it_is_published(workspace, release, client):
    version = release()
    assert not client.knows(version)
    publish(workspace)
    assert client.knows(version)


def test_a_client_downloads_the_manifest_under_the_name_tuf_gives_it(workspace, release, client):
    version = release()
    publish(workspace)
    updater = client.look()
    info = updater.get_targetinfo(f"bundles/pcb/{version.bundle.removeprefix('sha256:')}.json")
    assert digest_of(Path(updater.download_target(info)).read_bytes()) == version.bundle
    assert info.custom == {"number": 1}


def test_an_earlier_version_stays_a_target_so_that_rolling_back_needs_no_server(
    workspace, release, client
):
    first, second = release(), release()
    publish(workspace)
    assert client.knows(first)
    assert client.knows(second)


def test_publishing_twice_writes_nothing_the_second_time(workspace, release):
    release()
    assert publish(workspace).written == ["targets", "snapshot", "timestamp"]
    assert publish(workspace).written == []


def test_only_the_timestamp_is_renewed_when_only_it_has_aged(workspace, clock):
    clock.advance(3.6 * DAY_S)
    assert publish(workspace).written == ["timestamp"]


def test_signatures_of_every_role_are_renewed_when_half_their_life_is_over(tmp_path, client_of):
    clock = ManualClock(SystemClock().now_ms() - 190 * DAY_S * 1000)
    workspace = fresh_workspace(tmp_path / "old", clock=clock)
    create_repository(workspace)
    client = client_of(workspace)
    clock.advance(190 * DAY_S)
    written = publish(workspace).written
    assert written == ["root", "targets", "assignments", "snapshot", "timestamp"]
    assert client.look() is not None


def test_a_role_lives_as_long_as_the_settings_say(workspace, clock):
    clock.advance(2 * DAY_S)
    assert publish(workspace, lifetimes=Lifetimes(timestamp_days=10)).written == []
    assert publish(workspace, lifetimes=Lifetimes(timestamp_days=3)).written == []
    clock.advance(3.6 * DAY_S)
    assert publish(workspace, lifetimes=Lifetimes(timestamp_days=3)).written == ["timestamp"]


def test_an_offline_root_key_does_not_keep_the_rest_from_being_renewed(workspace, clock):
    key_path(workspace, "root").unlink()
    clock.advance(190 * DAY_S)
    assert publish(workspace).written == ["targets", "assignments", "snapshot", "timestamp"]


def test_an_owner_cannot_vouch_for_another_owners_model(workspace, release, client):
    release("pcb"), release("shelf")
    folder = folder_of(workspace)
    foreign = digest_of(b"a foreign manifest")
    path = f"bundles/pcb/{foreign.removeprefix('sha256:')}.json"
    shelf = folder.load_newest("owner-shelf", Targets)
    shelf.signed.targets[path] = TargetFile.from_data(path, b"a foreign manifest")
    shelf.signed.version += 1
    shelf.sign(ensure_signer(workspace, "owner-shelf"))
    folder.write("owner-shelf", shelf)
    publish(workspace)
    assert not client.finds("pcb", foreign)


def test_a_published_file_that_vanished_stops_the_publication(workspace, release):
    release()
    publish(workspace)
    (update_metadata_folder(workspace) / "1.owner-pcb.json").unlink()
    with pytest.raises(UpdateMetadataDamaged, match=r"owner-pcb\.json cannot be used: it is gone"):
        publish(workspace)


def test_metadata_signed_by_a_foreign_key_stops_the_publication(workspace, release, client):
    version = release()
    publish(workspace)
    folder = folder_of(workspace)
    forged = folder.load_newest("owner-pcb", Targets)
    forged.signed.version += 1
    forged.sign(ensure_signer(workspace, "timestamp"))
    folder.write("owner-pcb", forged)
    with pytest.raises(UpdateMetadataDamaged, match=r"2\.owner-pcb\.json") as caught:
        publish(workspace)
    assert caught.value.code == "REG-041"
    assert client.knows(version)


def test_a_stolen_snapshot_key_cannot_make_the_publisher_sign_foreign_targets(workspace):
    folder = folder_of(workspace)
    forged = folder.load_newest("targets", Targets)
    forged.signed.version += 1
    forged.sign(ensure_signer(workspace, "snapshot"))
    folder.write("targets", forged)
    with pytest.raises(UpdateMetadataDamaged, match="targets"):
        publish(workspace)


def test_a_missing_online_key_is_named(workspace, release):
    release()
    key_path(workspace, "snapshot").unlink()
    with pytest.raises(RepositoryKeyMissing, match=r"snapshot\.pem") as caught:
        publish(workspace)
    assert caught.value.code == "FLEET-041"


def test_publishing_without_a_repository_says_how_to_make_one(tmp_path, clock):
    bare = fresh_workspace(tmp_path / "bare", clock=clock)
    for act in (publish, root_bytes):
        with pytest.raises(RepositoryMissing, match="sightloop init") as caught:
            act(bare)
        assert caught.value.code == "FLEET-040"


def test_creating_a_repository_twice_changes_nothing(workspace):
    before = root_bytes(workspace)
    assert create_repository(workspace).written == []
    assert root_bytes(workspace) == before


def test_key_files_can_be_read_by_their_owner_only(workspace):
    for name in ("root", "targets", "snapshot", "timestamp", "assignments"):
        assert stat.S_IMODE(key_path(workspace, name).stat().st_mode) == 0o600


def test_doctor_is_told_which_keys_lie_on_this_host(workspace, release):
    release()
    key_path(workspace, "root").unlink()
    facts = {facts.name: facts.is_here for facts in repository_keys(workspace)}
    assert facts == {
        "root": False,
        "targets": True,
        "snapshot": True,
        "timestamp": True,
        "assignments": True,
        "owner-pcb": True,
    }


def test_doctor_is_told_which_signature_ends_first(workspace, clock, release):
    release()
    expiries = role_expiries(workspace)
    assert [one.role for one in expiries[:2]] == ["timestamp", "snapshot"]
    assert {one.role for one in expiries[2:]} == {"root", "targets", "assignments", "owner-pcb"}
    assert expiries[0].expires_at_ms // 1000 == clock.now_ms() // 1000 + 7 * DAY_S


def test_a_target_is_served_with_and_without_the_hash_before_its_name(workspace, release):
    version = release()
    digits = version.bundle.removeprefix("sha256:")
    assert target_blob(workspace, f"bundles/pcb/{digits}.json") == version.bundle
    assert target_blob(workspace, f"bundles/pcb/{digits}.{digits}.json") == version.bundle


@pytest.mark.parametrize("path", ["bundles/shelf/{}.json", "bundles/../{}.json", "{}.json", ""])
def test_no_other_path_leads_to_a_manifest(workspace, release, path):
    digits = release().bundle.removeprefix("sha256:")
    with pytest.raises(NotFound, match="update target"):
        target_blob(workspace, path.format(digits))


def test_only_blobs_of_signed_versions_leave_for_devices(workspace, release, unsigned):
    signed, waiting = release(), unsigned()
    secret = workspace.blobs.put(b"a training image")
    assert released_blob(workspace, signed.bundle) == signed.bundle
    weights = digest_of(b"weights of pcb 1")
    assert released_blob(workspace, weights) == weights
    for digest in (secret, waiting.bundle):
        with pytest.raises(NotFound, match="released blob"):
            released_blob(workspace, digest)


class CrashingFolder(MetadataFolder):
    """A folder whose writes follow a plan."""

    def __init__(self, path: Path, plan: CrashPlan) -> None:
        super().__init__(path)
        self._plan = plan

    def write(self, role, metadata):
        self._plan.about_to_write()
        return super().write(role, metadata)


def publish_until(workspace: Workspace, plan: CrashPlan) -> None:
    folder = CrashingFolder(update_metadata_folder(workspace), plan)
    with folder.locked():
        Publication(workspace, folder, Lifetimes()).run()


@pytest.mark.parametrize("before_write", range(3))
def test_a_crash_before_any_write_leaves_a_repository_that_clients_accept(
    workspace, release, client, before_write
):
    first = release()
    publish(workspace)
    second, _ = release(), release("shelf")  # a new owner, so that targets is written as well
    with pytest.raises(SimulatedCrash):
        publish_until(workspace, CrashPlan(before_write))
    assert client.knows(first)
    assert not client.knows(second)
    publish(workspace)
    assert client.knows(second)


def test_a_publication_has_as_many_writes_as_the_crashes_above(workspace, release):
    release()
    plan = CrashPlan()
    publish_until(workspace, plan)
    assert plan.n_writes == 3


@pytest.mark.parametrize("before_write", range(5))
def test_a_crash_while_the_repository_is_made_is_completed_by_the_next_attempt(
    tmp_path, clock, client_of, before_write
):
    workspace = fresh_workspace(tmp_path / "new", clock=clock)
    for name in ("root", "targets", "snapshot", "timestamp", "assignments"):
        ensure_signer(workspace, name)
    with pytest.raises(SimulatedCrash):
        publish_until(workspace, CrashPlan(before_write))
    create_repository(workspace)
    assert client_of(workspace).look() is not None


def test_publishers_and_signers_at_the_same_time_lose_nothing(workspace, release, client):
    models = [f"model{index}" for index in range(4)]
    versions = []

    def work(model: str) -> None:
        for _ in range(3):
            versions.append(release(model))
            publish(workspace)

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 12
    assert all(client.knows(version) for version in versions)
