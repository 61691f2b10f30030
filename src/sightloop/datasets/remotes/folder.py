"""A remote in a folder: a disk that is carried around, or a share that several machines mount.

An object appears under its name only when its bytes are durable. Swaps take a lock, which the
file system must keep for all machines (NFS 4 and SMB do).
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightloop.datasets.errors import RemoteDenied, RemoteUnavailable
from sightloop.datasets.remotes.backend import Held, Listed, Stale, Tag
from sightloop.kernel.digests import digest_of
from sightloop.kernel.files import disk_errors, sync_folder, write_atomic

_LOCK = ".lock"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK)
_COPY_BYTES = 1 << 20


class FolderStore:
    """Objects as files; see `RemoteStore`. The folder is made with the first object."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def label(self) -> str:
        """The folder."""
        return str(self._root)

    def get(self, name: str) -> Held | None:
        """The whole file; see `RemoteStore.get`."""
        with self._errors("reading"):
            try:
                content = self._path(name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Held(content, _tag_of(content))

    def get_range(self, name: str, start: int, length: int) -> memoryview | None:
        """Some bytes; see `RemoteStore.get_range`."""
        with self._errors("reading"):
            try:
                with self._path(name).open("rb") as file:
                    file.seek(start)
                    return memoryview(file.read(length))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def put_new(self, name: str, content: bytes | Path) -> bool:
        """Make a file; see `RemoteStore.put_new`."""
        path = self._path(name)
        with self._errors("writing"), disk_errors(path):
            if path.exists():
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{secrets.token_hex(8)}")
            try:
                _write_durably(temporary, content)
                is_new = self._publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(path.parent)
        return is_new

    def compare_and_swap(self, name: str, content: bytes, *, expected: Tag | None) -> Tag:
        """Replace a file under the lock; see `RemoteStore.compare_and_swap`."""
        path = self._path(name)
        with self._errors("writing"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                found = _tag_of(path.read_bytes()) if path.exists() else None
                if found != expected:
                    raise Stale(name)
                write_atomic(path, content)
        return _tag_of(content)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every file below; see `RemoteStore.list`."""
        with self._errors("listing"):
            for folder, below, files in os.walk(self._root / prefix):
                below.sort()
                for file in sorted(files):
                    if file.startswith("."):
                        continue
                    path = Path(folder) / file
                    facts = path.stat()
                    name = path.relative_to(self._root).as_posix()
                    yield Listed(name, facts.st_size, Tag(f"{facts.st_mtime_ns}-{facts.st_ino}"))

    def size_bytes(self, name: str) -> int | None:
        """The file's size; see `RemoteStore.size_bytes`."""
        with self._errors("reading"):
            try:
                return self._path(name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def delete(self, name: str) -> None:
        """Remove the file; see `RemoteStore.delete`."""
        with self._errors("deleting"):
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._root / name

    def _publish(self, temporary: Path, path: Path) -> bool:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without hard links: the lock keeps writers of ours apart.
            with self._locked():
                if path.exists():
                    return False
                temporary.replace(path)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._root / _LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise RemoteDenied(remote=self.label, doing=doing) from error
        except OSError as error:
            problem = error.strerror or type(error).__name__
            raise RemoteUnavailable(
                remote=self.label, problem=f"{doing} failed: {problem}"
            ) from error


def _write_durably(path: Path, content: bytes | Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                while chunk := source.read(_COPY_BYTES):
                    file.write(chunk)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _tag_of(content: bytes) -> Tag:
    return Tag(digest_of(content))
