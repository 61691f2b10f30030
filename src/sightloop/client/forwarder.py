"""From a run's spool to its target: in order, each record once, as far as it goes now."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from sightloop.client.errors import TargetAway, TargetRefused
from sightloop.client.links import Link
from sightloop.client.spool import (
    MAIN,
    Batch,
    End,
    File,
    Head,
    Line,
    PartWriter,
    RunSpool,
    Sent,
    encode_line,
)
from sightloop.client.troubles import Troubles
from sightloop.contracts.tracking import (
    MAX_PARAMS,
    MAX_POINTS,
    MAX_TAGS,
    EndTracking,
    TrackBatch,
)

REFUSED = "records that were refused"
DAMAGED = "damaged lines in the spool"


class Forwarder:
    """Forwards one run. One thread at a time; any number of processes, one after the other.

    What was taken is noted after the target said so. When the note is lost, the same is sent
    again, and the target takes it for what it is by its number.
    """

    def __init__(self, spool: RunSpool, link: Link, troubles: Troubles) -> None:
        self._spool = spool
        self._link = link
        self._troubles = troubles
        self._run = spool.head().begin.run
        self._is_begun = False
        self._sent: dict[str, Sent] = {}
        self.is_ended = False
        """Whether the target knows how the run ended: nothing is left to forward."""

    def forward(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Send what is in the spool; how many records were sent.

        Raises:
            TargetAway: the rest must wait.
            SpoolDamaged: the run's head is gone.
            OSError: the spool cannot be read.
        """
        n_sent = 0
        if not self._is_begun:
            self._begin()
        try:
            for part in self._spool.parts():
                for group in _grouped(self._lines(part)):
                    if should_stop():
                        return n_sent
                    self._send(part, group)
                    n_sent += len(group)
        except TargetAway:
            self._is_begun = False  # it may be another server that answers next
            raise
        return n_sent

    def has_more(self) -> bool:
        """Whether records wait."""
        return any(
            self._spool.has_more(part, self._sent.get(part) or self._spool.sent(part))
            for part in self._spool.parts()
        )

    def _begin(self) -> None:
        head = self._spool.head()
        try:
            self._link.begin(head.begin)
        except TargetRefused as error:  # all of the run would be refused: it waits for a person
            raise TargetAway(target=str(head.target), problem=error.problem) from error
        self._is_begun = True

    def _lines(self, part: str) -> Iterator[Line]:
        if part not in self._sent:
            self._sent[part] = self._spool.sent(part)
        return self._spool.lines(part, self._sent[part])

    def _send(self, part: str, group: list[Line]) -> None:
        last = group[-1]
        record = _merged(group)
        try:
            if record is None:
                self._set_damaged_aside(part, last)
            else:
                self._send_record(part, last.number, record)
        except TargetRefused as error:
            self._set_aside(record, error)
        self._sent[part] = Sent(last.end, last.number + 1)
        self._spool.note_sent(part, self._sent[part])
        if isinstance(record, File):
            (self._spool.folder / "files" / record.file).unlink(missing_ok=True)
        if isinstance(record, End):
            self.is_ended = True

    def _send_record(self, part: str, number: int, record: Batch | File | End | Head) -> None:
        match record:
            case Batch():
                fields = msgspec.structs.asdict(record)
                self._link.log(TrackBatch(run=self._run, part=part, number=number, **fields))
            case File():
                path = self._spool.folder / "files" / record.file
                if path.exists():  # else it was taken, and only the note was lost
                    self._link.upload(self._run, record.name, path)
            case End():
                self._link.end(EndTracking(run=self._run, **msgspec.structs.asdict(record)))
            case Head():
                pass  # sent by `_begin`

    def _set_damaged_aside(self, part: str, line: Line) -> None:
        path = self._spool.set_damaged_aside(part, self._sent[part].end, line.end)
        self._troubles.add(
            DAMAGED, f"line {line.number + 1} of {part}; its bytes are kept in {path}"
        )

    def _set_aside(self, record: Batch | File | End | Head | None, error: TargetRefused) -> None:
        assert record is not None, "what cannot be read is not sent"
        path = self._spool.set_aside(record, error.message)
        self._troubles.add(REFUSED, f"{error.message}; kept in {path}")


def end_abandoned(spool: RunSpool, *, at_ms: int) -> None:
    """Say that a run whose process has gone without a word has failed.

    Raises:
        OSError: the disk is full.
    """
    last_at_ms, has_end = 0, False
    for line in spool.lines(MAIN, Sent()):
        if isinstance(line.record, Batch):
            last_at_ms = max([last_at_ms, *(point[3] for point in line.record.points)])
        has_end = has_end or isinstance(line.record, End)
    if not has_end:
        reason = "its process ended without saying how"
        writer = PartWriter(spool.folder, MAIN)
        try:
            end = End(state="failed", ended_at_ms=last_at_ms or at_ms, reason=reason)
            writer.append(encode_line(end))
        finally:
            writer.close()


def _grouped(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Neighbouring batches as far as one request may carry them, anything else alone."""
    group: list[Line] = []
    room = _Room()
    for line in lines:
        if group and not room.takes(line):
            yield group
            group, room = [], _Room()
            room.takes(line)
        elif not group:
            room.takes(line)
        group.append(line)
    if group:
        yield group


class _Room:
    """What is left of one request."""

    def __init__(self) -> None:
        self._left: tuple[int, ...] = (MAX_POINTS, MAX_PARAMS, MAX_TAGS)
        self._is_open = True

    def takes(self, line: Line) -> bool:
        """Whether the line still fits; if so, its room is taken."""
        record = line.record
        if not self._is_open or not isinstance(record, Batch):
            self._is_open = False
            return False
        wanted = (len(record.points), len(record.params), len(record.tags))
        left = tuple(had - n for had, n in zip(self._left, wanted, strict=True))
        if min(left) < 0:
            return False
        self._left = left
        return True


def _merged(group: list[Line]) -> Batch | File | End | Head | None:
    if len(group) == 1:
        return group[0].record
    merged = Batch()
    points, params, tags = list(merged.points), dict(merged.params), dict(merged.tags)
    for line in group:
        assert isinstance(line.record, Batch), "only batches are grouped"
        points += line.record.points
        params |= line.record.params
        tags |= line.record.tags
    return Batch(points=points, params=params, tags=tags)
