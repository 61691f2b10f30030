"""What waits for the server: numbered messages, bounded in bytes, kept through crashes.

Every message gets a sequence number of its own, for ever: numbers are reserved on disk in blocks
before any of a block is used. Messages lie on shelves (see `drop_order`), are forwarded in order
of their numbers over all shelves, and are removed when the server says that it stored them. The
image of a kept-image message lies beside it in the same record, so both come and go together.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, cast

import msgspec

from sightloop.contracts.decode import decode, encode
from sightloop.contracts.telemetry import Body, DroppedBody, Envelope
from sightloop.device.drop_order import DROP_ORDER, Shelf, make_room, shelf_of
from sightloop.device.segments import Entry, Record, Segment, found_segments, new_segment
from sightloop.kernel.errors import DiskFull
from sightloop.kernel.files import write_atomic

SEGMENT_BYTES = 1 << 20
"""A segment that has grown to this is sealed; also the unit in which a full spool gives up."""

RESERVED_FOR_NOTICES_BYTES = 64 << 10
"""Room that other messages leave, so that what is given up can be told at once."""

RESERVE = 256
"""Sequence numbers reserved with one write; a crash leaves a gap of at most so many."""


class Spooled(NamedTuple):
    """One message to forward."""

    envelope: Envelope
    image: bytes


class SpoolFacts(NamedTuple):
    """How full the spool is."""

    n_envelopes: int
    size_bytes: int
    n_dropped: int
    """Since the agent started."""


class _Reserved(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["sightloop.spool-sequence/1"] = "sightloop.spool-sequence/1"
    up_to: int


class Spool:
    """The messages of one device. Safe for several threads; `facts` may be read without waiting."""

    def __init__(
        self, root: Path, *, device: str, limit_bytes: int, first_sequence: int = 1
    ) -> None:
        """Open the spool in `root`; `first_sequence` counts only where there was none before."""
        self._lock = threading.RLock()
        self._device = device
        self._limit_bytes = limit_bytes
        self._sequence_file = root / "sequence.json"
        self._folders = {shelf: root / shelf for shelf in DROP_ORDER}
        for folder in self._folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        self._shelves = {shelf: found_segments(self._folders[shelf]) for shelf in DROP_ORDER}
        self._confirmed: set[int] = set()
        self._dropped: Counter[Shelf] = Counter()
        self._n_dropped = 0
        self._reserved_to = self._read_reserved(first_sequence)
        self._next = self._reserved_to + 1
        self.facts = self._count()

    def append(self, body: Body, *, at_ms: int, image: bytes = b"") -> int | None:
        """Spool a message durably; its number, or None when it had to be given up itself."""
        with self._lock:
            self._tell_dropped(at_ms)  # what the server would not take
            sequence = self._append(body, at_ms=at_ms, image=image)
            # At once: what was given up is counted in memory, and the power may fail.
            self._tell_dropped(at_ms)
            self.facts = self._count()
            return sequence

    def next_batch(self, *, n_most: int, most_bytes: int) -> list[Spooled]:
        """The oldest messages in order; at least one when there is any, whatever its size."""
        with self._lock:
            batch: list[Spooled] = []
            size_bytes = 0
            for segment, entry in self._in_order():
                size_bytes += entry.size_bytes
                if batch and (len(batch) == n_most or size_bytes > most_bytes):
                    break
                record = segment.read(entry)
                envelope = msgspec.json.decode(record.message, type=Envelope)
                batch.append(Spooled(envelope, record.image))
            return batch

    def confirm(self, sequences: Collection[int]) -> None:
        """Forget what the server stored; a segment goes as soon as all before it are stored too."""
        with self._lock:
            self._confirmed.update(sequences)
            for segments in self._shelves.values():
                while segments and self._is_done(segments[0]):
                    self._confirmed -= _sequences(segments[0])
                    segments.pop(0).remove()
            self.facts = self._count()

    def give_up(self, sequence: int, *, shelf: Shelf) -> None:
        """Remove a message that the server will never take, and say so in the next notice."""
        with self._lock:
            self._count_dropped(shelf, 1)
            self.confirm([sequence])

    def _append(self, body: Body, *, at_ms: int, image: bytes) -> int | None:
        sequence = self._try_append(body, at_ms=at_ms, image=image)
        if sequence is None:
            self._count_dropped(shelf_of(body), 1)
        return sequence

    def _try_append(self, body: Body, *, at_ms: int, image: bytes) -> int | None:
        shelf = shelf_of(body)
        sequence = self._take_sequence()
        if sequence is None:
            return None
        envelope = Envelope(device=self._device, sequence=sequence, at_ms=at_ms, body=body)
        record = Record(encode(envelope), image)
        n_bytes = record.size_bytes
        reserved_bytes = 0 if shelf == "notice" else RESERVED_FOR_NOTICES_BYTES
        if self._make_room(shelf, n_bytes, limit_bytes=self._limit_bytes - reserved_bytes) and (
            self._write(shelf, sequence, record)
            # The disk is smaller than the limit: give up as much again as is needed now.
            or (
                self._make_room(shelf, n_bytes, limit_bytes=self._count().size_bytes - n_bytes)
                and self._write(shelf, sequence, record)
            )
        ):
            return sequence
        return None

    def _count(self) -> SpoolFacts:
        every = [segment for segments in self._shelves.values() for segment in segments]
        return SpoolFacts(
            n_envelopes=sum(segment.n_records for segment in every) - len(self._confirmed),
            size_bytes=sum(segment.size_bytes for segment in every),
            n_dropped=self._n_dropped,
        )

    def _write(self, shelf: Shelf, sequence: int, record: Record) -> bool:
        try:
            self._open_segment(shelf, sequence).append(sequence, record)
        except DiskFull:
            return False
        return True

    def _open_segment(self, shelf: Shelf, sequence: int) -> Segment:
        segments = self._shelves[shelf]
        if segments and segments[-1].is_open:
            if segments[-1].size_bytes < SEGMENT_BYTES:
                return segments[-1]
            segments[-1].seal()
        segments.append(new_segment(self._folders[shelf], first_sequence=sequence))
        return segments[-1]

    def _make_room(self, shelf: Shelf, needed_bytes: int, *, limit_bytes: int) -> bool:
        sizes = {
            shelf: [segment.size_bytes for segment in segments]
            for shelf, segments in self._shelves.items()
        }
        sacrifices = make_room(
            sizes, incoming=shelf, incoming_bytes=needed_bytes, limit_bytes=limit_bytes
        )
        for sacrifice in sacrifices or []:
            segments = self._shelves[sacrifice.shelf]
            for segment in segments[: sacrifice.n_segments]:
                sequences = _sequences(segment)
                n_retold = self._tell_again(segment) if sacrifice.shelf == "notice" else 0
                n_dropped = len(sequences - self._confirmed) - n_retold
                self._count_dropped(sacrifice.shelf, n_dropped)
                self._confirmed -= sequences
                segment.remove()
            self._shelves[sacrifice.shelf] = segments[sacrifice.n_segments :]
        return sacrifices is not None

    def _is_done(self, segment: Segment) -> bool:
        return segment.n_records > 0 and _sequences(segment) <= self._confirmed

    def _in_order(self) -> Iterator[tuple[Segment, Entry]]:
        def of_shelf(segments: list[Segment]) -> Iterator[tuple[int, Segment, Entry]]:
            for segment in segments:
                for entry in segment.entries():
                    if entry.sequence not in self._confirmed:
                        yield entry.sequence, segment, entry

        shelves = [of_shelf(segments) for segments in self._shelves.values()]
        for _, segment, entry in heapq.merge(*shelves, key=lambda found: found[0]):
            yield segment, entry

    def _take_sequence(self) -> int | None:
        """The next number; None when no room is left to reserve it."""
        if self._next > self._reserved_to:
            up_to = self._next + RESERVE - 1
            try:
                write_atomic(self._sequence_file, encode(_Reserved(up_to=up_to)))
            except DiskFull:
                return None
            self._reserved_to = up_to
        self._next += 1
        return self._next - 1

    def _read_reserved(self, first_sequence: int) -> int:
        if not self._sequence_file.exists():
            return first_sequence - 1
        content = self._sequence_file.read_bytes()
        return decode(content, _Reserved, what=str(self._sequence_file)).up_to

    def _count_dropped(self, shelf: Shelf, n: int) -> None:
        self._dropped[shelf] += n
        self._n_dropped += n

    def _tell_dropped(self, at_ms: int) -> None:
        by_kind = {str(shelf): n for shelf, n in sorted(self._dropped.items()) if n}
        if by_kind:
            told, self._dropped = self._dropped, Counter()
            body = DroppedBody(n_envelopes=sum(by_kind.values()), by_kind=by_kind)
            if self._try_append(body, at_ms=at_ms, image=b"") is None:
                self._dropped += told  # with the next message, when there is room again

    def _tell_again(self, segment: Segment) -> int:
        """Take over what the drop notices of a segment tell, which is about to go; how many."""
        n_retold = 0
        for entry in segment.entries():
            if entry.sequence in self._confirmed:
                continue
            body = msgspec.json.decode(segment.read(entry).message, type=Envelope).body
            if isinstance(body, DroppedBody):
                self._dropped.update(cast("dict[Shelf, int]", body.by_kind))
                n_retold += 1
        return n_retold


def _sequences(segment: Segment) -> set[int]:
    return {entry.sequence for entry in segment.entries()}
