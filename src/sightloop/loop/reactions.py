"""From events to steps: what the loop does about everything that happens.

A reaction runs inside the transaction that takes the event out of the inbox. It reads, moves the
turn on, and asks for steps; it never does the work itself. So an event is answered exactly once,
and a step that was asked for twice is one step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sightloop.fleet.check_ins import STREAM_DECLARED
from sightloop.fleet.rollout_moves import (
    ROLLOUT_ABORTED,
    ROLLOUT_FINISHED,
    ROLLOUT_ROLLED_BACK,
    ROLLOUT_STARTED,
)
from sightloop.fleet.rollouts import StartRollout
from sightloop.kernel.actors import step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import last_line
from sightloop.kernel.events import Consumer, Event, EventKind
from sightloop.kernel.ids import derived_id
from sightloop.kernel.steps import Lane, StepSpec, ask_for
from sightloop.kernel.worker import STEP_FAILED
from sightloop.loop.collecting import (
    COLLECT_LABELS,
    PREPARE_TRAINING,
    collecting_turn,
    look_at_all,
    look_at_collecting,
)
from sightloop.loop.policy import ModelPolicy, Policy
from sightloop.loop.rules import stratum_with_enough_labels
from sightloop.loop.turns import (
    TURN_OPENED,
    Turn,
    TurnState,
    current_turn,
    find_turn,
    list_turns,
    move_turn,
)
from sightloop.monitoring import store as monitoring
from sightloop.monitoring.advance import INCIDENT_OPENED
from sightloop.registry import store as registry
from sightloop.registry.approvals import MODEL_APPROVED, MODEL_REJECTED
from sightloop.registry.build_gating import GateBuilds
from sightloop.registry.gating import VERDICT_GIVEN
from sightloop.registry.origins import PackageRun
from sightloop.registry.packaging import MODEL_PACKAGED
from sightloop.registry.release import unmet_rules
from sightloop.registry.signing import MODEL_SIGNED, SignVersion
from sightloop.registry.values import Approval
from sightloop.review import store as review
from sightloop.review.flagging import TASKS_WITHDRAWN
from sightloop.review.labelling import LABELS_VERIFIED, TASK_SKIPPED
from sightloop.telemetry.services import IMAGES_KEPT
from sightloop.training.recording import RUN_FAILED, RUN_FINISHED

LOOP = Consumer("loop")
ACTOR = step_actor("loop")

TRAIN, PACKAGE, GATE, SIGN, ROLL_OUT = "train", "package", "gate", "sign", "roll out"
OPEN_AUDIT_TASKS = "open audit tasks"
SET_STREAM_POLICY = "set stream policy"
ANSWER_INPUT_INCIDENT = "answer input incident"
OPEN_TURN = "open turn"
PREPARE_GATE = "prepare gate"
GATE_BUILDS = "gate builds"
SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a reaction may look at: the transaction, the event, the policy and the time."""

    tx: Tx
    event: Event
    policy: Policy
    now_ms: int

    def ask(self, name: str, inputs: Any, *, lane: Lane = Lane.QUICK) -> None:  # noqa: ANN401
        """Have the step done, once."""
        plain = inputs if isinstance(inputs, dict) else msgspec.to_builtins(inputs)
        ask_for(self.tx, StepSpec(name, 1, plain, lane), now_ms=self.now_ms)

    def move(self, turn: Turn, to: TurnState, **changes: Any) -> Turn:  # noqa: ANN401
        """Take the turn one station on."""
        return move_turn(self.tx, turn, to=to, by=ACTOR, at_ms=self.now_ms, **changes)


Reaction = Callable[[Situation], None]


def react(tx: Tx, event: Event, *, policy: Policy, now_ms: int) -> None:
    """Answer one event."""
    REACTIONS[event.kind](Situation(tx, event, policy, now_ms))


# --- devices and their images ---------------------------------------------------------------


def _on_stream_declared(s: Situation) -> None:
    model = s.event.data["model"]
    if model in s.policy.models:
        s.ask(SET_STREAM_POLICY, {**_pick(s.event.data, "device", "stream"), "model": model})


def _on_images_kept(s: Situation) -> None:
    audited = [
        kept
        for kept, lane in zip(s.event.data["kept"], s.event.data["lanes"], strict=True)
        if lane == "audit"
    ]
    if audited:
        s.ask(OPEN_AUDIT_TASKS, {"kept": audited})
    if len(audited) < len(s.event.data["kept"]):
        _collect_more(s)


def _collect_more(s: Situation) -> None:
    """Turns that wait for more images look through what their incident's device has just kept."""
    for model in s.policy.models:
        turn = collecting_turn(s.tx, model)
        if turn is None:
            continue
        incident = monitoring.find_incident(s.tx, turn.trigger.id)
        if incident.device == s.event.data["device"]:
            s.ask(COLLECT_LABELS, {"turn": turn.id, "event": s.event.number})


