"""Asynchronous successive halving: after which epochs a trial is judged, and how. Pure.

Source: Li et al. (2020), A System for Massively Parallel Hyperparameter Tuning. Where fewer trials
than `factor` have come that far, only the best of them goes on, as in Optuna's pruner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sightloop.training.sweeps.spec import Direction


def rungs_of(*, min_epochs: int, factor: int, epochs: int) -> list[int]:
    """The epochs after which a trial is judged: never the last, when nothing can be saved any more.

    >>> rungs_of(min_epochs=1, factor=3, epochs=27)
    [1, 3, 9]
    """
    rungs = []
    epoch = min_epochs
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= factor
    return rungs


def value_at(points: Sequence[tuple[int, float]], rung: int) -> float | None:
    """The value a trial has at a rung: of its first point there or beyond; None before.

    Args:
        points: (step, value) with ascending steps.
        rung: an epoch.
    """
    return next((value for step, value in points if step >= rung), None)


def goes_on(value: float, others: Sequence[float], *, factor: int, direction: Direction) -> bool:
    """Whether the trial is among the best 1 / `factor` of all that reached the rung.

    >>> goes_on(0.6, [0.5, 0.4], factor=3, direction="maximize")
    True
    >>> goes_on(0.45, [0.5, 0.4], factor=3, direction="maximize")
    False
    """
    if math.isnan(value):
        return False
    sign = 1.0 if direction == "maximize" else -1.0
    ranked = sorted((sign * one for one in [*others, value] if not math.isnan(one)), reverse=True)
    n_kept = max((len(others) + 1) // factor, 1)
    return sign * value >= ranked[min(n_kept, len(ranked)) - 1]


def verdict(
    value: float, others: Mapping[int, float], *, rung: int, factor: int, direction: Direction
) -> str:
    """Why a trial is given up at this rung, or "" when it goes on.

    Args:
        value: of the trial.
        others: the values at this rung of those that reached it before, by trial.
    """
    if goes_on(value, list(others.values()), factor=factor, direction=direction):
        return ""
    if math.isnan(value):
        return f"not a number after epoch {rung}"
    n_all = len(others) + 1
    return (
        f"{value:.4g} after epoch {rung} is not among the best {max(n_all // factor, 1)} "
        f"of the {n_all} trials that came that far"
    )
