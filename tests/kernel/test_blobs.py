"""The contract of every blob store, and what only the local one promises."""

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
