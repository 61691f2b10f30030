"""Which files were looked at: one line per file, appended when all about it is done.

A line is a JSON array `[name, size_bytes, mtime_ns, sha256]`. A torn last line (power cut) is a
file that was not finished and is looked at again. Lines of files that are gone are forgotten when
the ledger is opened, so it never grows beyond what the folder holds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.kernel.files import disk_errors, write_atomic


class Seen(NamedTuple):
    """A file that was looked at."""

    name: str
    size_bytes: int
    mtime_ns: int
    sha256: str


class Ledger:
    """For one process and one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = {one.name: one for one in _read(path)}

    def knows_stat(self, name: str, *, size_bytes: int, mtime_ns: int) -> bool:
        """Whether a file of that name, size and time was looked at; nothing has to be read."""
        one = self._seen.get(name)
        return one is not None and (one.size_bytes, one.mtime_ns) == (size_bytes, mtime_ns)

    def knows_content(self, name: str, sha256: str) -> bool:
        """Whether a file of that name with just these bytes was looked at."""
        one = self._seen.get(name)
        return one is not None and one.sha256 == sha256

    def remember(self, seen: Seen) -> None:
        """Know the file until the process ends, no longer."""
        self._seen[seen.name] = seen

    def has_film(self, path: Path) -> bool:
        """Whether this very film was looked at to its end."""
        one = _film(path)
        return one is not None and self.knows_stat(
            one.name, size_bytes=one.size_bytes, mtime_ns=one.mtime_ns
        )

    def add_film(self, path: Path) -> None:
        """Remember, durably, that the film was looked at to its end.

        Raises:
            DiskFull: no room; it will be looked at again after a restart.
        """
        one = _film(path)
        if one is not None and not self.has_film(path):
            self.add(one)

    def add(self, seen: Seen) -> None:
        """Remember the file, durably.

        Raises:
            DiskFull: no room; it will be looked at again after a restart.
        """
        line = msgspec.json.encode(seen) + b"\n"
        with disk_errors(self._path):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._seen[seen.name] = seen

    def forget_all_but(self, names: set[str]) -> None:
        """Drop the files that are gone.

        Raises:
            DiskFull: no room; nothing is forgotten.
        """
        kept = {name: one for name, one in self._seen.items() if name in names}
        if len(kept) < len(self._seen) or _is_torn(self._path):
            lines = b"".join(msgspec.json.encode(one) + b"\n" for one in kept.values())
            write_atomic(self._path, lines)
        self._seen = kept


def _read(path: Path) -> list[Seen]:
    found = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            found.append(msgspec.json.decode(line, type=Seen))
        except msgspec.DecodeError:
            continue  # torn or damaged: that file is looked at again
    return found


def _film(path: Path) -> Seen | None:
    """A film is known by name, size and time: reading gigabytes to hash them takes minutes."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return Seen(str(path), facts.st_size, facts.st_mtime_ns, "")


def _is_torn(path: Path) -> bool:
    return path.exists() and not path.read_bytes().endswith(b"\n")