# --- incidents and labels ---------------------------------------------------------------------


def _on_incident(s: Situation) -> None:
    incident = monitoring.find_incident(s.tx, s.event.subject)
    policy = s.policy.models.get(incident.model)
    if policy is None:
        return
    if incident.kind == "input":
        s.ask(ANSWER_INPUT_INCIDENT, {"incident": incident.id})
    elif policy.retrain.on_loss_incident:
        s.ask(OPEN_TURN, {"model": incident.model, "incident": incident.id})


def _on_labels(s: Situation) -> None:
    task = review.find_task(s.tx, s.event.data["task"])
    version = registry.version_of_bundle(s.tx, task.bundle)
    policy = None if version is None else s.policy.models.get(version.model)
    if version is None or policy is None:
        return
    turn = current_turn(s.tx, version.model)
    if turn is None:
        _open_turn_for_labels(s, version.model, policy)
    elif collecting_turn(s.tx, version.model) is not None:
        look_at_collecting(s.tx, turn, policy.retrain, now_ms=s.now_ms)
    elif turn.state is TurnState.AWAITING_EVIDENCE:
        _ask_gate_again(s, turn, policy)


def _on_task_given_up(s: Situation) -> None:
    look_at_all(s.tx, s.policy, now_ms=s.now_ms)


def _open_turn_for_labels(s: Situation, model: str, policy: ModelPolicy) -> None:
    since_ms = max((turn.opened_at_ms for turn in list_turns(s.tx, model=model)), default=0)
    counts: dict[str, int] = {}
    for count in review.label_counts(s.tx, since_ms=since_ms):
        counts[count.stratum] = counts.get(count.stratum, 0) + count.n_images
    ripe = stratum_with_enough_labels(counts, after_labels=policy.retrain.after_labels)
    if ripe is not None:
        s.ask(OPEN_TURN, {"model": model, "stratum": ripe, "n_images": counts[ripe]})


def _ask_gate_again(s: Situation, turn: Turn, policy: ModelPolicy) -> None:
    since = review.label_counts(s.tx, since_ms=turn.moved_at_ms, stratum=turn.focus or None)
    n_audited = sum(count.n_images for count in since if count.purpose == "audit")
    if n_audited >= policy.retrain.evidence_labels:
        s.ask(PREPARE_GATE, {"turn": turn.id, "verdicts": turn.n_verdicts})


# --- a turn, station by station ---------------------------------------------------------------


def _on_turn_opened(s: Situation) -> None:
    collects = s.event.data["trigger"] == "loss incident"
    s.ask(COLLECT_LABELS if collects else PREPARE_TRAINING, {"turn": s.event.subject})


def _on_run_finished(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["experiment"], run=s.event.subject)
    if turn is None:
        return
    s.move(turn, TurnState.PACKAGING)
    s.ask(PACKAGE, PackageRun(model=turn.model, run=s.event.subject), lane=Lane.HEAVY)


def _on_run_failed(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["experiment"], run=s.event.subject)
    if turn is not None and s.event.data.get("exit_reason") == "cancelled":
        s.move(turn, TurnState.FAILED, reason="the training was cancelled")


def _on_packaged(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], run=s.event.data["run"])
    if turn is not None:
        s.move(turn, TurnState.GATING, version=s.event.data["number"])
        s.ask(PREPARE_GATE, {"turn": turn.id, "verdicts": 0})


def _on_verdict(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], version=s.event.data["number"])
    record = registry.find_verdict(s.tx, s.event.data["verdict"])
    if turn is None or record is None:
        return
    noted = msgspec.structs.replace(turn, verdict=record.id, n_verdicts=turn.n_verdicts + 1)
    reasons = "; ".join(unmet_rules(record))
    if record.verdict.outcome == "pass":
        _on_pass(s, noted)
    elif record.verdict.outcome == "fail":
        s.move(noted, TurnState.REFUSED, reason=f"the gate said no: {reasons}")
    elif noted.n_verdicts >= s.policy.models[turn.model].retrain.max_verdicts:
        reason = f"still undecided after {noted.n_verdicts} verdicts: {reasons}"
        s.move(noted, TurnState.REFUSED, reason=reason)
    else:
        s.move(noted, TurnState.AWAITING_EVIDENCE, reason=f"too few images to tell: {reasons}")


def _on_pass(s: Situation, turn: Turn) -> None:
    """The version is signed, unless a person has to agree first or has refused already."""
    assert turn.version is not None, "only a version is judged"
    approval = registry.find_approval(s.tx, turn.model, turn.version)
    if approval is not None and approval.decision == "reject":
        s.move(turn, TurnState.REFUSED, reason=_rejection(approval))
    elif approval is None and s.policy.models[turn.model].approve:
        reason = f"{turn.model}@{turn.version} passed its gate; a person has to approve it"
        s.move(turn, TurnState.AWAITING_APPROVAL, reason=reason)
    else:
        _have_signed(s, turn)


