"""How much each setting matters for an objective.

Source: Watanabe et al. (2023), PED-ANOVA, by Optuna. It asks how far the best trials lie from all
of them in each setting. (fANOVA, Optuna's default, needs scikit-learn.)
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sightloop.training.sweeps.spec import Direction, Range
from sightloop.training.sweeps.suggesting import Tried, study_of

MIN_TRIALS = 10
"""Fewer say nothing about what matters."""
BEST_SHARE, MIN_BEST = 0.1, 5
"""Which trials count as the best: a tenth of them, and in short sweeps at least five. Of one or two
the answer would be chance."""


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """One setting's share; all of them add up to 1, unless nothing matters."""

    name: str
    share: float


def importances(
    space: dict[str, Range],
    tried: Sequence[Tried],
    *,
    objective: int,
    direction: Direction,
) -> list[Importance] | None:
    """The settings that every complete trial has, the most important first; None: too few trials.

    Args:
        space: the sweep's.
        tried: its trials; only complete ones count.
        objective: which objective.
        direction: of that objective.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    complete = [
        msgspec.structs.replace(one, objectives=[sign * one.objectives[objective]])
        for one in tried
        if one.state == "complete"
    ]
    common = set(space).intersection(*(one.values for one in complete)) if complete else set()
    if len(complete) < MIN_TRIALS or not common:
        return None
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    study = study_of(space, ["minimize"], complete)
    names = [name for name in space if name in common and _varies(complete, name)]
    if not names:
        return [Importance(name=name, share=0.0) for name in sorted(common)]
    quantile = max(BEST_SHARE, MIN_BEST / len(complete))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    shares = get_param_importances(study, evaluator=evaluator, params=names, normalize=True)
    found = {**dict.fromkeys(common, 0.0), **shares}
    ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Importance(name=name, share=float(share)) for name, share in ordered]


def _varies(tried: Sequence[Tried], name: str) -> bool:
    return len({repr(one.values[name]) for one in tried}) > 1
