"""What a monitor's leading bet means, in a sentence a person on the line understands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightloop.inference.histograms import mid_ranks
from sightloop.monitoring.detector import Side
from sightloop.monitoring.scores import Score, scores_of


def describe_change(
    measure: str,
    side: Side,
    *,
    reference: Sequence[int],
    pooled: Sequence[int],
    live: Sequence[int],
) -> str:
    """How the live images differ from the reference's, as the side sees it.

    >>> side = Side("lower", 1, 0.3, 0.0, 1.0)
    >>> describe_change(
    ...     "brightness", side, reference=[10, 40, 50], pooled=[10, 40, 50], live=[7, 3, 0]
    ... )
    'brightness moved down: 70 % of images where the lowest 10 % of the reference are'
    """
    score = next(one for one in scores_of(reference, pooled=pooled) if one.name == side.name)
    before, now = _mean(score, reference), _mean(score, live)
    name = measure.replace("_", " ")
    if side.name == "unseen":
        return f"{name} has new values: {now:.0%} of images where the reference has none".replace(
            "%", " %"
        )
    if side.name in ("lower", "upper"):
        way, end = ("down", "lowest") if side.name == "lower" else ("up", "highest")
        shares = f"{now:.0%} of images where the {end} {before:.0%} of the reference are"
        return f"{name} moved {way}: {shares}".replace("%", " %")
    if side.name == "spread":
        way = "spreads wider" if side.direction == 1 else "varies less"
        where = f"{now:.2f} from the middle of the reference on average, {before:.2f} before"
        return f"{name} {way}: {where}"
    way = "up" if side.direction == 1 else "down"
    rank = float(np.average(mid_ranks(reference), weights=np.asarray(live)))
    return f"{name} moved {way}: the average image ranks {rank:.0%} among the reference".replace(
        "%", " %"
    )


def describe_loss(*, before: float, now: float, n_labels: int) -> str:
    """How the audited loss has changed.

    >>> describe_loss(before=0.25, now=0.6, n_labels=41)
    'mean loss 0.60 over the last 41 audited images, 0.25 at release'
    """
    return f"mean loss {now:.2f} over the last {n_labels} audited images, {before:.2f} at release"


def _mean(score: Score, counts: Sequence[int]) -> float:
    return float(np.average(score.values, weights=np.asarray(counts)))
