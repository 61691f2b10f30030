"""The engine's side of a job: reading `job.json`, writing the numbered lines, staying audible.

An engine in Python needs nothing else of Sightloop; one in another language needs docs/formats/
only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from sightloop.contracts.decode import decode, format_named
from sightloop.contracts.job import (
    EVENTS_NAME,
    EXPORT_FORMAT,
    VIEW_NAME,
    ExportJob,
    Heartbeat,
    Job,
    JobLine,
    View,
)
from sightloop.kernel.clock import Clock

HEARTBEAT_EVERY_S = 5.0


def read_job(path: Path) -> Job:
    """The job to be done.

    Raises:
        WrongFormat: the file is no job, or of a version this engine does not know.
    """
    return decode(path.read_bytes(), Job, what=str(path))


def read_any_job(path: Path) -> Job | ExportJob:
    """The job to be done, of either kind.

    Raises:
        WrongFormat: the file is no job, or of a version this engine does not know.
    """
    content = path.read_bytes()
    if format_named(content) == EXPORT_FORMAT:
        return decode(content, ExportJob, what=str(path))
    return decode(content, Job, what=str(path))


def read_view(job: Job) -> View:
    """What the job's view holds.

    Raises:
        WrongFormat: the view's list is no view, or of a version this engine does not know.
    """
    path = Path(job.view) / VIEW_NAME
    return decode(path.read_bytes(), View, what=str(path))


class LineWriter:
    """Appends numbered lines to a job's `events.jsonl`; threads may share one.

    Every line goes to the system in one write, so a reader sees a whole line or its beginning
    and a crash loses none that was written. Lines are not synced to the disk: a power cut ends
    the job as well.
    """

    def __init__(self, output: Path, clock: Clock) -> None:
        # Exclusive: two engines in one folder would number their lines alike.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(output / EVENTS_NAME, flags, 0o644)
        self._clock = clock
        self._lock = threading.Lock()
        self._n_written = 0

    def write(self, line: JobLine) -> None:
        """Append the line with the next number and the present time."""
        with self._lock:
            number = self._n_written + 1
            numbered = msgspec.structs.replace(line, n=number, at_ms=self._clock.now_ms())
            os.write(self._descriptor, msgspec.json.encode(numbered) + b"\n")
            self._n_written = number

    def close(self) -> None:
        """Close the file; nothing can be written afterwards."""
        os.close(self._descriptor)


@contextmanager
def heartbeats(writer: LineWriter, *, every_s: float = HEARTBEAT_EVERY_S) -> Iterator[None]:
    """Write a heartbeat now and then while the block runs, from a thread of its own."""
    finished = threading.Event()

    def beat() -> None:
        while not finished.wait(every_s):
            writer.write(Heartbeat())

    writer.write(Heartbeat())
    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
