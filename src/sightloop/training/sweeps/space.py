"""The search space: what counts in a trial, the points of a grid, the training asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from sightloop.training.requests import TrainRequest
from sightloop.training.sweeps.spec import (
    REQUEST_SETTINGS,
    Categorical,
    Choice,
    FloatRange,
    IntRange,
    Range,
    SweepSpec,
    Values,
)

MAX_GRID = 100_000


def counts_in(when: Mapping[str, Choice | list[Choice]], settings: Mapping[str, Any]) -> bool:
    """Whether a setting with this `when` counts where the others have these values.

    >>> counts_in({"optimizer": ["SGD", "RMSProp"]}, {"optimizer": "SGD"})
    True
    >>> counts_in({"optimizer": "SGD"}, {"optimizer": "AdamW"})
    False
    """
    return all(
        name in settings and settings[name] in (wanted if isinstance(wanted, list) else [wanted])
        for name, wanted in when.items()
    )


def grid_points(range_: Range) -> list[Any]:
    """Every value a setting has in a grid, in order; empty for a range without steps."""
    match range_:
        case Categorical(choices=choices):
            return list(choices)
        case IntRange(low=low, high=high, step=step):
            return list(range(low, min(high, low + step * MAX_GRID) + 1, step))  # one too many
        case FloatRange(low=low, high=high, step=float(step)):
            n_steps = int((high - low) / step + 1e-9)
            return [low + step * index for index in range(min(n_steps, MAX_GRID) + 1)]
    return []


def grid_trials(spec: SweepSpec) -> Iterator[Values]:
    """Every point of the grid once, the last setting changing first."""
    names = list(spec.space)

    def after(index: int, chosen: Values) -> Iterator[Values]:
        if index == len(names):
            yield chosen
            return
        range_ = spec.space[names[index]]
        if not counts_in(range_.when, {**spec.fixed, **chosen}):
            yield from after(index + 1, chosen)
            return
        for value in grid_points(range_):
            yield from after(index + 1, {**chosen, names[index]: value})

    return after(0, {})


def is_finite(spec: SweepSpec) -> bool:
    """Whether the space has only so many points that all of them can be listed."""
    n_points = 1
    for range_ in spec.space.values():
        has_steps = isinstance(range_, Categorical) or not range_.log
        n_points *= len(grid_points(range_)) if has_steps else 0
    return 0 < n_points <= MAX_GRID


def n_trials_of(spec: SweepSpec) -> int:
    """How many trials there can be: no point of a space is worth a second one."""
    if not is_finite(spec):
        return spec.trials
    return sum(1 for _ in islice(grid_trials(spec), spec.trials))


def request_of(
    spec: SweepSpec, values: Values, *, run: str, sweep: str, number: int, commit: str
) -> TrainRequest:
    """The training that these values mean."""
    own = {name: value for name, value in values.items() if name in REQUEST_SETTINGS}
    plain = {name: getattr(spec, name) for name in REQUEST_SETTINGS} | own
    engine = {name: value for name, value in values.items() if name not in REQUEST_SETTINGS}
    return TrainRequest(
        run=run,
        experiment=spec.runs_experiment,
        name=f"{spec.name} {number}"[:250],
        dataset_commit=commit,
        engine=spec.engine,
        seed=spec.seed,
        device=spec.device,
        parameters={**spec.fixed, **engine},
        tags={"sweep": sweep, "trial": str(number)},
        **plain,
    )
