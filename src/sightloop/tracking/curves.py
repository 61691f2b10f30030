"""Curves as they are drawn: thinned without losing their extremes, sorted into charts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 2000
"""Of one curve: more than a screen has columns."""

_TELLING = ("map50-95", "map50", "map", "ap50", "accuracy", "f1", "recall", "precision", "loss")
"""Parts of names of metrics, the most telling of a model first."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over a run, thinned; the lists are equally long."""

    key: str
    n_points: int
    """How many were logged."""
    steps: list[int]
    at_ms: list[int]
    values: list[float | None]
    """None where the value was not a finite number: the line has a gap there."""


class Stretch(NamedTuple):
    """Neighbouring points of a curve, summed up; where none was a finite number, without values."""

    step: int
    at_ms: int
    mean: float | None
    least: float | None
    greatest: float | None


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over a run in stretches; the lists are equally long."""

    key: str
    n_points: int
    """How many were logged."""
    steps: list[int]
    at_ms: list[int]
    values: list[float | None]
    """The mean of each stretch; None where no value was a finite number."""
    lows: list[float | None] | None
    highs: list[float | None] | None
    """None where every point is a stretch of its own."""


def band_of(
    key: str,
    *,
    steps: NDArray[np.int64],
    at_ms: NDArray[np.int64],
    values: NDArray[np.float64],
    limit: int,
) -> Band:
    """The curve in at most `limit` stretches of equally many points.

    Args:
        key: the metric's name.
        steps: (n,): ascending.
        at_ms: (n,): when each was logged.
        values: (n,): anything a float can be.
        limit: at least 1.
    """
    n = len(values)
    if n <= limit:
        finite = [float(value) if np.isfinite(value) else None for value in values]
        return Band(
            key=key,
            n_points=n,
            steps=steps.tolist(),
            at_ms=at_ms.tolist(),
            values=finite,
            lows=None,
            highs=None,
        )
    edges = np.linspace(0, n, limit + 1).astype(int)
    stretches = [
        _stretch(int(steps[start]), int(at_ms[start]), values[start:end])
        for start, end in pairwise(edges)
    ]
    return band_of_stretches(key, n_points=n, stretches=stretches)


def band_of_stretches(key: str, *, n_points: int, stretches: Sequence[Stretch]) -> Band:
    """The stretches, column by column."""
    return Band(
        key=key,
        n_points=n_points,
        steps=[one.step for one in stretches],
        at_ms=[one.at_ms for one in stretches],
        values=[one.mean for one in stretches],
        lows=[one.least for one in stretches],
        highs=[one.greatest for one in stretches],
    )


def _stretch(step: int, at_ms: int, values: NDArray[np.float64]) -> Stretch:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Stretch(step, at_ms, None, None, None)
    return Stretch(step, at_ms, float(finite.mean()), float(finite.min()), float(finite.max()))


def thin_curve(
    key: str,
    *,
    steps: NDArray[np.int64],
    at_ms: NDArray[np.int64],
    values: NDArray[np.float64],
    limit: int = MAX_POINTS,
) -> Curve:
    """The curve in at most `limit` points.

    Args:
        key: the metric's name.
        steps: (n,): ascending.
        at_ms: (n,): when each was logged.
        values: (n,): anything a float can be.
        limit: at least 4.
    """
    finite = np.where(np.isfinite(values), values, np.nan)
    kept = _kept(finite, limit=limit)
    return Curve(
        key=key,
        n_points=len(values),
        steps=steps[kept].tolist(),
        at_ms=at_ms[kept].tolist(),
        values=[None if np.isnan(value) else float(value) for value in finite[kept]],
    )


def _kept(values: NDArray[np.float64], *, limit: int) -> list[int]:
    """Ascending positions: both ends, and the least and the greatest of each stretch."""
    n = len(values)
    if n <= limit:
        return list(range(n))
    edges = np.linspace(0, n, (limit - 2) // 2 + 1).astype(int)
    kept = {0, n - 1}
    for start, end in pairwise(edges):
        part = values[start:end]
        if np.isnan(part).all():
            kept.add(int(start))
        else:
            kept |= {int(start + np.nanargmin(part)), int(start + np.nanargmax(part))}
    return sorted(kept)


def chart_of(key: str) -> str:
    """Metrics with one prefix share a chart.

    >>> chart_of("train/box_loss"), chart_of("accuracy")
    ('train', '')
    """
    return key.rpartition("/")[0]


def telling_metrics(runs: Iterable[Mapping[str, object]], *, most: int) -> list[str]:
    """The metrics that say most about these runs, for the columns of a list.

    The best value over a run wins over the newest of the same metric.

    >>> telling_metrics([{"lr": 0, "metrics/mAP50": 0, "best/metrics/mAP50": 0}], most=2)
    ['best/metrics/mAP50', 'lr']
    """
    keys = {key for metrics in runs for key in metrics}
    ranked = sorted(keys, key=_rank)
    chosen: list[str] = []
    for key in ranked:
        if f"best/{key}" not in chosen:
            chosen.append(key)
        if len(chosen) == most:
            break
    return chosen


def _rank(key: str) -> tuple[int, bool, bool, str]:
    name = key.lower()
    telling = next((i for i, part in enumerate(_TELLING) if part in name), len(_TELLING))
    return telling, not key.startswith("best/"), "val" not in name, key


_MORE_IS_BETTER = (
    "map",
    "ap50",
    "accuracy",
    "acc",
    "precision",
    "recall",
    "f1",
    "auc",
    "iou",
    "r2",
)
_LESS_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "latency", "perplexity", "wer")


def better(key: str) -> Literal["more", "less"] | None:
    """Whether more or less of this metric is better, as its name tells; None where it does not.

    >>> better("metrics/mAP50(B)"), better("val/box_loss"), better("lr/pg0")
    ('more', 'less', None)
    """
    words = re.split(r"[^a-z0-9]+", key.rpartition("/")[2].lower())
    if any(word.endswith(_LESS_IS_BETTER) for word in words):
        return "less"
    return "more" if any(word.startswith(_MORE_IS_BETTER) for word in words) else None


def differing(sides: Sequence[Mapping[str, str]]) -> list[str]:
    """Names whose values are not the same everywhere, sorted.

    >>> differing([{"lr": "0.1", "epochs": "3"}, {"lr": "0.2", "epochs": "3"}])
    ['lr']
    """
    names = sorted({name for side in sides for name in side})
    return [name for name in names if len({side.get(name) for side in sides}) > 1]
