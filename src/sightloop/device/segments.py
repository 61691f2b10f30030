"""One file of the spool: records appended one after another, removed only all together.

A record is a head of three numbers (length of the message, length of the image, checksum of both)
followed by the two. While a segment grows it is named `NUMBER.open`; sealed, it also says how many
records it holds, `NUMBER-COUNT.sealed`, so that a start need not read what lies in the spool.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.kernel.files import disk_errors, sync_folder

_HEAD = struct.Struct("<III")


class Entry(NamedTuple):
    """Where a record lies in its segment."""

    sequence: int
    offset: int
    message_bytes: int
    image_bytes: int

    @property
    def size_bytes(self) -> int:
        """Of the whole record."""
        return _HEAD.size + self.message_bytes + self.image_bytes


class Record(NamedTuple):
    """A message as it was spooled, and the image it speaks of; empty when it speaks of none."""

    message: bytes
    image: bytes

    @property
    def size_bytes(self) -> int:
        """What it takes in a segment."""
        return _HEAD.size + len(self.message) + len(self.image)


class _Numbered(msgspec.Struct):
    sequence: int


class Segment:
    """A file of the spool. Not for several threads; the spool's lock covers it."""

    def __init__(self, path: Path, *, n_records: int, size_bytes: int) -> None:
        self.path = path
        self.n_records = n_records
        self.size_bytes = size_bytes
        self._entries: list[Entry] | None = None

    @property
    def is_open(self) -> bool:
        """Whether records may still be appended."""
        return self.path.suffix == ".open"

    def append(self, sequence: int, record: Record) -> None:
        """Add a record, durably; a crash in the middle leaves the segment as it was.

        Raises:
            DiskFull: no room; the segment is as it was.
        """
        assert self.is_open, "sealed segments do not grow"
        entries = self.entries()  # before the file grows, which they may be read from
        head = _HEAD.pack(len(record.message), len(record.image), _checksum(record))
        with disk_errors(self.path), self.path.open("r+b") as file:
            file.seek(self.size_bytes)
            try:
                file.write(head + record.message + record.image)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self.size_bytes)
                raise
        entry = Entry(sequence, self.size_bytes, len(record.message), len(record.image))
        entries.append(entry)
        self.n_records += 1
        self.size_bytes += entry.size_bytes

    def entries(self) -> list[Entry]:
        """Where the records lie, in order of sequence."""
        if self._entries is None:
            self._entries = list(_scan(self.path))
        return self._entries

    def read(self, entry: Entry) -> Record:
        """One record."""
        with self.path.open("rb") as file:
            file.seek(entry.offset + _HEAD.size)
            return Record(file.read(entry.message_bytes), file.read(entry.image_bytes))

    def seal(self) -> None:
        """Let it grow no more."""
        sealed = self.path.with_name(f"{self.path.stem}-{self.n_records}.sealed")
        self.path.replace(sealed)
        sync_folder(sealed.parent)
        self.path = sealed

    def remove(self) -> None:
        """Forget the records."""
        self.path.unlink(missing_ok=True)


def new_segment(folder: Path, *, first_sequence: int) -> Segment:
    """An empty segment whose name is durable."""
    path = folder / f"{first_sequence:020d}.open"
    with disk_errors(path):
        path.touch()
        sync_folder(folder)
    return Segment(path, n_records=0, size_bytes=0)


def found_segments(folder: Path) -> list[Segment]:
    """The segments of a shelf, oldest first; one that was open at a crash is cut back and sealed.

    Only what was never confirmed as written can be cut off: the torn end of the last record.
    """
    segments = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".sealed":
            count = int(path.stem.partition("-")[2])
            segments.append(Segment(path, n_records=count, size_bytes=path.stat().st_size))
        elif path.suffix == ".open":
            entries = list(_scan(path))
            size_bytes = sum(entry.size_bytes for entry in entries)
            os.truncate(path, size_bytes)
            segment = Segment(path, n_records=len(entries), size_bytes=size_bytes)
            if entries:
                segment.seal()
                segments.append(segment)
            else:
                segment.remove()
    return segments


def _scan(path: Path) -> Iterator[Entry]:
    """The whole and undamaged records from the beginning on."""
    with path.open("rb") as file:
        offset = 0
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            message_bytes, image_bytes, checksum = _HEAD.unpack(head)
            record = Record(file.read(message_bytes), file.read(image_bytes))
            whole = (len(record.message), len(record.image)) == (message_bytes, image_bytes)
            if not whole or _checksum(record) != checksum:
                return
            sequence = msgspec.json.decode(record.message, type=_Numbered).sequence
            entry = Entry(sequence, offset, message_bytes, image_bytes)
            yield entry
            offset += entry.size_bytes


def _checksum(record: Record) -> int:
    return zlib.crc32(record.image, zlib.crc32(record.message))
