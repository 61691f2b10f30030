from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tuf.api.metadata import Metadata, TargetFile, Targets, Timestamp

from sightloop.contracts.assignment import SignedAssignment
from sightloop.device.errors import (
    ForeignKey,
    MetadataRefused,
    NotOffered,
    ServerAway,
    TamperedFile,
)
from sightloop.device.home import Home
from sightloop.device.server_link import ServerLink
from sightloop.device.trust import refresh
from sightloop.kernel.errors import SightloopError
from sightloop.testing.bundles import ToyBundle
from sightloop.testing.control_plane import ControlPlane
from sightloop.testing.update_repository import UpdateRepository


@pytest.fixture
def bundle(bundles: list[ToyBundle], plane: ControlPlane) -> ToyBundle:
    plane.add(bundles[0])
    return bundles[0]


def test_an_assignment_under_the_online_key_is_read(home, link, plane, bundle):
    assignment = plane.assign(bundle, version=1)
    assert refresh(home, link).read_assignment(plane.assignments["main"]) == assignment


@pytest.mark.parametrize("role", ["blobs", "targets", "timestamp"])
def test_no_other_key_may_assign(home, link, plane, bundle, role: str):
    signed = plane.repository.sign(plane.assign(bundle, version=1), by=role)
    with pytest.raises(ForeignKey, match="is not trusted with them") as caught:
        refresh(home, link).read_assignment(signed)
    assert caught.value.code == "DEV-023"


def test_a_key_of_another_repository_may_not_assign(home, link, plane, bundle):
    foreign = UpdateRepository(["blobs"]).sign(plane.assign(bundle, version=1))
    with pytest.raises(ForeignKey, match="is not trusted with them"):
        refresh(home, link).read_assignment(foreign)


def test_a_signature_of_other_bytes_does_not_count(home, link, plane, bundle):
    signed = plane.repository.sign(plane.assign(bundle, version=1))
    changed = signed.payload.replace(b'"version":1', b'"version":2')
    forged = SignedAssignment(changed, signed.key_id, signed.signature)
    with pytest.raises(ForeignKey, match="does not fit the content"):
        refresh(home, link).read_assignment(forged)


def test_a_manifest_is_what_the_owner_signed(home, link, bundle):
    content = refresh(home, link).fetch_manifest(model="blobs", bundle=bundle.digest)
    assert content == bundle.manifest_bytes


def test_a_version_that_was_not_signed_is_not_offered(home, link, bundles, bundle):
    with pytest.raises(NotOffered, match="not among the signed versions") as caught:
        refresh(home, link).fetch_manifest(model="blobs", bundle=bundles[1].digest)
    assert caught.value.code == "DEV-024"


def test_a_version_its_owner_withdrew_is_not_offered(home, link, plane, bundles):
    path = plane.add(bundles[0])
    plane.repository.withdraw("blobs", path)
    with pytest.raises(NotOffered):
        refresh(home, link).fetch_manifest(model="blobs", bundle=bundles[0].digest)


def test_a_model_is_not_served_under_the_name_of_another(home, link, plane, bundles):
    pretended = msgspec.structs.replace(bundles[0].manifest, model="other")
    bundle = ToyBundle(pretended, bundles[0].files)
    plane.repository.add("blobs", bundle.digest, bundle.manifest_bytes)
    path = f"bundles/blobs/{bundle.digest.removeprefix('sha256:')}.json"
    plane.manifests[path] = bundle.manifest_bytes
    with pytest.raises(NotOffered):
        refresh(home, link).fetch_manifest(model="blobs", bundle=bundle.digest)


def test_a_manifest_changed_on_its_way_is_refused(home, link, plane, bundles):
    path = plane.add(bundles[0])
    plane.manifests[path] = bundles[0].manifest_bytes.replace(b"toy", b"boy")
    with pytest.raises(TamperedFile) as caught:
        refresh(home, link).fetch_manifest(model="blobs", bundle=bundles[0].digest)
    assert caught.value.code == "DEV-027"


def test_a_frozen_repository_is_refused(home, link, plane):
    plane.repository.expires = datetime.now(UTC) - timedelta(days=1)
    plane.repository.publish()
    with pytest.raises(MetadataRefused, match="expired") as caught:
        refresh(home, link)
    assert caught.value.code == "DEV-025"


def test_a_repository_that_went_back_is_refused(home, link, plane):
    before = dict(plane.repository.files)
    plane.repository.publish()
    refresh(home, link)
    plane.repository.files = before
    with pytest.raises(MetadataRefused):
        refresh(home, link)


def test_a_repository_of_other_keys_is_refused(home: Home, link: ServerLink, plane: ControlPlane):
    plane.repository = UpdateRepository(["blobs"])
    with pytest.raises(MetadataRefused):
        refresh(home, link)


def test_an_exchanged_cache_does_not_make_a_foreign_key_trusted(home, link, plane, bundle):
    foreign = UpdateRepository(["blobs"])
    refresh(home, link)
    for name in ("timestamp.json", "1.snapshot.json", "1.targets.json"):
        cached = home.metadata / name.removeprefix("1.")
        cached.write_bytes(foreign.files[name])
    signed = foreign.sign(plane.assign(bundle, version=1))
    with pytest.raises(ForeignKey):
        refresh(home, link).read_assignment(signed)


