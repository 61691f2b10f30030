"""From the caller's thread to the spool: a queue that is emptied by a thread of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sightloop.client.spool import Batch, File, PartWriter, Record, encode_line
from sightloop.client.texts import writable
from sightloop.client.troubles import Troubles
from sightloop.contracts.numbers import to_wire
from sightloop.contracts.tracking import (
    MAX_PARAM_CHARACTERS,
    MAX_PARAMS,
    MAX_POINTS,
    MAX_STEP,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    WirePoint,
    name_problem,
)

FULL_AT = 200_000
"""Calls in the queue at which callers begin to wait for the disk: some 60 MB."""
LONGEST_WAIT_S = 2.0
MAX_PENDING_BYTES = 64 << 20
"""Of lines that the disk does not take; what comes after them is lost, and counted."""

BAD_VALUE = "values that are no numbers"
BAD_NAME = "names that cannot be used"
CHANGED = "parameters that were given another value and keep their first"
CUT = "texts that were too long and were cut"
LOST = "records lost because the disk took no more"
DISK = "writes that the disk refused"


class Logged(NamedTuple):
    """One call of `log`: when, at which step, what."""

    at_s: float
    step: int | None
    metrics: Mapping[str, float]


class Labelled(NamedTuple):
    """Parameters and tags."""

    params: Mapping[str, str]
    tags: Mapping[str, str]


Item = Logged | Labelled | File


class Queue:
    """What was logged and is not in the spool yet. `put` may be called by any thread."""

    def __init__(self, writer: PartWriter, troubles: Troubles) -> None:
        self._items: deque[Item] = deque()
        self.put: Callable[[Item], None] = self._items.append
        """Add an item; takes a tenth of a microsecond."""
        self._writer = writer
        self._troubles = troubles
        self._numbering = Numbering()
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self.is_healthy = True
        """Whether the disk took what it was given last."""

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._items)

    def wait_for_room(self) -> None:
        """Return once the queue is short again; drop its oldest items when the disk is broken.

        Only a loop that logs faster than a disk can write comes here.
        """
        deadline_s = time.monotonic() + LONGEST_WAIT_S
        while len(self._items) > FULL_AT and self.is_healthy:
            time.sleep(0.005)
            if time.monotonic() > deadline_s:
                self.is_healthy = False  # it hangs: nobody waits for it again until it has written
        while len(self._items) > FULL_AT:
            try:
                self._items.popleft()
            except IndexError:  # another thread was quicker
                return
            self._troubles.add(LOST, "the queue in memory was full")

    def flush(self) -> int:
        """Write what waits to the spool; how many lines were written. One thread at a time."""
        items = [self._items.popleft() for _ in range(len(self._items))]
        for record in self._numbering.records(items, self._troubles):
            self._keep(encode_line(record))
        return self._write()

    def add(self, record: Record) -> None:
        """Append a record after all that waits; `flush` writes it."""
        self._keep(encode_line(record))

    def close(self) -> None:
        """Give up what the disk did not take."""
        if self._pending:
            self._troubles.add(LOST, "the disk was still full at the end", n=len(self._pending))
        self._writer.close()

    def _keep(self, line: bytes) -> None:
        if self._pending_bytes + len(line) > MAX_PENDING_BYTES:
            self._troubles.add(LOST, "too much waited for the disk")
            return
        self._pending.append(line)
        self._pending_bytes += len(line)

    def _write(self) -> int:
        n_lines = 0
        try:
            while self._pending:
                self._writer.append(self._pending[0])
                self._pending_bytes -= len(self._pending.popleft())
                n_lines += 1
            if n_lines:
                self._writer.sync()
            self.is_healthy = True
        except OSError as error:
            self.is_healthy = False
            self._troubles.add(DISK, error)
        return n_lines


class Numbering:
    """Gives steps to points that have none, and times that never go back."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._params: dict[str, str] = {}
        self._last_ms = 0

    def records(self, items: list[Item], troubles: Troubles) -> list[Record]:
        """The items as records within their limits, in the same order."""
        records: list[Record] = []
        points: list[WirePoint] = []

        def close_batch() -> None:
            records.extend(
                Batch(points=points[i : i + MAX_POINTS]) for i in range(0, len(points), MAX_POINTS)
            )
            points.clear()

        for item in items:
            if isinstance(item, Logged):
                points += self._points(item, troubles)
            else:
                close_batch()
                records += [item] if isinstance(item, File) else self._labels(item, troubles)
        close_batch()
        return records

    def _points(self, item: Logged, troubles: Troubles) -> list[WirePoint]:
        self._last_ms = max(self._last_ms, int(item.at_s * 1000))
        points: list[WirePoint] = []
        for key, value in item.metrics.items():
            if key not in self._steps:
                problem = _problem_of(key)
                if problem:
                    troubles.add(BAD_NAME, f"metric {key!r:.80}: {problem}")
                    continue
            step = self._steps.get(key, -1) + 1 if item.step is None else item.step
            if abs(step) > MAX_STEP:
                troubles.add(BAD_VALUE, f"step {step} of metric {key!r} does not fit 64 bits")
                continue
            self._steps[key] = step
            points.append((key, to_wire(value), step, self._last_ms))
        return points

    def _labels(self, item: Labelled, troubles: Troubles) -> list[Batch]:
        params = _checked(item.params, MAX_PARAM_CHARACTERS, "parameter", troubles)
        tags = _checked(item.tags, MAX_TAG_CHARACTERS, "tag", troubles)
        for key, value in params.items():
            before = self._params.setdefault(key, value)
            if before != value:
                troubles.add(CHANGED, f"{key!r}: {before[:80]!r}, then {value[:80]!r}")
        # The server would refuse a changed one together with all that came with it.
        kept = {key: value for key, value in params.items() if self._params[key] == value}
        batches = [Batch(params=part) for part in _parts(kept, MAX_PARAMS)]
        return batches + [Batch(tags=part) for part in _parts(tags, MAX_TAGS)]


def _checked(texts: Mapping[str, str], limit: int, what: str, troubles: Troubles) -> dict[str, str]:
    kept: dict[str, str] = {}
    for key, value in texts.items():
        problem = _problem_of(key)
        if problem:
            troubles.add(BAD_NAME, f"{what} {key!r:.80}: {problem}")
            continue
        text = writable(value)
        if len(text) > limit:
            troubles.add(CUT, f"{what} {key!r}: {len(text)} characters, {limit} are kept")
        kept[key] = text[:limit]
    return kept


def _problem_of(key: object) -> str:
    # Mappings of a foreign program may have keys of any kind.
    return name_problem(key) if isinstance(key, str) else "it is no text"


def _parts(texts: dict[str, str], size: int) -> list[dict[str, str]]:
    pairs = list(texts.items())
    return [dict(pairs[i : i + size]) for i in range(0, len(pairs), size)]
