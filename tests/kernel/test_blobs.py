"""The contract of every blob store, and what only the local one promises."""

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.kernel.blob_folder import BlobsInUse
from sightloop.kernel.blobs import CHUNK_BYTES, BlobDamaged, BlobMissing, Blobs, LocalBlobs
from sightloop.kernel.digests import Digest, MalformedDigest, digest_of
from sightloop.kernel.errors import NotFound
from sightloop.testing.faults import CrashingBlobs, CrashPlan, SimulatedCrash

ABSENT = Digest("sha256:" + "0" * 64)


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def stored_files(blobs: LocalBlobs) -> list[Path]:
    return [path for path in (blobs.root / "sha256").rglob("*") if path.is_file()]


def test_a_blob_reads_back_as_it_was_put(blobs: Blobs):
    digest = blobs.put(b"pixels")
    assert blobs.read(digest) == b"pixels"
    assert blobs.size_bytes(digest) == 6


@given(st.binary(max_size=200))
def test_the_name_of_a_blob_is_the_hash_of_its_bytes(content: bytes):
    assert digest_of(content) == "sha256:" + hashlib.sha256(content).hexdigest()


def test_putting_the_same_bytes_twice_stores_them_once(blobs: LocalBlobs):
    assert blobs.put(b"same") == blobs.put(b"same")
    assert len(stored_files(blobs)) == 1


def test_a_missing_blob_is_named_in_the_error(blobs: Blobs):
    with pytest.raises(BlobMissing, match=ABSENT) as caught:
        blobs.read(ABSENT)
    assert caught.value.code == "SL-610"


def test_a_flipped_bit_is_found_on_read_and_the_file_is_left_for_inspection(blobs: LocalBlobs):
    digest = blobs.put(b"pixels")
    path = blobs.local_path(digest)
    path.chmod(0o644)
    path.write_bytes(b"pixelt")
    with pytest.raises(BlobDamaged, match="no longer holds the bytes") as caught:
        blobs.read(digest)
    assert caught.value.facts["path"] == str(path)
    assert path.read_bytes() == b"pixelt"


def test_a_flipped_bit_is_found_by_the_end_of_a_stream(blobs: LocalBlobs):
    digest = blobs.put(b"x" * (CHUNK_BYTES + 5))
    path = blobs.local_path(digest)
    path.chmod(0o644)
    path.write_bytes(b"y" * (CHUNK_BYTES + 5))
    with pytest.raises(BlobDamaged):
        list(blobs.stream(digest))


