"""Watching a job until it ends: its lines, its time, its memory, and who wants it to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sightloop.kernel.progress import Progress
from sightloop.kernel.worker import Interrupted
from sightloop.kernel.workspace import Workspace
from sightloop.tracking.values import MetricPoint
from sightloop.training.endings import Ending, conclude
from sightloop.training.errors import ProtocolBroken
from sightloop.training.folders import JobFolder
from sightloop.training.limits import Limits, Observation, breach
from sightloop.training.lines import Told, add_lines, points_in
from sightloop.training.process import JobProcess
from sightloop.training.reasons import ExitReason
from sightloop.training.tail import Tail

POLL_EVERY_S = 0.1
RECORD_EVERY_S = 1.0
STOP_GRACE_S = 15.0
"""How long an engine may take to end: after SIGTERM, and after its last line."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that is over."""

    ending: Ending
    told: Told
    unrecorded: list[MetricPoint]
    """Points of its last second, to be recorded together with its end."""
    peak_memory_bytes: int


class Ledger(Protocol):
    """Where what a job tells is written down while it goes on."""

    lines_recorded: int
    """How many lines an earlier worker took down already."""
    peak_memory_bytes: int

    def record(self, told: Told, points: list[MetricPoint], *, peak_memory_bytes: int) -> None:
        """Write down what is new."""
        ...

    def is_cancel_asked(self) -> bool:
        """Whether a person wants the job to end."""
        ...


class Supervision:
    """One worker watching one job. What it learns is recorded about once a second.

    A worker that takes over reads the lines from the first one again, because what they add up
    to was only in its predecessor's memory; points that are recorded already are left out.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: JobFolder,
        process: JobProcess,
        *,
        ledger: Ledger,
        limits: Limits,
        progress: Progress,
    ) -> None:
        self._clock = workspace.clock
        self._folder = folder
        self._process = process
        self._ledger = ledger
        self._limits = limits
        self._progress = progress
        self._tail = Tail(folder.events_file)
        self._told = Told()
        self._pending: list[MetricPoint] = []
        self._lines_recorded = ledger.lines_recorded
        self._peak_memory_bytes = ledger.peak_memory_bytes
        self._is_cancel_asked = False
        self._memory_bytes = 0
        self._heard_at_s = self._recorded_at_s = self._clock.monotonic_s()

    def until_end(self, should_stop: Callable[[], bool]) -> Ended:
        """Watch until no process of the job is left.

        Raises:
            Interrupted: `should_stop` said so; the job goes on and waits for another worker.
            ProtocolBroken: a line is not what it should be; the job was killed.
        """
        reason = self._folder.noted_ending()
        try:
            while self._process.is_alive:
                self._listen()
                if self._told.last is not None:
                    self._wait_for_exit()
                    break
                if should_stop():
                    self._record()
                    raise Interrupted(key=self._folder.root.name)
                self._look_after()
                reason = reason or breach(self._observe(), self._limits)
                if reason is not None:
                    self._end(reason)
                    break
                self._clock.sleep(POLL_EVERY_S)
            self._listen()  # what was written between the last look and the end
        except ProtocolBroken:
            self._process.sweep(self._clock)
            raise
        return self._ended(reason)

    def _listen(self) -> None:
        lines = self._tail.read()
        if not lines:
            return
        self._heard_at_s = self._clock.monotonic_s()
        self._pending += points_in(lines, after=self._lines_recorded)
        before, self._told = self._told, add_lines(self._told, lines)
        now = self._told.progress
        if now is not None and now != before.progress:
            self._progress(now.what, now.done, now.total)

    def _look_after(self) -> None:
        """Once a second: measure memory, write down what is new, see whether we should cancel."""
        if self._clock.monotonic_s() - self._recorded_at_s < RECORD_EVERY_S:
            return
        self._memory_bytes = self._process.memory_bytes()
        self._peak_memory_bytes = max(self._peak_memory_bytes, self._memory_bytes)
        if self._told.n_lines > self._lines_recorded:
            self._record()
        self._is_cancel_asked = self._ledger.is_cancel_asked()
        self._recorded_at_s = self._clock.monotonic_s()

    def _record(self) -> None:
        self._ledger.record(self._told, self._pending, peak_memory_bytes=self._peak_memory_bytes)
        self._pending = []
        self._lines_recorded = self._told.n_lines

    def _observe(self) -> Observation:
        now_ms = self._clock.now_ms()
        return Observation(
            ran_s=(now_ms - self._process.record.started_at_ms) / 1000,
            silent_s=self._clock.monotonic_s() - self._heard_at_s,
            memory_bytes=self._memory_bytes,
            is_cancel_asked=self._is_cancel_asked,
        )

    def _end(self, reason: ExitReason) -> None:
        self._folder.note_ending(reason)
        self._process.ask_to_stop()
        self._wait_for_exit()

    def _wait_for_exit(self) -> None:
        deadline_s = self._clock.monotonic_s() + STOP_GRACE_S
        while self._process.is_alive and self._clock.monotonic_s() < deadline_s:
            self._clock.sleep(POLL_EVERY_S / 2)

    def _ended(self, reason: ExitReason | None) -> Ended:
        self._process.sweep(self._clock)  # what would not stop, and children left behind
        status = self._process.exit_status()
        if status is not None:
            self._peak_memory_bytes = max(self._peak_memory_bytes, status.peak_memory_bytes)
        return Ended(
            ending=conclude(self._told.last, ended_for=reason, status=status),
            told=self._told,
            unrecorded=self._pending,
            peak_memory_bytes=self._peak_memory_bytes,
        )
