"""A run on this disk until its server has it: `docs/formats/run-spool.md`.

A folder per run, a file of lines per process of the run. A line that is there to its end is one
record; a crash can only cost the line that was being written. Each file has one writer.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from sightloop.client.errors import SpoolDamaged
from sightloop.client.places import Target
from sightloop.contracts.tracking import BeginTracking, TrackedEnd, WirePoint
from sightloop.kernel.files import sync_folder

FORMAT = "sightloop.run-spool/1"
MAIN = "main"
"""The part of the process that began the run."""
MAX_LINE_BYTES = 64 << 20


class Head(msgspec.Struct, frozen=True, kw_only=True, tag="head", tag_field="kind"):
    """The first line of the main part."""

    format: Literal["sightloop.run-spool/1"] = "sightloop.run-spool/1"
    begin: BeginTracking
    server: str
    workspace: str

    @property
    def target(self) -> Target:
        """Where the run is to be sent."""
        return Target(self.server, self.workspace)


class Batch(msgspec.Struct, frozen=True, kw_only=True, tag="batch", tag_field="kind"):
    """Points, parameters and tags, within the limits of one request."""

    points: list[WirePoint] = []
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class File(msgspec.Struct, frozen=True, kw_only=True, tag="file", tag_field="kind"):
    """An artifact whose bytes lie in the run's folder `files`."""

    name: str
    file: str
    size_bytes: int


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end", tag_field="kind"):
    """How the run ended; nothing of its part comes after."""

    state: TrackedEnd
    ended_at_ms: int
    reason: str = ""


Record = Head | Batch | File | End
_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class Line(NamedTuple):
    """A record, its number in the part, and where the line after it begins."""

    record: Record | None
    """None where the line's bytes are not those that were written."""
    number: int
    end: int


class Sent(msgspec.Struct, frozen=True):
    """How far a part was forwarded."""

    end: int = 0
    number: int = 0
    """Of the next line."""


def encode_line(record: Record) -> bytes:
    """The record with a checksum in front and a newline behind."""
    return _with_checksum(msgspec.json.encode(record))


def decode_line(line: bytes) -> Record | None:
    """The record, or None when these are not its bytes."""
    content = _checked(line)
    try:
        return None if content is None else _DECODER.decode(content)
    except msgspec.DecodeError:
        return None


def _with_checksum(content: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(content), content)


def _checked(line: bytes) -> bytes | None:
    """The content of a line whose checksum is right."""
    checksum, _, content = line.rstrip(b"\n").partition(b" ")
    try:
        return content if int(checksum, 16) == zlib.crc32(content) else None
    except ValueError:
        return None


