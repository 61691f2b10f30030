"""Fetching a file whose digest is known: resumed where it broke off, never visible half done."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from sightloop.contracts.bundle import BundleFile
from sightloop.device.errors import ServerAway, TamperedFile
from sightloop.device.server_link import CHUNK_BYTES
from sightloop.device.update_source import UpdateSource
from sightloop.kernel.digests import Digest, parse_digest
from sightloop.kernel.files import disk_errors, sync_folder

PART_SUFFIX = ".part"


def fetch_file(source: UpdateSource, file: BundleFile, *, into: Path) -> None:
    """Make `into` hold the file's bytes, durably. What arrived before a failure is kept.

    Raises:
        TamperedFile: the server has other bytes under this name; what arrived was removed.
        ServerAway: the transfer broke off; call again to go on from there.
        ServerRefused: the server does not have the file.
        DiskFull: no room.
    """
    part_path = into.with_name(into.name + PART_SUFFIX)
    into.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(part_path), part_path.open("ab+") as opened:
        part = _Part(opened)
        if part.size_bytes < file.size_bytes:
            _receive(source, file, part)
        opened.flush()
        os.fsync(opened.fileno())
    if part.digest() != file.digest:
        part_path.unlink()
        raise TamperedFile(
            file=file.name,
            expected=f"{file.digest} of {file.size_bytes} bytes",
            found=f"{part.digest()} of {part.size_bytes} bytes",
        )
    part_path.replace(into)
    sync_folder(into.parent)


class _Part:
    """A file on its way: what arrived so far, and the hash of it."""

    def __init__(self, opened: BinaryIO) -> None:
        self._file = opened
        self._hasher = hashlib.sha256()
        self.size_bytes = 0
        opened.seek(0)
        while chunk := opened.read(CHUNK_BYTES):
            self._count(chunk)

    def append(self, chunk: bytes) -> None:
        """Add what arrived."""
        self._file.write(chunk)
        self._count(chunk)

    def begin_anew(self) -> None:
        """Forget what arrived before."""
        self._file.truncate(0)
        self._hasher = hashlib.sha256()
        self.size_bytes = 0

    def digest(self) -> Digest:
        """The name of what arrived."""
        return Digest("sha256:" + self._hasher.hexdigest())

    def _count(self, chunk: bytes) -> None:
        self._hasher.update(chunk)
        self.size_bytes += len(chunk)


def _receive(source: UpdateSource, file: BundleFile, part: _Part) -> None:
    path = f"/tuf/blobs/{parse_digest(file.digest).removeprefix('sha256:')}"
    with source.open(path, from_byte=part.size_bytes) as (response, begins_at):
        if begins_at != part.size_bytes:
            part.begin_anew()
        # `read1` hands over what has arrived; `read` would lose it when the line goes dead.
        while chunk := response.read1(CHUNK_BYTES):
            part.append(chunk)
            if part.size_bytes > file.size_bytes:
                return  # More than was signed: the hash will say so, the rest can stay there.
    if part.size_bytes < file.size_bytes:
        reason = f"{file.name} ended after {part.size_bytes} of {file.size_bytes} bytes"
        raise ServerAway(url=source.url(path), reason=reason)
