"""A sweep in charts: how the best grew, what matters, what can be had together. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from sightloop.server.charts import (
    Amount,
    Axis,
    Dot,
    Way,
    bar_chart,
    parallel_chart,
    scatter_chart,
)
from sightloop.training.sweeps.importance import MIN_TRIALS
from sightloop.training.sweeps.results import SweepFacts
from sightloop.training.sweeps.spec import Categorical, Choice, FloatRange, IntRange, Range
from sightloop.training.sweeps.values import Trial

MAX_DOTS = 1000
"""The newest of a long sweep; the best are always among them."""
MAX_WAYS = 200
MAX_AXES = 8


class Drawing(NamedTuple):
    """A chart and the words below it."""

    chart: str
    words: str


def drawings_of(facts: SweepFacts) -> list[Drawing]:
    """Every chart there is something to draw for."""
    if not facts.best:
        return []
    drawn = [_growth(facts, index) for index in range(len(facts.objectives))]
    if len(facts.objectives) > 1:
        drawn.append(_front(facts))
    drawn += [_importance(facts, index) for index in range(len(facts.objectives))]
    drawn.append(_ways(facts))
    return drawn


def setting_words(value: Choice) -> str:
    """A setting as people read it.

    >>> setting_words(0.000123456), setting_words(True), setting_words("SGD")
    ('0.0001235', 'True', 'SGD')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _growth(facts: SweepFacts, index: int) -> Drawing:
    objective = facts.sweep.spec.objectives[index]
    complete = _drawn_trials(facts)
    corners: list[tuple[float, float]] = []
    for number, best in facts.objectives[index].best_so_far:
        if corners:
            corners.append((number, corners[-1][1]))
        corners.append((number, best))
    chart = scatter_chart(
        [_dot(facts, one, one.number, _value(one, index)) for one in complete],
        title=f"{objective.metric} of each trial, and the best so far",
        x_label="trial",
        y_label=objective.metric[:24],
        line=corners,
        legend=[("a trial", "first"), ("best so far", "good")],
    )
    return Drawing(
        chart, f"{objective.metric} is to be {objective.direction}d; each dot is a trial."
    )


def _front(facts: SweepFacts) -> Drawing:
    first, second = facts.sweep.spec.objectives[:2]
    front = sorted(
        ((_value(facts.trials[n], 1), _value(facts.trials[n], 0)) for n in facts.best),
    )
    chart = scatter_chart(
        [_dot(facts, one, _value(one, 1), _value(one, 0)) for one in _drawn_trials(facts)],
        title=f"{first.metric} against {second.metric}: what can be had together",
        x_label=f"{second.metric} ({second.direction})",
        y_label=first.metric[:24],
        line=front,
        legend=[("a trial", "first"), ("Pareto front", "good")],
    )
    words = "The line joins the trials that no other beats in every objective."
    if len(facts.objectives) > 2:
        words += " The first two objectives are drawn; the front is that of all of them."
    return Drawing(chart, words)


def _importance(facts: SweepFacts, index: int) -> Drawing:
    one = facts.objectives[index]
    bars = [Amount(each.name, round(100 * each.share, 1)) for each in one.importances or []]
    chart = bar_chart(
        bars, title=f"How much each setting matters for {one.metric}", x_label="share (%)"
    )
    words = "What sets the best trials apart from all of them (PED-ANOVA)."
    if one.importances is None:
        words = f"What matters can be told once {MIN_TRIALS} trials are complete."
    return Drawing(chart, f"{one.metric}: {words}")


def _ways(facts: SweepFacts) -> Drawing:
    spec = facts.sweep.spec
    names = list(spec.space)[: MAX_AXES - 1]
    trials = _drawn_trials(facts)[-MAX_WAYS:]
    values = [_value(one, 0) for one in trials]
    low, high = min(values), max(values)
    axes = [Axis(name, *_ends(spec.space[name])) for name in names]
    axes.append(Axis(spec.objectives[0].metric, f"{low:.4g}", f"{high:.4g}"))
    ways = [
        Way(
            [_place(spec.space[name], (one.values or {}).get(name)) for name in names]
            + [(value - low) / (high - low) if high > low else 0.5],
            _words(facts, one),
            "good" if one.number in facts.best else "first faint",
        )
        for one, value in zip(trials, values, strict=True)
    ]
    # The best are drawn last, above the others.
    ways.sort(key=lambda way: way.style == "good")
    chart = parallel_chart(axes, ways, title="Settings of the trials and what came out")
    words = "Each line is a trial, from its settings to its value; the best stand out."
    if len(spec.space) > len(names):
        words += f" The first {len(names)} of {len(spec.space)} settings are drawn."
    return Drawing(chart, words)


def _drawn_trials(facts: SweepFacts) -> list[Trial]:
    complete = [one for one in facts.trials if one.objectives is not None]
    kept = complete[-MAX_DOTS:]
    best = [facts.trials[n] for n in facts.best if n < kept[0].number]
    return best + kept


def _dot(facts: SweepFacts, trial: Trial, x: float, y: float) -> Dot:
    return Dot(x, y, _words(facts, trial), "good" if trial.number in facts.best else "first")


def _words(facts: SweepFacts, trial: Trial) -> str:
    values = ", ".join(
        f"{one.metric} {value:.4g}"
        for one, value in zip(facts.sweep.spec.objectives, trial.objectives or [], strict=True)
    )
    settings = ", ".join(f"{k} {setting_words(v)}" for k, v in (trial.values or {}).items())
    return f"trial {trial.number}: {values} with {settings}"[:300]


def _value(trial: Trial, index: int) -> float:
    assert trial.objectives is not None, "only complete trials are drawn"
    return trial.objectives[index]


def _ends(range_: Range) -> tuple[str, str]:
    if isinstance(range_, Categorical):
        return setting_words(range_.choices[0]), setting_words(range_.choices[-1])
    return setting_words(range_.low), setting_words(range_.high)


def _place(range_: Range, value: Choice | None) -> float | None:
    if value is None:
        return None
    if isinstance(range_, Categorical):
        return range_.choices.index(value) / max(len(range_.choices) - 1, 1)
    return _share(range_, float(value))


def _share(range_: FloatRange | IntRange, value: float) -> float:
    low, high = float(range_.low), float(range_.high)
    if range_.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return min(max((value - low) / (high - low), 0.0), 1.0)
