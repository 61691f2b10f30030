from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.bundle import BundleFile
from sightloop.device import bundle_store
from sightloop.device.bundle_files import MANIFEST_NAME, file_path, verify_bundle
from sightloop.device.bundle_store import BundleStore
from sightloop.device.errors import (
    NotEnoughSpace,
    ServerAway,
    ServerRefused,
    TamperedFile,
    UnsafeName,
)
from sightloop.kernel.digests import digest_of
from sightloop.testing.bundles import ToyBundle


@pytest.fixture
def bundle(bundles, plane) -> ToyBundle:
    plane.add(bundles[0])
    return bundles[0]


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    (tmp_path / "bundles").mkdir()
    return BundleStore(tmp_path / "bundles")


def digits(content: bytes) -> str:
    return digest_of(content).removeprefix("sha256:")


def test_an_installed_bundle_is_complete_and_verifies(store, link, bundle):
    store.install(bundle.digest, bundle.manifest_bytes, link)
    assert store.has(bundle.digest)
    assert verify_bundle(store.folder(bundle.digest), bundle.digest) == bundle.manifest


def test_a_broken_download_goes_on_where_it_broke_off(store, link, plane, bundle):
    plane.break_after_bytes = 1000
    with pytest.raises(ServerAway):
        store.install(bundle.digest, bundle.manifest_bytes, link)
    assert not store.has(bundle.digest)
    store.install(bundle.digest, bundle.manifest_bytes, link)
    model = digits(bundle.files["model.onnx"])
    assert plane.blob_requests[:2] == [(model, ""), (model, "bytes=1000-")]
    assert verify_bundle(store.folder(bundle.digest), bundle.digest) == bundle.manifest


def test_other_bytes_than_signed_are_not_installed_and_fetched_again(store, link, plane, bundle):
    model = bundle.files["model.onnx"]
    plane.served_instead[digits(model)] = model[:-1] + b"!"
    with pytest.raises(TamperedFile, match=r"model\.onnx") as caught:
        store.install(bundle.digest, bundle.manifest_bytes, link)
    assert caught.value.code == "DEV-027"
    assert not store.has(bundle.digest)
    plane.served_instead.clear()
    store.install(bundle.digest, bundle.manifest_bytes, link)
    assert store.has(bundle.digest)


def test_an_endless_file_is_cut_off(store, link, plane, bundle):
    model = bundle.files["model.onnx"]
    plane.served_instead[digits(model)] = model + bytes(10 << 20)
    with pytest.raises(TamperedFile):
        store.install(bundle.digest, bundle.manifest_bytes, link)
    assert sum(path.stat().st_size for path in store.folder(bundle.digest).parent.rglob("*")) < (
        1 << 20
    )


def test_a_file_the_server_does_not_have_is_a_refusal(store, link, plane, bundle):
    plane.blobs.clear()
    with pytest.raises(ServerRefused, match="status 404") as caught:
        store.install(bundle.digest, bundle.manifest_bytes, link)
    assert caught.value.code == "DEV-011"


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/../../b", ".hidden", "a//b"])
def test_a_manifest_cannot_write_outside_its_folder(store, link, bundle, name: str):
    files = [BundleFile(name, digest_of(b""), 0)]
    manifest = msgspec.json.encode(msgspec.structs.replace(bundle.manifest, files=files))
    with pytest.raises(UnsafeName) as caught:
        store.install(digest_of(manifest), manifest, link)
    assert caught.value.code == "DEV-029"


def test_a_bundle_that_does_not_fit_is_refused_before_a_byte_is_fetched(
    store, link, plane, bundle, monkeypatch
):
    monkeypatch.setattr(bundle_store, "SPARE_BYTES", 1 << 60)
    with pytest.raises(NotEnoughSpace) as caught:
        store.install(bundle.digest, bundle.manifest_bytes, link)
    assert caught.value.code == "DEV-028"
    assert plane.blob_requests == []


@pytest.mark.parametrize("name", ["model.onnx", "golden/0.jpg"])
def test_a_file_that_changed_on_the_disk_is_found(store, link, bundle, name: str):
    store.install(bundle.digest, bundle.manifest_bytes, link)
    path = file_path(store.folder(bundle.digest), name)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(TamperedFile, match=name):
        verify_bundle(store.folder(bundle.digest), bundle.digest)
    path.unlink()
    with pytest.raises(TamperedFile, match="missing"):
        verify_bundle(store.folder(bundle.digest), bundle.digest)


def test_a_manifest_that_changed_on_the_disk_is_found(store, link, bundle):
    store.install(bundle.digest, bundle.manifest_bytes, link)
    manifest = store.folder(bundle.digest) / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes().replace(b"0.5", b"0.6"))
    with pytest.raises(TamperedFile, match=MANIFEST_NAME):
        verify_bundle(store.folder(bundle.digest), bundle.digest)


def test_only_the_bundles_in_use_are_kept(store, link, plane, bundles):
    for bundle in bundles:
        plane.add(bundle)
        store.install(bundle.digest, bundle.manifest_bytes, link)
    store.keep_only({bundles[1].digest, bundles[2].digest})
    assert [store.has(bundle.digest) for bundle in bundles] == [False, True, True]
