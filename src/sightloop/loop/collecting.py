"""A turn that collects labels: whether it waits on, trains with what it has, or gives up.

It is looked at whenever something may have changed: more images were kept or flagged, a label came
in, a task was given up, the time is up. Every look is one transaction and asks for a step at most.
"""

from __future__ import annotations

from sightloop.kernel.actors import step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.steps import Lane, StepSpec, ask_for
from sightloop.loop.policy import Policy, RetrainRules
from sightloop.loop.rules import NextOfCollecting, next_of_collecting
from sightloop.loop.turns import Turn, TurnState, current_turn, move_turn
from sightloop.review import store as review

COLLECT_LABELS = "collect labels"
PREPARE_TRAINING = "prepare training"
NO_IMAGES_TO_LABEL = "no image of the incident came in to be labelled for training"


def collecting_turn(tx: Tx, model: str) -> Turn | None:
    """The model's turn, if it is one that collects labels for an incident."""
    turn = current_turn(tx, model)
    collects = (
        turn is not None
        and turn.state is TurnState.COLLECTING
        and turn.trigger.kind == "loss incident"
    )
    return turn if collects else None


def what_is_next(tx: Tx, turn: Turn, rules: RetrainRules, *, now_ms: int) -> NextOfCollecting:
    """What the turn should do now."""
    counts = review.count_opened_for(tx, turn.trigger.id)
    return next_of_collecting(
        n_tasks=sum(count for state, count in counts.items() if state != "withdrawn"),
        n_unanswered=counts.get("open", 0),
        budget=rules.label_budget,
        is_late=now_ms - turn.opened_at_ms >= rules.collect_limit_s * 1000,
    )


def look_at_collecting(tx: Tx, turn: Turn, rules: RetrainRules, *, now_ms: int) -> None:
    """Ask for the training, or refuse the turn, if it has nothing to wait for any more."""
    what = what_is_next(tx, turn, rules, now_ms=now_ms)
    if what == "train":
        spec = StepSpec(PREPARE_TRAINING, 1, {"turn": turn.id}, Lane.QUICK)
        ask_for(tx, spec, now_ms=now_ms)
    elif what == "give up":
        actor = step_actor(COLLECT_LABELS)
        move_turn(tx, turn, to=TurnState.REFUSED, by=actor, at_ms=now_ms, reason=NO_IMAGES_TO_LABEL)


def is_any_due(tx: Tx, policy: Policy, *, now_ms: int) -> bool:
    """Whether any turn that collects has something else to do than to wait."""
    return any(
        what_is_next(tx, turn, rules.retrain, now_ms=now_ms) != "wait"
        for model, rules in policy.models.items()
        if (turn := collecting_turn(tx, model)) is not None
    )


def look_at_all(tx: Tx, policy: Policy, *, now_ms: int) -> None:
    """The same for every model of the policy."""
    for model, rules in policy.models.items():
        if (turn := collecting_turn(tx, model)) is not None:
            look_at_collecting(tx, turn, rules.retrain, now_ms=now_ms)
