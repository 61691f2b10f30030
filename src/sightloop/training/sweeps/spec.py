"""What a sweep is told: where to look, what is wanted, how much it may cost. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Choice = bool | int | float | str
Setting = bool | int | float | str
"""A value that a setting can have."""
Direction = Literal["maximize", "minimize"]

LATENCY_MS = "latency_ms"
"""The objective that no engine reports: the exported model is run on this machine and timed."""

REQUEST_SETTINGS = ("weights", "epochs", "image_size_px", "batch_size")
"""Names that mean the training itself; every other name is a parameter of the engine."""


class FloatRange(
    msgspec.Struct, frozen=True, tag_field="type", tag="float", forbid_unknown_fields=True
):
    """A real number from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Whether each power of ten is as likely as any other."""
    step: float | None = None
    """Only `low` and whole steps above it; a grid needs one."""
    when: dict[str, Choice | list[Choice]] = {}
    """Tried only where these settings have this value, or one of these."""


class IntRange(
    msgspec.Struct, frozen=True, tag_field="type", tag="int", forbid_unknown_fields=True
):
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: dict[str, Choice | list[Choice]] = {}


class Categorical(
    msgspec.Struct, frozen=True, tag_field="type", tag="categorical", forbid_unknown_fields=True
):
    """One of these values, in no order."""

    choices: list[Choice]
    when: dict[str, Choice | list[Choice]] = {}


Range = FloatRange | IntRange | Categorical


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that should be great, or small."""

    metric: str
    """A metric of the run, or `latency_ms`."""
    direction: Direction = "maximize"
    of: Literal["best", "last"] = "best"
    """Which of the run's points counts: the best of all epochs, or the last."""


class Pruner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a trial is given up early.

    ASHA looks after `min_epochs`, then `factor` times as many, and so on, and lets the best
    1 / `factor` of those that came that far go on.
    """

    kind: Literal["none", "asha"] = "none"
    metric: str = ""
    """What it looks at; empty means the first objective that an engine reports."""
    min_epochs: int = 1
    factor: int = 3


class SweepSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sweep, as `sweep.yaml` declares it."""

    name: str
    data: str = "main"
    """Branch or commit to train on; the commit is fixed when the sweep begins."""
    experiment: str = ""
    """Where the trials' runs are listed; empty means the sweep's name."""
    engine: str = "yolo26"
    weights: str = "starter"
    epochs: int = 20
    image_size_px: int = 640
    batch_size: int = 16
    device: str = "cpu"
    fixed: dict[str, Setting | None] = {}
    """Parameters of the engine that are the same in every trial."""
    space: dict[str, Range] = {}
    """What differs between trials, in the order in which it is decided."""
    objectives: list[Objective] = []
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    pruner: Pruner = Pruner()
    trials: int = 20
    time_limit_s: float = 0.0
    """After this long nothing new begins and what runs is ended; 0 means no limit."""
    parallel: int = 1
    seed: int = 0
    """Of the sampler, and of every training."""
    give_up_after: int = 5
    """The sweep has failed once so many trials did and none succeeded."""

    @property
    def runs_experiment(self) -> str:
        """The experiment of its runs."""
        return self.experiment or self.name

    @property
    def pruning_objective(self) -> Objective | None:
        """What decides who is given up early; None when nobody is."""
        if self.pruner.kind == "none":
            return None
        reported = [one for one in self.objectives if one.metric != LATENCY_MS]
        named = [one for one in reported if one.metric == self.pruner.metric]
        if self.pruner.metric and not named:
            return None
        return next(iter(named or reported), None)

    @property
    def directions(self) -> list[Direction]:
        """Of the objectives, in their order."""
        return [one.direction for one in self.objectives]


Values = dict[str, Any]
"""What a trial tries: a value for each name of the space that counts in it."""
