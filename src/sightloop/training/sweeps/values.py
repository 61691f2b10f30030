"""A sweep and its trials as they stand. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.kernel.digests import Digest
from sightloop.training.sweeps.spec import SweepSpec, Values
from sightloop.training.sweeps.suggesting import Tried

SweepStatus = Literal["running", "stopped", "finished", "failed"]
TrialState = Literal["waiting", "running", "complete", "pruned", "failed", "stopped"]
OPEN: tuple[TrialState, ...] = ("waiting", "running")
ENDED: tuple[TrialState, ...] = ("complete", "pruned", "failed")
"""States that nothing leads out of; a stopped trial is made again."""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as it stands."""

    id: str
    spec: SweepSpec
    dataset_commit: Digest
    n_trials: int
    """How many trials there may be in all."""
    time_limit_s: float
    state: SweepStatus
    ended_because: str
    go: int
    """How often it was resumed; steps of an earlier go are over."""
    spent_ms: int
    """How long it was running before it was resumed last."""
    created_at_ms: int
    resumed_at_ms: int
    ended_at_ms: int | None

    def ran_s(self, now_ms: int) -> float:
        """For how long it has been running, breaks left out."""
        until_ms = now_ms if self.ended_at_ms is None else self.ended_at_ms
        return (self.spent_ms + max(until_ms - self.resumed_at_ms, 0)) / 1000

    def is_over_time(self, now_ms: int) -> bool:
        """Whether it has been running for longer than it may."""
        return 0 < self.time_limit_s <= self.ran_s(now_ms)


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One trial of a sweep; its run has the same recipe, metrics and files as any other."""

    sweep: str
    number: int
    run: str
    state: TrialState
    step: str
    """Key of the step that makes it."""
    values: Values | None
    """None until they were chosen, which is when a worker takes the trial."""
    rungs: dict[int, float]
    objectives: list[float] | None
    """One value for each objective; None unless it is complete."""
    prune_reason: str
    """Why it is to be given up; it may have been done before anybody could."""
    reason: str
    """Why it ended otherwise than complete."""
    began_at_ms: int | None
    ended_at_ms: int | None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be made, or being made."""
        return self.state in OPEN


def tried_of(trials: list[Trial], *, but: int | None = None) -> list[Tried]:
    """The trials as a sampler sees them: those that have values, without one of them."""
    states: dict[TrialState, Literal["complete", "pruned", "failed", "pending"]] = {
        "waiting": "pending",
        "running": "pending",
        "stopped": "pending",
        "complete": "complete",
        "pruned": "pruned",
        "failed": "failed",
    }
    return [
        Tried(
            values=one.values,
            state=states[one.state],
            objectives=one.objectives or [],
            rungs=one.rungs,
        )
        for one in trials
        if one.values is not None and one.number != but
    ]