class PartWriter:
    """Appends whole lines to one part. One thread at a time."""

    def __init__(self, folder: Path, part: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(folder / f"{part}.jsonl", flags, 0o600)
        self._size_bytes = os.fstat(self._descriptor).st_size
        if self._size_bytes and not _ends_whole(folder / f"{part}.jsonl"):
            self.append(b"\n")  # a crash broke the last line off: it stays, and counts as damaged

    def append(self, lines: bytes) -> None:
        """All of these whole lines are in the file, or none.

        After an error the same lines must be appended before any other: a reader may have seen
        the first of them.

        Raises:
            OSError: they are not.
        """
        try:
            n_written = 0
            while n_written < len(lines):
                n_written += os.write(self._descriptor, lines[n_written:])
        except OSError:
            os.ftruncate(self._descriptor, self._size_bytes)
            raise
        self._size_bytes += len(lines)

    def sync(self) -> None:
        """What was appended survives a power cut.

        Raises:
            OSError: perhaps not.
        """
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """The file is closed."""
        os.close(self._descriptor)


class RunSpool:
    """The folder of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    @classmethod
    def create(cls, root: Path, head: Head) -> RunSpool:
        """A new spool, owned by this process.

        Raises:
            OSError: the disk is full, or not writable.
        """
        folder = root / head.begin.run
        folder.mkdir(mode=0o700)
        (folder / "files").mkdir(mode=0o700)
        spool = cls(folder)
        assert spool.own(), "nobody else knows of a new run"
        writer = PartWriter(folder, MAIN)
        try:
            writer.append(encode_line(head))
            writer.sync()
        finally:
            writer.close()
        sync_folder(folder)
        sync_folder(root)
        return spool

    def own(self) -> bool:
        """Whether this process alone may forward the run from now on: its maker has gone.

        False also when somebody else has forwarded and removed it in the meantime.
        """
        path = self.folder / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.stat()  # whoever removed the run held the lock until then
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def disown(self) -> None:
        """Let others forward the run. In a forked child: without effect on the parent's lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def head(self) -> Head:
        """The first record.

        Raises:
            SpoolDamaged: it is not there or not readable.
        """
        path = self.folder / f"{MAIN}.jsonl"
        try:
            with path.open("rb") as file:
                line = file.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise SpoolDamaged(path=str(path), problem=str(error)) from error
        record = decode_line(line)
        if not isinstance(record, Head):
            raise SpoolDamaged(path=str(path), problem=f"its first line is no {FORMAT} head")
        return record

    def parts(self) -> list[str]:
        """The parts written so far; the main one comes last, for it holds the end."""
        names = sorted(path.stem for path in self.folder.glob("*.jsonl"))
        return [name for name in names if name != MAIN] + [MAIN]

    def lines(self, part: str, sent: Sent) -> Iterator[Line]:
        """The whole lines after those that were sent."""
        end, number = sent.end, sent.number
        with (self.folder / f"{part}.jsonl").open("rb") as file:
            file.seek(end)
            while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n"):
                end += len(line)
                yield Line(decode_line(line), number, end)
                number += 1

    def has_more(self, part: str, sent: Sent) -> bool:
        """Whether a whole line waits."""
        return next(self.lines(part, sent), None) is not None

    def sent(self, part: str) -> Sent:
        """How far the part was forwarded; from the start when nobody knows, which is harmless."""
        try:
            content = _checked((self.folder / f"{part}.sent").read_bytes())
            return Sent() if content is None else msgspec.json.decode(content, type=Sent)
        except (OSError, msgspec.DecodeError):
            return Sent()

    def note_sent(self, part: str, sent: Sent) -> None:
        """Remember how far the part was forwarded. Not durable: what is lost is only repeated."""
        temporary = self.folder / f"{part}.sent.new"
        # A digit that flipped would skip lines, or have the target skip them.
        temporary.write_bytes(_with_checksum(msgspec.json.encode(sent)))
        temporary.replace(self.folder / f"{part}.sent")

    def set_aside(self, record: Record, problem: str) -> Path:
        """Keep a record that will never be taken, in the folder beside all runs."""
        folder = self._refused()
        path = folder / f"{self.folder.name}.jsonl"
        with path.open("ab") as file:
            file.write(msgspec.json.encode({"problem": problem, "record": record}) + b"\n")
        if isinstance(record, File) and (self.folder / "files" / record.file).exists():
            (self.folder / "files" / record.file).replace(folder / f"{path.stem}-{record.file}")
        return path

    def set_damaged_aside(self, part: str, start: int, end: int) -> Path:
        """Keep the bytes of a damaged line: a person may still read something from them."""
        path = self._refused() / f"{self.folder.name}.damaged"
        with (self.folder / f"{part}.jsonl").open("rb") as source, path.open("ab") as file:
            source.seek(start)
            file.write(source.read(end - start))
        return path

    def _refused(self) -> Path:
        folder = self.folder.parent / "refused"
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def remove(self) -> None:
        """Everything was forwarded."""
        shutil.rmtree(self.folder)
        self.disown()


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def all_spools(root: Path) -> list[RunSpool]:
    """The spools of this user's runs, oldest first."""
    folders = [path for path in root.glob("run_*") if (path / f"{MAIN}.jsonl").exists()]
    return [RunSpool(path) for path in sorted(folders, key=lambda path: path.stat().st_mtime)]
