import stat
import threading

import pytest
from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.metadata import Targets

from sightloop.kernel import steps
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.registry import store
from sightloop.registry.errors import (
    KeyUnreadable,
    NotReleasable,
    OwnerKeyForeign,
    OwnerKeyMissing,
    UpdateMetadataDamaged,
)
from sightloop.registry.keys import ensure_signer, key_facts, key_path, verifying_key
from sightloop.registry.signing import MODEL_SIGNED, SignVersion, sign_step, sign_version
from sightloop.registry.update_metadata import MetadataFolder, target_path, update_metadata_folder
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL

DAY_S = 86400


def sign(workspace, number=1):
    return sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=number))


def owner_metadata(workspace):
    folder = MetadataFolder(update_metadata_folder(workspace))
    return folder.load_newest("owner-pcb", Targets)


def events(workspace):
    with workspace.db.read() as tx:
        return [event for event in history(tx) if event.kind == MODEL_SIGNED]


@pytest.fixture
def passed(made_up, judged):
    """Makes the next version, with a passing verdict."""

    def make():
        version = made_up()
        judged(version, "pass")
        return version

    return make


def test_a_signed_version_is_a_target_of_its_owners_metadata(workspace, passed):
    version = passed()
    assert sign(workspace).signed_at_ms == workspace.clock.now_ms()
    path = target_path(version.model, version.bundle)
    target = owner_metadata(workspace).signed.targets[path]
    assert target.hashes == {"sha256": version.bundle.removeprefix("sha256:")}
    assert target.length == workspace.blobs.size_bytes(version.bundle)
    assert target.custom == {"number": 1}


def test_the_metadata_is_signed_by_the_key_recorded_with_the_model(workspace, passed):
    passed()
    sign(workspace)
    metadata = owner_metadata(workspace)
    with workspace.db.read() as tx:
        key = verifying_key(store.owner_keys(tx)["pcb"])
    key.verify_signature(metadata.signatures[key.keyid], metadata.signed_bytes)
    with pytest.raises(UnverifiedSignatureError):
        key.verify_signature(metadata.signatures[key.keyid], b"something else")


def test_signing_twice_gives_the_same_targets_and_one_event(workspace, passed):
    passed()
    first = sign(workspace)
    assert sign(workspace) == first
    assert owner_metadata(workspace).signed.version == 1
    assert [event.data["number"] for event in events(workspace)] == [1]


def test_a_second_version_is_added_beside_the_first(workspace, passed):
    passed(), passed()
    sign(workspace, 1), sign(workspace, 2)
    signed = owner_metadata(workspace).signed
    assert (signed.version, len(signed.targets)) == (2, 2)


def test_a_signature_is_renewed_when_half_its_life_is_over(workspace, clock, passed):
    passed()
    sign(workspace)
    clock.advance(182 * DAY_S)
    sign(workspace)
    assert owner_metadata(workspace).signed.version == 1
    clock.advance(2 * DAY_S)
    sign(workspace)
    signed = owner_metadata(workspace).signed
    assert (signed.version, len(signed.targets)) == (2, 1)


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_without_a_passing_verdict_nothing_is_signed(workspace, made_up, judged, outcome):
    judged(made_up(), outcome)
    with pytest.raises(NotReleasable, match=f"pcb@1 cannot be signed: .* {outcome}"):
        sign(workspace)
    assert owner_metadata(workspace) is None


def test_an_ungated_version_is_not_signed(workspace, made_up):
    made_up()
    with pytest.raises(NotReleasable, match="nobody has gated it"):
        sign(workspace)
    assert not key_path(workspace, "owner-pcb").exists()


def test_the_owners_key_can_be_read_by_its_owner_only(workspace, passed):
    passed()
    sign(workspace)
    path = key_path(workspace, "owner-pcb")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_key_that_moved_to_another_host_is_asked_for_and_not_replaced(workspace, passed):
    passed(), passed()
    sign(workspace)
    key_path(workspace, "owner-pcb").unlink()
    with pytest.raises(OwnerKeyMissing, match=r"owner-pcb\.pem") as caught:
        sign(workspace, 2)
    assert caught.value.code == "REG-030"
    assert key_facts(workspace, ["owner-pcb"])[0].is_here is False


def test_another_key_in_its_place_is_refused(workspace, passed):
    passed(), passed()
    sign(workspace)
    key_path(workspace, "owner-pcb").unlink()
    ensure_signer(workspace, "owner-pcb")
    with pytest.raises(OwnerKeyForeign, match="is owned by key") as caught:
        sign(workspace, 2)
    assert caught.value.code == "REG-031"


def test_a_key_file_that_is_no_key_is_named(workspace, passed):
    passed()
    path = key_path(workspace, "owner-pcb")
    path.parent.mkdir(parents=True)
    path.write_text("not a key")
    with pytest.raises(KeyUnreadable, match=r"owner-pcb\.pem") as caught:
        sign(workspace)
    assert caught.value.code == "REG-040"


def test_targets_somebody_else_slipped_in_are_not_signed_along(workspace, passed):
    passed(), passed()
    sign(workspace)
    forged = owner_metadata(workspace)
    forged.signed.version = 2
    forged.sign(ensure_signer(workspace, "timestamp"))
    MetadataFolder(update_metadata_folder(workspace)).write("owner-pcb", forged)
    with pytest.raises(UpdateMetadataDamaged, match=r"key [0-9a-f]+ of owner-pcb") as caught:
        sign(workspace, 2)
    assert caught.value.code == "REG-041"


def test_a_crash_before_any_write_is_mended_by_signing_again(workspace, passed):
    passed()
    for before_write in range(2):
        with pytest.raises(SimulatedCrash):
            sign(crashing(workspace, CrashPlan(before_write)))
    assert sign(workspace).signed_at_ms is not None
    assert owner_metadata(workspace).signed.version == 1
    assert len(events(workspace)) == 1


def test_two_signers_at_once_lose_no_version(workspace, passed):
    numbers = [passed().number for _ in range(4)]
    threads = [threading.Thread(target=sign, args=(workspace, number)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    signed = owner_metadata(workspace).signed
    assert (signed.version, len(signed.targets)) == (4, 4)


def test_the_step_signs_once_however_often_it_runs(workspace, passed, control):
    passed()
    with workspace.db.write() as tx:
        spec = steps.StepSpec("sign", 1, {"model": "pcb", "number": 1})
        step = steps.ask_for(tx, spec, now_ms=0)
    outcomes = [sign_step(workspace, step, control) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert len(events(workspace)) == 1


def test_an_engineer_signs_nothing(workspace, passed):
    passed()
    engineer = Call(Actor(ActorId("eve"), "person", Role.ENGINEER))
    with pytest.raises(NotAllowed, match="sign"):
        sign_version(workspace, engineer, SignVersion(model="pcb", number=1))


def test_an_unknown_version_is_not_found(workspace):
    with pytest.raises(NotFound, match="pcb@1"):
        sign(workspace)
