"""What is due when: the decisions of the loop, as functions of values alone.

The reactions fetch the values, these rules decide, the handlers act.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from sightloop.datasets.splits import share_of
from sightloop.datasets.values import Sample, strata_of
from sightloop.evaluation.gate import GateRules
from sightloop.loop.policy import ModelPolicy, Recipe
from sightloop.training.requests import TrainRequest

NextOfCollecting = Literal["wait", "train", "give up"]


class StratumLoss(NamedTuple):
    """One audited image: the strata it truly belongs to, and how wrong the model was on it."""

    strata: Sequence[str]
    loss: float


def focus_of(losses: Iterable[StratumLoss], *, reference_mean: float) -> str:
    """The stratum that went wrong: where the losses together exceed the reference the most.

    The excess is a sum and not a mean, so that one unlucky image of a rare stratum does not
    outweigh a line that has been failing all morning. `""` when nothing exceeds the reference.

    >>> bad, good = StratumLoss(["", "line=b"], 0.9), StratumLoss(["", "line=a"], 0.1)
    >>> focus_of([bad, good, good], reference_mean=0.2)
    'line=b'
    """
    excess: dict[str, float] = defaultdict(float)
    for one in losses:
        for stratum in one.strata:
            if stratum:
                excess[stratum] += one.loss - reference_mean
    worst = min(excess, key=lambda stratum: (-excess[stratum], stratum), default="")
    return worst if worst and excess[worst] > 0 else ""


def stratum_with_enough_labels(counts: Mapping[str, int], *, after_labels: int) -> str | None:
    """The stratum whose verified images since the last training reach the limit, most first.

    >>> stratum_with_enough_labels({"": 90, "line=a": 30, "line=b": 60}, after_labels=50)
    'line=b'
    """
    if after_labels == 0:
        return None
    ripe = [name for name, count in counts.items() if name and count >= after_labels]
    return min(ripe, key=lambda name: (-counts[name], name), default=None)


def next_of_collecting(
    *, n_tasks: int, n_unanswered: int, budget: int, is_late: bool
) -> NextOfCollecting:
    """What a turn does that asked people for labels.

    It waits for every answer, and for more images until the budget is used up or it is late.

    >>> next_of_collecting(n_tasks=3, n_unanswered=0, budget=80, is_late=False)
    'wait'
    >>> next_of_collecting(n_tasks=3, n_unanswered=0, budget=80, is_late=True)
    'train'
    """
    if n_unanswered or (n_tasks < budget and not is_late):
        return "wait"
    return "train" if n_tasks else "give up"


def gate_rules(policy: ModelPolicy, *, strata: Iterable[str], focus: str) -> GateRules:
    """The gate for one turn: the policy's rules, every known stratum protected, the focus better.

    `strata` are those the champion knows. A stratum's own tolerance wins over its field's.
    """
    protected = {
        stratum: policy.protect[field]
        for stratum in strata
        if (field := stratum.partition("=")[0]) in policy.protect and stratum != focus
    }
    better_on = sorted({*policy.gate.better_on, *([focus] if focus else [])})
    return msgspec.structs.replace(
        policy.gate, protected={**protected, **policy.gate.protected}, better_on=better_on
    )


def audits_to_retire(
    samples: Iterable[Sample], *, focus: str, share: float, salt: str
) -> list[str]:
    """Split keys of the focus that leave the audit: chosen by hash, so a repeat chooses the same.

    Args:
        samples: of the branch's head.
        focus: the stratum that went wrong; without one nothing is retired.
        share: of its audited split keys, 0 to 1.
        salt: makes the choice of one turn independent of another's, and of the split.
    """
    audited = {
        sample.split_key
        for sample in samples
        if sample.reserved == "audit"
        and not sample.quarantined
        and focus in strata_of(sample.slices)
    }
    return sorted(key for key in audited if focus and share_of(key, salt=salt) < share)


def train_request(
    recipe: Recipe,
    *,
    model: str,
    turn: str,
    run: str,
    dataset_commit: str,
    champion_run: str | None,
    repeats: Mapping[str, int],
) -> TrainRequest:
    """What the engine is asked in this turn; without a champion its weights are the starter's."""
    weights = recipe.weights
    if weights == "champion":
        weights = f"run:{champion_run}" if champion_run else "starter"
    return TrainRequest(
        run=run,
        experiment=model,
        name=turn,
        dataset_commit=dataset_commit,
        engine=recipe.engine,
        weights=weights,
        epochs=recipe.epochs,
        image_size_px=recipe.image_size_px,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        parameters=recipe.parameters,
        repeats=dict(repeats),
    )