def test_an_absent_server_is_not_taken_for_a_bad_one(home, link, plane):
    plane.away, plane.retry_after_s = True, "17"
    with pytest.raises(ServerAway, match="goes on serving") as caught:
        refresh(home, link)
    assert caught.value.code == "DEV-010"
    assert caught.value.retry_after_s == 17


def test_what_the_owner_took_back_is_learned_with_its_reason(home, link, plane, bundle):
    plane.repository.revoke("blobs", bundle.digest, reason="it misses scratches")
    (revocation,) = refresh(home, link).revocations("blobs")
    assert (revocation.bundle, revocation.reason) == (bundle.digest, "it misses scratches")
    with pytest.raises(NotOffered):
        refresh(home, link).fetch_manifest(model="blobs", bundle=bundle.digest)


def test_a_model_that_nobody_signed_has_no_revocations(home, link):
    assert refresh(home, link).revocations("unheard-of") == []


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp", "assignments"])
def test_a_rotated_key_is_followed_and_the_old_one_refused(home, link, plane, bundle, role: str):
    assignment = plane.assign(bundle, version=1)
    refresh(home, link)
    by_old_key = plane.repository.sign(assignment)
    plane.repository.rotate(role)
    trusted = refresh(home, link)
    assert trusted.read_assignment(plane.repository.sign(assignment)) == assignment
    if role == "assignments":
        with pytest.raises(ForeignKey, match="is not trusted with them"):
            trusted.read_assignment(by_old_key)


def test_a_device_away_for_ten_root_rotations_follows_them_all(home, link, plane, bundle):
    refresh(home, link)
    for role in ("root", "timestamp", "targets", "snapshot", "root") * 2:
        plane.repository.rotate(role)
    assert refresh(home, link).fetch_manifest(model="blobs", bundle=bundle.digest)


def test_a_key_that_was_rotated_away_signs_nothing_any_more(home, link, plane):
    stolen = plane.repository.steal("timestamp")
    plane.repository.rotate("timestamp")
    refresh(home, link)
    forged = Metadata[Timestamp].from_bytes(plane.repository.files["timestamp.json"])
    forged.signed.version += 1
    forged.sign(stolen)
    plane.repository.files["timestamp.json"] = forged.to_bytes()
    with pytest.raises(MetadataRefused):
        refresh(home, link)


def test_versions_that_a_thief_drove_up_do_not_outlive_his_key(home, link, plane, bundle):
    forged = Metadata[Timestamp].from_bytes(plane.repository.files["timestamp.json"])
    forged.signed.version = 1 << 30
    forged.sign(plane.repository.steal("timestamp"))
    honest = dict(plane.repository.files)
    plane.repository.files["timestamp.json"] = forged.to_bytes()
    refresh(home, link)
    plane.repository.files = honest
    with pytest.raises(MetadataRefused):
        refresh(home, link)
    plane.repository.rotate("timestamp")
    assert refresh(home, link).fetch_manifest(model="blobs", bundle=bundle.digest)


@pytest.mark.parametrize("role", ["targets", "snapshot"])
def test_files_of_different_publications_do_not_go_together(home, link, plane, bundles, role: str):
    plane.add(bundles[0])
    old = plane.repository.files[f"{plane.repository.version}.{role}.json"]
    plane.add(bundles[1])
    plane.repository.files[f"{plane.repository.version}.{role}.json"] = old
    with pytest.raises(MetadataRefused):
        refresh(home, link)


@pytest.mark.parametrize("name", ["timestamp.json", "2.root.json"])
def test_metadata_without_an_end_is_cut_off(home, link, plane, name: str):
    plane.repository.files[name] = b" " * (1 << 20)
    with pytest.raises(SightloopError) as caught:
        refresh(home, link)
    assert caught.value.code in ("DEV-010", "DEV-025")


def test_metadata_that_ended_before_a_known_moment_is_refused_whatever_the_clock_says(
    home, link, plane
):
    later = datetime.now(UTC) + timedelta(days=45)
    assert refresh(home, link).version == plane.repository.version
    with pytest.raises(MetadataRefused, match="before the latest moment"):
        refresh(home, link, known_time_ms=round(later.timestamp() * 1000))


@pytest.mark.parametrize("stolen", ["assignments", "timestamp", "snapshot"])
def test_a_stolen_online_key_cannot_put_a_foreign_model_to_work(
    home, link, plane, bundles, bundle, stolen: str
):
    """The thief has the server and one of its keys: he publishes and assigns what he likes."""
    foreign = bundles[2]
    thief = plane.repository.steal(stolen)
    path = f"bundles/blobs/{foreign.digest.removeprefix('sha256:')}.json"
    plane.manifests[path] = foreign.manifest_bytes
    version = plane.repository.version
    owners = Metadata[Targets].from_bytes(plane.repository.files[f"{version}.owner-blobs.json"])
    owners.signed.targets[path] = TargetFile.from_data(path, foreign.manifest_bytes)
    owners.sign(thief)
    plane.repository.files[f"{version}.owner-blobs.json"] = owners.to_bytes()
    trusted = refresh(home, link)
    with pytest.raises((NotOffered, MetadataRefused)):
        trusted.fetch_manifest(model="blobs", bundle=foreign.digest)
