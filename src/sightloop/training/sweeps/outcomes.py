"""Which trials are best, and how the best grew. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightloop.training.sweeps.spec import Direction


def is_better(first: float, second: float, direction: Direction) -> bool:
    """Whether the first value is better than the second."""
    return first > second if direction == "maximize" else first < second


def dominates(
    first: Sequence[float], second: Sequence[float], directions: Sequence[Direction]
) -> bool:
    """Whether the first is nowhere worse than the second and somewhere better.

    >>> dominates([0.9, 3.0], [0.8, 3.0], ["maximize", "minimize"])
    True
    >>> dominates([0.9, 3.0], [0.8, 2.0], ["maximize", "minimize"])
    False
    """
    triples = list(zip(first, second, directions, strict=True))
    no_worse = all(not is_better(theirs, ours, direction) for ours, theirs, direction in triples)
    return no_worse and any(
        is_better(ours, theirs, direction) for ours, theirs, direction in triples
    )


def best_trials(
    values: Mapping[int, Sequence[float]], directions: Sequence[Direction]
) -> list[int]:
    """The trials that no other dominates, best first by the first objective.

    With one objective that is the best one and whoever equals it.

    Args:
        values: the value of each objective, by the trial's number; all finite.
        directions: of the objectives.
    """
    front = [
        number
        for number, mine in values.items()
        if not any(dominates(other, mine, directions) for other in values.values())
    ]
    sign = -1.0 if directions[0] == "maximize" else 1.0
    return sorted(front, key=lambda number: (sign * values[number][0], number))


def best_so_far(values: Mapping[int, float], direction: Direction) -> list[tuple[int, float]]:
    """(number, best value up to it) for each trial with a value, by number.

    >>> best_so_far({0: 0.2, 2: 0.1, 3: 0.5}, "maximize")
    [(0, 0.2), (2, 0.2), (3, 0.5)]
    """
    curve: list[tuple[int, float]] = []
    for number in sorted(values):
        value = values[number]
        before = curve[-1][1] if curve else value
        curve.append((number, value if is_better(value, before, direction) else before))
    return curve
