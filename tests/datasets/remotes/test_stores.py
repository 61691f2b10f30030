"""Both backends keep the same contract; what only one can do stands below."""

import errno
import os
from pathlib import Path

import pytest

from sightloop.datasets.errors import RemoteDenied, RemoteUnavailable, RemoteUnfit
from sightloop.datasets.remotes.backend import RemoteStore, Tag
from sightloop.datasets.remotes.connecting import probe
from sightloop.datasets.remotes.folder import FolderStore
from sightloop.datasets.remotes.object_store import CloudStore, Patience
from sightloop.kernel.errors import DiskFull
from sightloop.testing.remote_store_contract import RemoteStoreContract
from sightloop.testing.remote_stores import WatchedStore

HASTY = Patience(max_retries=1, retry_for_s=5, first_pause_s=0.01, request_timeout_s=1)


class TestFolder(RemoteStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> RemoteStore:
        return FolderStore(tmp_path / "remote")


class TestFolderWithoutHardLinks(RemoteStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteStore:
        def link(*_: object) -> None:
            raise OSError(errno.EPERM, "not permitted")

        monkeypatch.setattr(os, "link", link)
        return FolderStore(tmp_path / "remote")


class TestS3(RemoteStoreContract):
    @pytest.fixture
    def store(self, s3_server: str, bucket: str) -> RemoteStore:
        return CloudStore(f"s3://{bucket}/a/prefix", endpoint=s3_server)


def test_a_full_disk_leaves_no_half_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = FolderStore(tmp_path)

    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DiskFull):
        store.put_new("packs/a.pack", b"content")
    assert list(store.list("")) == []
    assert list((tmp_path / "packs").iterdir()) == []


def test_a_folder_one_may_not_read_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(RemoteDenied, match="does not allow reading") as caught:
        FolderStore(tmp_path).get("one")
    assert caught.value.code == "DATA-054"


class Forgiving(WatchedStore):
    """A server without conditional writes: it takes everything."""

    def put_new(self, name: str, content: bytes | Path) -> bool:
        self._store.delete(name)
        return super().put_new(name, content)


class ForgivingSwaps(WatchedStore):
    """A server that makes objects once but ignores tags."""

    def compare_and_swap(self, name: str, content: bytes, *, expected: Tag | None) -> Tag:
        held = self._store.get(name) if expected else None
        return super().compare_and_swap(name, content, expected=held.tag if held else None)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (Forgiving, "making an object that is there already is not refused"),
        (ForgivingSwaps, "replacing an object that has changed meanwhile is not refused"),
    ],
)
def test_a_store_that_lets_writers_undo_each_other_fails_the_probe(
    kind: type[WatchedStore], problem: str, tmp_path: Path
):
    store = kind(FolderStore(tmp_path))
    with pytest.raises(RemoteUnfit, match=problem) as caught:
        probe(store)
    assert caught.value.code == "DATA-055"
    assert list(store.list("")) == []


def test_a_bucket_that_is_not_there_is_named(s3_server: str, bucket: str):
    store = CloudStore("s3://no-such-bucket", endpoint=s3_server, patience=HASTY)
    with pytest.raises(RemoteUnavailable, match="s3://no-such-bucket: there is no such bucket"):
        store.compare_and_swap("one", b"1", expected=None)


def test_nobody_at_the_endpoint_is_said_after_bounded_tries(bucket: str):
    store = CloudStore(f"s3://{bucket}", endpoint="http://127.0.0.1:9", patience=HASTY)
    with pytest.raises(RemoteUnavailable, match="reading failed: no connection") as caught:
        store.get("one")
    assert caught.value.__cause__ is None