def _on_approved(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], version=s.event.data["number"])
    if turn is not None and turn.state is TurnState.AWAITING_APPROVAL:
        comment = s.event.data["comment"]
        _have_signed(s, turn, reason=f"{s.event.data['by']} approved it: {comment}")


def _on_rejected(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], version=s.event.data["number"])
    before_release = (TurnState.AWAITING_APPROVAL, TurnState.SIGNING)
    if turn is not None and turn.state in before_release and turn.version is not None:
        approval = registry.find_approval(s.tx, turn.model, turn.version)
        assert approval is not None, "the event was written with the decision"
        s.move(turn, TurnState.REFUSED, reason=_rejection(approval))


def _have_signed(s: Situation, turn: Turn, *, reason: str = "") -> None:
    assert turn.version is not None, "only a version is signed"
    s.move(turn, TurnState.SIGNING, reason=reason)
    s.ask(SIGN, SignVersion(model=turn.model, number=turn.version))


def _rejection(approval: Approval) -> str:
    return f"{approval.by} rejected it: {approval.comment}"


def _on_signed(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], version=s.event.data["number"])
    if turn is None or turn.version is None:
        return
    policy = s.policy.models[turn.model]
    request = StartRollout(
        model=turn.model, number=turn.version, rings=list(policy.rings), criteria=policy.health
    )
    s.move(turn, TurnState.ROLLING_OUT)
    s.ask(ROLL_OUT, request)
    if policy.gate_builds:
        builds = GateBuilds(
            model=turn.model,
            number=turn.version,
            commit=policy.branch,
            runtimes=[*policy.gate_builds],
        )
        s.ask(GATE_BUILDS, builds, lane=Lane.HEAVY)


def _on_rollout_started(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], version=s.event.data["number"])
    if turn is not None:
        s.move(turn, TurnState.ROLLING_OUT, rollout=s.event.data["rollout"])


def _on_rollout_finished(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], version=s.event.data["number"])
    if turn is not None:
        s.move(turn, TurnState.RELEASED, reason=f"{turn.model}@{turn.version} serves everywhere")
        s.ask(SETTLE, {"turn": turn.id})


def _on_rollout_turned_back(s: Situation) -> None:
    turn = _turn_of(s, s.event.data["model"], version=s.event.data["number"])
    if turn is not None:
        s.move(turn, TurnState.ROLLED_BACK, reason=s.event.data["reason"])


def _on_step_failed(s: Situation) -> None:
    if s.event.data["step"] == GATE_BUILDS:
        return  # the version runs as it was released, and the step shows why nothing else does
    inputs = s.event.data["inputs"]
    model = inputs.get("model") or inputs.get("experiment")
    turn = find_turn(s.tx, inputs.get("turn", "")) or (
        current_turn(s.tx, model) if isinstance(model, str) else None
    )
    if turn is not None and not turn.has_ended:
        s.move(
            turn,
            TurnState.FAILED,
            reason=f"{s.event.data['step']}: {last_line(s.event.data['error'])}",
        )


def _turn_of(
    s: Situation, model: str, *, run: str | None = None, version: int | None = None
) -> Turn | None:
    """The model's present turn, if the event is about what that turn made."""
    turn = current_turn(s.tx, model)
    if turn is None or model not in s.policy.models:
        return None
    same_run = run is None or turn.run == run
    same_version = version is None or turn.version == version
    return turn if same_run and same_version else None


def run_of_turn(turn: str) -> str:
    """The run a turn trains; it follows from the turn, so that no crash makes two."""
    return derived_id("run", turn)


def _pick(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: data[name] for name in names}


REACTIONS: Mapping[EventKind, Reaction] = {
    STREAM_DECLARED: _on_stream_declared,
    IMAGES_KEPT: _on_images_kept,
    INCIDENT_OPENED: _on_incident,
    LABELS_VERIFIED: _on_labels,
    TASK_SKIPPED: _on_task_given_up,
    TASKS_WITHDRAWN: _on_task_given_up,
    TURN_OPENED: _on_turn_opened,
    RUN_FINISHED: _on_run_finished,
    RUN_FAILED: _on_run_failed,
    MODEL_PACKAGED: _on_packaged,
    VERDICT_GIVEN: _on_verdict,
    MODEL_APPROVED: _on_approved,
    MODEL_REJECTED: _on_rejected,
    MODEL_SIGNED: _on_signed,
    ROLLOUT_STARTED: _on_rollout_started,
    ROLLOUT_FINISHED: _on_rollout_finished,
    ROLLOUT_ROLLED_BACK: _on_rollout_turned_back,
    ROLLOUT_ABORTED: _on_rollout_turned_back,
    STEP_FAILED: _on_step_failed,
}