@pytest.mark.parametrize("n_bytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
def test_a_stream_never_gives_out_all_of_a_damaged_blob(blobs: LocalBlobs, n_bytes: int):
    content = b"x" * n_bytes
    digest = blobs.put(content)
    assert b"".join(blobs.stream(digest)) == content
    path = blobs.local_path(digest)
    path.chmod(0o644)
    path.write_bytes(b"y" + content[1:])
    given = b""
    with pytest.raises(BlobDamaged):
        for chunk in blobs.stream(digest):
            given += chunk
    assert len(given) < max(n_bytes, 1)


def test_a_name_that_would_leave_the_store_is_refused(blobs: Blobs):
    with pytest.raises(MalformedDigest, match="is not a digest"):
        blobs.local_path(Digest("sha256:../../etc/passwd"))


def test_a_file_is_stored_by_its_bytes_and_left_alone(blobs: Blobs, tmp_path: Path):
    source = tmp_path / "image.jpg"
    source.write_bytes(b"j" * (2 * CHUNK_BYTES + 1))
    with blobs.batch() as batch:
        digest = batch.put_file(source)
    assert blobs.read(digest) == source.read_bytes()


def test_storing_a_file_that_is_not_there_names_it(blobs: Blobs, tmp_path: Path):
    with pytest.raises(NotFound, match=r"no file .*gone\.jpg"), blobs.batch() as batch:
        batch.put_file(tmp_path / "gone.jpg")


def test_blobs_of_a_batch_that_failed_are_not_kept(blobs: LocalBlobs):
    with pytest.raises(ValueError, match="stop"), blobs.batch() as batch:
        batch.put(b"never published")
        raise ValueError("stop")
    assert stored_files(blobs) == []
    assert list((blobs.root / "incoming").iterdir()) == []


def test_a_crash_before_the_barrier_leaves_no_name_and_a_retry_works(blobs: LocalBlobs):
    doomed = CrashingBlobs(blobs, CrashPlan(before_write=0))
    with pytest.raises(SimulatedCrash), doomed.batch() as batch:
        batch.put(b"content")
    assert stored_files(blobs) == []
    assert blobs.read(blobs.put(b"content")) == b"content"


def test_stored_files_cannot_be_written_by_accident(blobs: LocalBlobs):
    mode = blobs.local_path(blobs.put(b"pixels")).stat().st_mode
    assert mode & 0o222 == 0


def test_many_writers_of_the_same_bytes_do_not_disturb_each_other(blobs: LocalBlobs):
    contents = [os.urandom(64) for _ in range(20)]

    def write_all() -> None:
        for content in contents:
            blobs.put(content)

    threads = [threading.Thread(target=write_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [blobs.read(digest_of(content)) for content in contents] == contents


def put_long_ago(blobs: LocalBlobs, content: bytes) -> Digest:
    digest = blobs.put(content)
    os.utime(blobs.local_path(digest), (1_000, 1_000))
    return digest


def test_an_old_blob_can_be_removed_and_says_what_it_gave_back(blobs: LocalBlobs):
    digest = put_long_ago(blobs, b"x" * 10_000)
    (listed,) = blobs.list_blobs()
    with blobs.removal() as removal:
        assert removal.remove_old(digest, used_before_ms=2_000_000) == listed
        assert removal.remove_old(digest, used_before_ms=2_000_000) is None
    assert (listed.digest, listed.size_bytes, listed.used_at_ms) == (digest, 10_000, 1_000_000)
    assert listed.disk_bytes >= 10_000
    assert not blobs.has(digest)


@pytest.mark.parametrize("again", ["put", "batch"])
def test_a_blob_that_is_put_again_counts_as_young(blobs: LocalBlobs, again: str):
    digest = put_long_ago(blobs, b"pixels")
    if again == "put":
        blobs.put(b"pixels")
    else:
        with blobs.batch() as batch:
            batch.put(b"pixels")
    with blobs.removal() as removal:
        assert removal.remove_old(digest, used_before_ms=2_000_000) is None
    assert blobs.has(digest)


def test_nothing_is_removed_while_somebody_stores_and_whoever_waits_is_told(blobs: LocalBlobs):
    with blobs.batch() as batch:
        batch.put(b"new")
        with (
            pytest.raises(BlobsInUse, match="repeat the command") as caught,
            blobs.removal(patience_s=0.06),
        ):
            raise AssertionError("the batch is open")
    assert caught.value.code == "SL-521"
    with blobs.removal(patience_s=0):
        pass


def test_removal_shuts_writers_out_and_they_go_on_after_it(blobs: LocalBlobs):
    digest = put_long_ago(blobs, b"pixels")
    with blobs.removal() as removal:
        writer = threading.Thread(target=blobs.put, args=(b"pixels",))
        writer.start()
        writer.join(0.05)
        assert writer.is_alive()
        removal.remove_old(digest, used_before_ms=2_000_000)
    writer.join()
    assert blobs.read(digest) == b"pixels"


def test_bytes_that_another_link_holds_are_not_counted_as_given_back(blobs: LocalBlobs, tmp_path):
    digest = put_long_ago(blobs, b"pixels")
    (tmp_path / "view.jpg").hardlink_to(blobs.local_path(digest))
    (listed,) = blobs.list_blobs()
    assert (listed.size_bytes, listed.disk_bytes) == (6, 0)


def test_what_a_writer_that_died_left_behind_goes_when_it_is_old(blobs: LocalBlobs):
    old, young = (blobs.root / "incoming" / name for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1_000, 1_000))
    assert {one.path for one in blobs.list_leftovers()} == {old, young}
    with blobs.removal() as removal:
        assert [one.path for one in removal.remove_leftovers(written_before_ms=2_000_000)] == [old]
    assert young.exists()


@pytest.mark.parametrize("state", ["changed", "missing"])
def test_a_damaged_blob_is_replaced_by_the_right_bytes_only(blobs: LocalBlobs, state: str):
    digest = blobs.put(b"pixels")
    path = blobs.local_path(digest)
    path.unlink()
    if state == "changed":
        path.write_bytes(b"pixelt")
    with pytest.raises(BlobDamaged):
        blobs.replace_damaged(digest, b"others")
    assert path.exists() == (state == "changed")
    blobs.replace_damaged(digest, b"pixels")
    assert blobs.read(digest) == b"pixels"
    assert path.stat().st_mode & 0o222 == 0
    assert list((blobs.root / "incoming").iterdir()) == []
