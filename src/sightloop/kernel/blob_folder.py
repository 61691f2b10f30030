"""The folder of a local blob store: where each file lies, and how files leave it.

A blob may go only while nobody stores any: a writer that finds its bytes there already relies on
them before any record names them. Writers share a lock on the folder, whoever removes has it
alone, for a few files at a time. A blob that is put again is marked as used, so it counts as young.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import Unavailable

INCOMING = "incoming"
LOCK_PATIENCE_S = 600.0

_ALGORITHM = "sha256"
_LOOK_EVERY_S = 0.05
_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are."""


class BlobsInUse(Unavailable):
    """Somebody is storing blobs, so none can be removed now."""

    code = "SL-521"

    def __init__(self, *, root: str, patience_s: float) -> None:
        super().__init__(
            f"somebody has been storing files in {root} for {patience_s:g} s, so nothing could be "
            "removed there; repeat the command when that import or pull has ended",
            root=root,
            patience_s=patience_s,
        )


class StoredBlob(NamedTuple):
    """A blob as a store keeps it."""

    digest: Digest
    size_bytes: int
    disk_bytes: int
    """What removing it gives back to the disk; 0 while another hard link holds the bytes."""
    used_at_ms: int
    """When it was last put, also when the store had it already."""


class Leftover(NamedTuple):
    """A file that a writer has not finished, or never will."""

    path: Path
    disk_bytes: int
    written_at_ms: int


class BlobRemoval:
    """The right to remove blobs, for as long as nobody can store any."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def remove_old(self, digest: Digest, *, used_before_ms: int) -> StoredBlob | None:
        """Remove the blob unless it was put since; None if it stays or was not there."""
        path = blob_path(self._root, digest)
        found = _stored(path)
        if found is None or found.used_at_ms >= used_before_ms:
            return None
        path.unlink(missing_ok=True)
        return found

    def erase(self, digest: Digest) -> StoredBlob | None:
        """Remove the blob whenever it was put; None if it was not there."""
        path = blob_path(self._root, digest)
        found = _stored(path)
        path.unlink(missing_ok=True)
        return found

    def remove_leftovers(self, *, written_before_ms: int) -> list[Leftover]:
        """Remove what writers that died left behind."""
        old = [one for one in leftovers(self._root) if one.written_at_ms < written_before_ms]
        for one in old:
            one.path.unlink(missing_ok=True)
        return old


@contextmanager
def protected(root: Path) -> Iterator[None]:
    """Nothing is removed from the folder while the block runs."""
    descriptor = _open_lock(root)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def removal(root: Path, *, patience_s: float = LOCK_PATIENCE_S) -> Iterator[BlobRemoval]:
    """Nobody stores anything in the folder while the block runs.

    Raises:
        BlobsInUse: somebody did for longer than `patience_s`.
    """
    descriptor = _open_lock(root)
    try:
        _lock_alone(descriptor, root, patience_s)
        yield BlobRemoval(root)
    finally:
        os.close(descriptor)


def mark_used(place: str) -> bool:
    """Whether the blob is there; if so, it counts as put just now. One system call."""
    try:
        os.utime(place)
    except FileNotFoundError:
        return False
    except OSError:  # the file is another user's, or the disk is read-only
        return Path(place).exists()
    return True


def blob_path(root: Path, digest: Digest) -> Path:
    """Where the blob lies, if it is there."""
    return Path(blob_place(str(root), digest))


def blob_place(root: str, digest: Digest) -> str:
    """The same as plain text: for 100,000 blobs, path objects would take a third of the time."""
    return f"{root}/{_ALGORITHM}/{digest[7:9]}/{digest[9:]}"


def stored_blobs(root: Path) -> Iterator[StoredBlob]:
    """Every blob, one folder after another; one that goes meanwhile may be left out."""
    for folder in sorted(_entries(root / _ALGORITHM)):
        for file in _entries(Path(folder)):
            found = _stored(Path(file))
            if found is not None:
                yield found


def leftovers(root: Path) -> Iterator[Leftover]:
    """Every file that is not finished."""
    for file in _entries(root / INCOMING):
        try:
            facts = Path(file).stat()
        except FileNotFoundError:
            continue
        yield Leftover(Path(file), facts.st_blocks * _BLOCK_BYTES, facts.st_mtime_ns // 1_000_000)


def _stored(path: Path) -> StoredBlob | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return StoredBlob(
        Digest(f"{_ALGORITHM}:{path.parent.name}{path.name}"),
        facts.st_size,
        facts.st_blocks * _BLOCK_BYTES if facts.st_nlink == 1 else 0,
        facts.st_mtime_ns // 1_000_000,
    )


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _open_lock(root: Path) -> int:
    return os.open(root, os.O_RDONLY | os.O_CLOEXEC)


def _lock_alone(descriptor: int, root: Path, patience_s: float) -> None:
    """Ask again and again: a waiting request would not keep newcomers out either."""
    end_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end_s:
                raise BlobsInUse(root=str(root), patience_s=patience_s) from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return
