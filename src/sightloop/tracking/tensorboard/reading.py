"""Event files from disk, in bounded memory: whole, checked, with an account of every flaw.

A file that is still being written ends within a record; that record is read the next time, from
the place where this reading ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from sightloop.tracking.tensorboard.crc32c import Bytes
from sightloop.tracking.tensorboard.events import Event, Plugins, Scalar, decode_event
from sightloop.tracking.tensorboard.records import (
    FRAME_BYTES,
    HEADER_BYTES,
    MAX_RECORD_BYTES,
    Found,
    Stop,
    find_header,
    find_records,
)
from sightloop.tracking.tensorboard.scalars import ScalarColumns, joined, read_scalars
from sightloop.tracking.tensorboard.wire import BrokenMessage

CHUNK_BYTES = 4 << 20
"""Large enough to look up thousands of records at once, small enough for a processor's cache."""


class FileFlaw(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a file that is not as it was written, and what was done about it."""

    file: str
    offset: int
    """Of the record's first byte in the file."""
    problem: str


class EventBatch(NamedTuple):
    """What some megabytes of a file say."""

    scalars: ScalarColumns
    events: list[Event]
    """Events that say more, or something else, than one scalar."""
    flaws: list[FileFlaw]
    end: int
    """How far the file was read: where to go on another time."""


def read_event_file(
    path: Path, *, offset: int = 0, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[EventBatch]:
    """Everything in the file from a record's first byte on.

    Holds some times `chunk_bytes` in memory, or some times the longest record. Bytes that are
    damaged are left out and reported; reading goes on with the next record.

    Raises:
        OSError: the file cannot be read.
    """
    reader = _Reader(path, offset, path.stat().st_size)
    with path.open("rb") as file:
        wanted = chunk_bytes
        while wanted:
            file.seek(reader.offset)
            buffer = np.frombuffer(file.read(wanted), dtype=np.uint8)
            batch, wanted = reader.take(buffer, chunk_bytes)
            yield batch


def read_all_scalars(path: Path) -> ScalarColumns:
    """Every scalar of the file, in no particular order; flaws are left out.

    Raises:
        OSError: the file cannot be read.
    """
    parts = []
    for batch in read_event_file(path):
        parts += [batch.scalars, scalars_among(batch.events)]
    return joined(parts)


def scalars_among(events: list[Event]) -> ScalarColumns:
    """The scalars of events that say more than one."""
    found = [
        (value.tag, event.step, event.wall_time_s, value.content.value)
        for event in events
        for value in event.values
        if isinstance(value.content, Scalar)
    ]
    tags = list(dict.fromkeys(tag for tag, *_ in found))
    numbers = {tag: number for number, tag in enumerate(tags)}
    return ScalarColumns(
        tags,
        np.array([numbers[tag] for tag, *_ in found], dtype=np.int64),
        np.array([step for _, step, _, _ in found], dtype=np.int64),
        np.array([wall_time_s for _, _, wall_time_s, _ in found], dtype=np.float64),
        np.array([value for *_, value in found], dtype=np.float64),
    )


class _Reader:
    """How far a file was read, and where damage began that has not ended yet."""

    def __init__(self, path: Path, offset: int, size_bytes: int) -> None:
        self.offset = offset
        self._path, self._size = path, size_bytes
        self._plugins: Plugins = {}
        self._damaged_from: int | None = None

    def take(self, buffer: Bytes, chunk_bytes: int) -> tuple[EventBatch, int]:
        """What these bytes at `offset` say, and how many to read next; 0 after the last."""
        found = find_records(buffer)
        flaws: list[FileFlaw] = []
        if len(found.starts):
            flaws += self._damage_ends()
        scalars, events = self._decode(buffer, found, flaws)
        is_last = self.offset + len(buffer) >= self._size
        self.offset += found.end
        wanted = self._go_on(buffer[found.end :], found.stop, is_last, chunk_bytes, flaws)
        end = self.offset if self._damaged_from is None else self._damaged_from
        return EventBatch(scalars, events, flaws, end), wanted

    def _decode(
        self, buffer: Bytes, found: Found, flaws: list[FileFlaw]
    ) -> tuple[ScalarColumns, list[Event]]:
        for start in found.starts[~found.is_whole].tolist():
            self._report(flaws, start - HEADER_BYTES, "contradicts its checksum and was left out")
        starts, lengths = found.starts[found.is_whole], found.lengths[found.is_whole]
        scalars, others = read_scalars(buffer, starts, lengths)
        events = []
        for start, length in zip(starts[others].tolist(), lengths[others].tolist(), strict=True):
            try:
                event = decode_event(buffer[start : start + length].tobytes(), self._plugins)
            except BrokenMessage as error:
                problem = f"is no event and was left out: {error}"
                self._report(flaws, start - HEADER_BYTES, problem)
                continue
            if event.values:
                events.append(event)
        return scalars, events

    def _go_on(
        self, rest: Bytes, stop: Stop, is_last: bool, chunk_bytes: int, flaws: list[FileFlaw]
    ) -> int:
        """How many bytes to read next, `rest` being where no record was found."""
        if stop == "end" and is_last:
            flaws += self._damage_ends(of_file=True)
            return 0
        if stop == "no record":
            return self._pass_over(rest, is_last, chunk_bytes, flaws)
        if stop in ("too large", "incomplete") and len(rest) >= HEADER_BYTES:
            length = FRAME_BYTES + int.from_bytes(rest[:8].tobytes(), "little")
            if self.offset + length <= self._size:
                if stop == "incomplete":
                    return max(chunk_bytes, length)
                self._report(flaws, 0, f"has {length:,} bytes, more than {MAX_RECORD_BYTES:,}")
                self.offset += length
                return chunk_bytes if self.offset < self._size else 0
        if not is_last:
            return chunk_bytes
        if len(rest):
            flaws += self._damage_ends()
            problem = f"is not complete: {len(rest):,} bytes of it are there"
            self._report(flaws, 0, f"{problem}; it is read the next time if it is being written")
        return 0

    def _pass_over(
        self, rest: Bytes, is_last: bool, chunk_bytes: int, flaws: list[FileFlaw]
    ) -> int:
        """Go to where a record seems to begin again."""
        if self._damaged_from is None:
            self._damaged_from = self.offset
        header = find_header(rest, 1)
        if header is not None:
            self.offset += header
            return chunk_bytes
        self.offset += len(rest) if is_last else len(rest) - HEADER_BYTES + 1
        if is_last:
            flaws += self._damage_ends(of_file=True)
            return 0
        return chunk_bytes

    def _damage_ends(self, *, of_file: bool = False) -> list[FileFlaw]:
        if self._damaged_from is None:
            return []
        start = self._damaged_from
        problem = f"{self.offset - start:,} bytes are no records; they were passed over"
        if not of_file:  # else they stay unread, for what may be added behind them
            self._damaged_from = None
        return [FileFlaw(file=str(self._path), offset=start, problem=problem)]

    def _report(self, flaws: list[FileFlaw], at: int, problem: str) -> None:
        flaws.append(
            FileFlaw(file=str(self._path), offset=self.offset + at, problem=f"the record {problem}")
        )
