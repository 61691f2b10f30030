"""`agent tuf`, as a conformance driver calls it: exit codes, trusted files, downloads."""

from datetime import UTC, datetime, timedelta

import pytest
from tuf.api.metadata import Metadata, Root, TargetFile, Targets, Timestamp

from sightloop.device.__main__ import main
from sightloop.testing.control_plane import running_static_files


@pytest.fixture
def server(plane):
    """The plane's metadata and targets as any web server would give them, without a token."""
    with running_static_files(plane) as url:
        yield url


@pytest.fixture
def run(tmp_path, plane, server):
    def run(*words: str, target: str = "") -> int:
        arguments = ["tuf", "--metadata-dir", str(tmp_path / "cache")]
        arguments += ["--metadata-url", f"{server}/tuf/metadata"]
        if target:
            arguments += ["--target-name", target, "--target-dir", str(tmp_path / "targets")]
            arguments += ["--target-base-url", f"{server}/tuf/targets/"]
        return main([*arguments, *words])

    root = tmp_path / "first.json"
    root.write_bytes(plane.repository.root)
    assert run("init", str(root)) == 0
    return run


def version_in(tmp_path, name: str, kind) -> int:
    return Metadata[kind].from_file(str(tmp_path / "cache" / name)).signed.version


def test_a_refresh_leaves_what_is_trusted_in_the_cache(run, plane, tmp_path):
    plane.repository.rotate("root")
    assert run("refresh") == 0
    assert version_in(tmp_path, "root.json", Root) == 2
    assert version_in(tmp_path, "timestamp.json", Timestamp) == plane.repository.version


def test_a_target_is_downloaded_and_downloaded_again_when_it_was_changed(
    run, plane, bundles, tmp_path
):
    path = plane.add(bundles[0])
    assert run("download", target=path) == 0
    (file,) = (tmp_path / "targets").iterdir()
    assert file.read_bytes() == bundles[0].manifest_bytes
    file.write_bytes(b"changed")
    assert run("download", target=path) == 0
    assert file.read_bytes() == bundles[0].manifest_bytes


def test_a_target_with_other_bytes_is_refused_and_leaves_no_file(run, plane, bundles, tmp_path):
    path = plane.add(bundles[0])
    plane.manifests[path] = bundles[0].manifest_bytes + b" "
    assert run("download", target=path) == 1
    assert list((tmp_path / "targets").iterdir()) == []


def test_a_target_that_nobody_signed_is_refused(run):
    assert run("download", target="bundles/blobs/none.json") == 1


def test_an_expired_repository_is_refused(run, plane):
    plane.repository.expires = datetime.now(UTC) - timedelta(days=1)
    plane.repository.publish()
    assert run("refresh") == 1


def test_a_repository_that_went_back_is_refused(run, plane):
    before = dict(plane.repository.files)
    plane.repository.publish()
    assert run("refresh") == 0
    plane.repository.files = before
    assert run("refresh") == 1


def test_a_delegated_key_that_is_not_trusted_signs_nothing(run, plane, bundles):
    path = plane.add(bundles[0])
    name = f"{plane.repository.version}.owner-blobs.json"
    forged = Metadata[Targets].from_bytes(plane.repository.files[name])
    forged.signed.targets[path] = TargetFile.from_data(path, b"foreign")
    forged.sign(plane.repository.steal("timestamp"))
    plane.repository.files[name] = forged.to_bytes()
    assert run("download", target=path) == 1


def test_what_is_no_root_cannot_be_trusted(run, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    assert run("init", str(tmp_path / "other.json")) == 1


def test_a_damaged_cache_is_judged_by_the_first_root(run, plane, tmp_path):
    assert run("refresh") == 0
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        (tmp_path / "cache" / name).write_bytes(b"damaged")
    (tmp_path / "cache" / "root.json").unlink()
    assert run("refresh") == 0


def test_a_server_that_is_away_is_exit_code_one(run, tmp_path):
    arguments = ["tuf", "--metadata-dir", str(tmp_path / "cache")]
    assert main([*arguments, "--metadata-url", "http://127.0.0.1:9/", "refresh"]) == 1
