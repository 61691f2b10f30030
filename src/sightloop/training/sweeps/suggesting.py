"""What to try next: Optuna's samplers, handed everything that was tried, remembering nothing.

The suggestion for trial n follows from the sweep's seed, n and what was known when it was asked
for. So one that is lost in a crash is made again as it was, and with one trial at a time a sweep
that was interrupted goes the way it would have gone.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal

import msgspec

from sightloop.training.sweeps.space import counts_in, grid_trials, is_finite
from sightloop.training.sweeps.spec import (
    Categorical,
    Choice,
    Direction,
    FloatRange,
    IntRange,
    Range,
    SweepSpec,
    Values,
)

if TYPE_CHECKING:
    import optuna

N_TRIES = 20
"""How often a sampler may repeat itself before a point is chosen for it."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A trial as the sampler sees it."""

    values: Values
    state: Literal["complete", "pruned", "failed", "pending"]
    objectives: list[float] = []
    rungs: dict[int, float] = {}
    """What it was judged by, by epoch."""


def suggest(spec: SweepSpec, number: int, tried: Sequence[Tried]) -> Values:
    """Values for trial `number`, unlike any that was tried.

    Args:
        spec: a sweep that was checked.
        number: of the trial, from 0; below the number of points of a finite space.
        tried: every other trial that has values, by number.
    """
    if spec.sampler == "grid":
        return next(islice(grid_trials(spec), number, None))
    known = [one.values for one in tried]
    values: Values = {}
    for attempt in range(N_TRIES):
        values = _sampled(spec, tried, seed=seed_of(spec.seed, number, attempt))
        if values not in known:
            return values
    if not is_finite(spec):
        return values  # a range so narrow that its ends are neighbours
    left = [point for point in grid_trials(spec) if point not in known]
    return left[seed_of(spec.seed, number, N_TRIES) % len(left)]


def seed_of(seed: int, number: int, attempt: int = 0) -> int:
    """32 bits for one trial's suggestion.

    >>> seed_of(0, 1) == seed_of(0, 1) != seed_of(0, 2)
    True
    """
    digest = hashlib.sha256(f"{seed}:{number}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def study_of(
    space: Mapping[str, Range],
    directions: Sequence[Direction],
    tried: Sequence[Tried],
    *,
    sampler: optuna.samplers.BaseSampler | None = None,
) -> optuna.Study:
    """A study in memory that knows these trials."""
    import optuna  # 0.3 s, for those who search only

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=list(directions), sampler=sampler)
    for one in tried:
        study.add_trial(_frozen(one, space, n_objectives=len(directions)))
    return study


def distribution_of(range_: Range) -> optuna.distributions.BaseDistribution:
    """The range in Optuna's words."""
    from optuna import distributions

    if isinstance(range_, Categorical):
        return distributions.CategoricalDistribution(range_.choices)
    if isinstance(range_, IntRange):
        whole = int_bounds(range_)
        return distributions.IntDistribution(whole.low, whole.high, log=whole.log, step=whole.step)
    real = float_bounds(range_)
    return distributions.FloatDistribution(real.low, real.high, log=real.log, step=real.step)


def int_bounds(range_: IntRange) -> IntRange:
    """The range with its last step as its upper end: Optuna warns of any other."""
    high = range_.low + (range_.high - range_.low) // range_.step * range_.step
    return msgspec.structs.replace(range_, high=high)


def float_bounds(range_: FloatRange) -> FloatRange:
    """The range with its last step as its upper end: Optuna warns of any other."""
    if range_.step is None:
        return range_
    n_steps = math.floor((range_.high - range_.low) / range_.step + 1e-9)
    return msgspec.structs.replace(range_, high=range_.low + n_steps * range_.step)


def _sampled(spec: SweepSpec, tried: Sequence[Tried], *, seed: int) -> Values:
    import optuna

    sampler: optuna.samplers.BaseSampler
    if spec.sampler == "random":
        sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        # Trials under way count as poor ones, so that several at a time do not crowd together.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "experimental": the option has been there for years
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    trial = study_of(spec.space, spec.directions, tried, sampler=sampler).ask()
    values: Values = {}
    for name, range_ in spec.space.items():
        if counts_in(range_.when, {**spec.fixed, **values}):
            values[name] = _asked(trial, name, range_)
    return values


def _asked(trial: optuna.Trial, name: str, range_: Range) -> Choice:
    if isinstance(range_, Categorical):
        choice = trial.suggest_categorical(name, range_.choices)
        assert choice is not None, "None is no choice"
        return choice
    if isinstance(range_, IntRange):
        whole = int_bounds(range_)
        return trial.suggest_int(name, whole.low, whole.high, log=whole.log, step=whole.step)
    real = float_bounds(range_)
    return trial.suggest_float(name, real.low, real.high, log=real.log, step=real.step)


def _frozen(
    one: Tried, space: Mapping[str, Range], *, n_objectives: int
) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    states = {
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
        "pending": TrialState.RUNNING,
    }
    state = states[one.state]
    if state is TrialState.PRUNED and (n_objectives > 1 or not one.rungs):
        state = TrialState.FAIL  # with several objectives Optuna cannot rank what has no values
    return create_trial(
        state=state,
        values=one.objectives if state is TrialState.COMPLETE else None,
        params=one.values,
        distributions={name: distribution_of(space[name]) for name in one.values},
        intermediate_values=one.rungs if state is TrialState.PRUNED else {},
    )
