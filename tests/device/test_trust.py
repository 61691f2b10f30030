from datetime import UTC, datetime, timedelta

import msgspec
import pytest

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
