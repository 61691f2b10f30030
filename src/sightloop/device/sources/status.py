"""What is known of a source while it runs. Pure."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

from sightloop.device.sources.messages import Counts

State = Literal["opening", "reading", "waiting", "ended"]
"""`waiting`: the source is away and is tried again; `ended`: a film came to its end."""

RECENT = 1000


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One source, for `/health`, the page and `/metrics`. Totals count from the agent's start."""

    name: str
    url: str
    """Without what is secret in it."""
    kind: str
    state: State
    problem: str
    pid: int
    """Of the process that reads it; 0 when there is none."""
    n_seen: int
    n_dropped: int
    n_garbage: int
    n_answered: int
    n_failed: int
    """Pictures the model was asked about and gave no answer to."""
    n_reconnects: int
    age_ms: float
    """From the moment the last answered picture was taken from the source to its answer."""
    age_p95_ms: float
    age_total_s: float
    last_answer_at_ms: int | None
    n_results_lost: int
    """Lines of results that could not be written: the disk was full."""
    n_results_dropped: int
    """Files of results deleted to make room for newer ones."""


class SourceCounts:
    """The counters behind it. Not for several threads."""

    def __init__(self) -> None:
        self.kind = ""
        self.state: State = "opening"
        self.problem = ""
        self.pid = 0
        self.n_answered = 0
        self.n_failed = 0
        self.n_reconnects = 0
        self.n_results_lost = 0
        self.age_total_s = 0.0
        self.last_answer_at_ms: int | None = None
        self._ages_ms: deque[float] = deque(maxlen=RECENT)
        self._of_processes_gone = Counts()
        self._of_this_process = Counts()

    def follow(self, counts: Counts) -> None:
        """The capture process counted so far."""
        self._of_this_process = counts

    def begin_process(self) -> None:
        """Another capture process counts from zero."""
        self._of_processes_gone = self.captured
        self._of_this_process = Counts()

    def answered(self, *, age_s: float, at_ms: int) -> None:
        """A picture was answered when it was so old."""
        self.n_answered += 1
        self.age_total_s += age_s
        self.last_answer_at_ms = at_ms
        self._ages_ms.append(1000 * age_s)

    @property
    def captured(self) -> Counts:
        """What all capture processes counted."""
        gone, now = self._of_processes_gone, self._of_this_process
        return Counts(
            n_seen=gone.n_seen + now.n_seen,
            n_dropped=gone.n_dropped + now.n_dropped,
            n_garbage=gone.n_garbage + now.n_garbage,
        )

    def status(self, *, name: str, url: str, n_results_dropped: int) -> SourceStatus:
        """All of it."""
        ordered, captured = sorted(self._ages_ms), self.captured
        p95_ms = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0
        return SourceStatus(
            name=name,
            url=url,
            kind=self.kind,
            state=self.state,
            problem=self.problem,
            pid=self.pid,
            n_seen=captured.n_seen,
            n_dropped=captured.n_dropped,
            n_garbage=captured.n_garbage,
            n_answered=self.n_answered,
            n_failed=self.n_failed,
            n_reconnects=self.n_reconnects,
            age_ms=round(self._ages_ms[-1], 3) if self._ages_ms else 0.0,
            age_p95_ms=round(p95_ms, 3),
            age_total_s=round(self.age_total_s, 6),
            last_answer_at_ms=self.last_answer_at_ms,
            n_results_lost=self.n_results_lost,
            n_results_dropped=n_results_dropped,
        )
