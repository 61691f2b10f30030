"""The folder of one job: what is in it, and who may work in it.

.sightloop/jobs/<run>/
├── view/           images and labels; the engine only reads
├── start/          the checkpoint to start from, when it is one of ours
├── output/         the engine's, with events.jsonl
├── job.json        written last, so whoever sees it sees the whole job
├── process.json    the engine's process, written by itself
├── ending.json     why we are ending the job, written before the first signal
└── engine.log      what the engine printed
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sightloop.contracts.job import EVENTS_NAME, JOB_NAME
from sightloop.kernel.clock import Clock
from sightloop.kernel.files import write_atomic
from sightloop.kernel.worker import Interrupted
from sightloop.kernel.workspace import Workspace
from sightloop.training import launcher
from sightloop.training.process import find_process
from sightloop.training.reasons import ExitReason

LOG_TAIL_LINES = 20
BYTES_PER_LINE = 200
"""More than most have: so much of a file is read to find its last lines."""
WAIT_FOR_CLAIM_S = 0.1

# Progress bars redraw their line and colour it; neither helps in an error message.
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class JobFolder:
    """Where one job lives on this machine."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root = root
        self._clock = clock
        self.view = root / "view"
        self.start = root / "start"
        self.output = root / "output"
        self.job_file = root / JOB_NAME
        self.events_file = self.output / EVENTS_NAME
        self.log_file = root / launcher.LOG_NAME
        self.written_file = root / "written.json"
        self._ending_file = root / "ending"

    def clear(self) -> None:
        """Make the folder empty; a process that still works in it is killed first."""
        process = find_process(self.root)
        if process is not None:
            process.sweep(self._clock)
        for entry in self.root.iterdir():
            if entry.is_dir():
                _remove_tree(entry)
            else:
                entry.unlink()

    def note_ending(self, reason: ExitReason) -> None:
        """Write down why the job is about to be ended, for a worker that has to go on with it."""
        write_atomic(self._ending_file, reason.value.encode())

    def noted_ending(self) -> ExitReason | None:
        """Why the job is being ended; None when it is not."""
        try:
            return ExitReason(self._ending_file.read_text())
        except FileNotFoundError:
            return None

    def log_tail(self) -> str:
        """The last lines the engine printed, without terminal codes."""
        return tail_of(self.log_file, n_lines=LOG_TAIL_LINES)


def tail_of(log_file: Path, *, n_lines: int) -> str:
    """The last lines of a log that are not empty, as a terminal would show them; "" without one.

    Of a line that was written over and over, as progress bars do, the last state counts.
    """
    try:
        with log_file.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - n_lines * BYTES_PER_LINE))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = []
    for line in _TERMINAL_CODES.sub("", text).split("\n"):
        states = [state.rstrip() for state in line.split("\r") if state.strip()]
        lines += states[-1:]
    return "\n".join(lines[-n_lines:])


def folder_of(workspace: Workspace, run: str) -> JobFolder:
    """The folder of this run's job, whether it exists or not."""
    return JobFolder(workspace.state / "jobs" / run, workspace.clock)


@contextmanager
def claimed(folder: JobFolder, *, clock: Clock, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Be the only one who works in the folder, which exists inside the block.

    A worker whose lease ran out may not know it yet; its successor waits here until it does. A
    folder that is empty at the end is removed.

    Raises:
        Interrupted: there was no more need to wait.
    """
    while (descriptor := _try_to_claim(folder.root)) is None:
        if should_stop():
            raise Interrupted(key=folder.root.name)
        clock.sleep(WAIT_FOR_CLAIM_S)
    try:
        yield
    finally:
        try:
            with suppress(OSError):  # not empty: the job goes on
                folder.root.rmdir()
        finally:
            os.close(descriptor)


def _try_to_claim(root: Path) -> int | None:
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one before us may have removed the folder: a lock on what is gone is none.
        if os.fstat(descriptor).st_ino == root.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _remove_tree(folder: Path) -> None:
    # Views are read-only, and files can only be removed from a folder that may be written to.
    for inner, _, _ in os.walk(folder):
        Path(inner).chmod(0o755)
    shutil.rmtree(folder)
