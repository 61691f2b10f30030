"""The loop's own steps: each calls the services a user could call, and can be repeated.

The heavy ones (train, package, gate, sign) are the handlers of their rooms; here are the quick
ones between them, and the table of all.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sightloop.contracts.decode import decode
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.commits import RetireAudits, retire_audits
from sightloop.datasets.samples import read_samples
from sightloop.evaluation.services import read_bundle
from sightloop.fleet import store as fleet
from sightloop.fleet.gating_builds import gate_builds_step
from sightloop.fleet.rollouts import start_rollout_step
from sightloop.fleet.streams import SetStreamPolicy, set_stream_policy
from sightloop.kernel.actors import step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import NotFound
from sightloop.kernel.ids import derived_id
from sightloop.kernel.steps import Lane, Outcome, Step, StepSpec, ask_for
from sightloop.kernel.worker import StepControl, StepHandler
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop import reactions
from sightloop.loop.collecting import (
    COLLECT_LABELS,
    PREPARE_TRAINING,
    collecting_turn,
    look_at_collecting,
)
from sightloop.loop.policy import ModelPolicy
from sightloop.loop.policy_file import read_policy
from sightloop.loop.rules import (
    StratumLoss,
    audits_to_retire,
    focus_of,
    gate_rules,
    train_request,
)
from sightloop.loop.turns import (
    Trigger,
    Turn,
    TurnState,
    current_turn,
    get_turn,
    move_turn,
    open_turn,
)
from sightloop.monitoring import store as monitoring
from sightloop.monitoring.evidence import Evidence, Incident
from sightloop.monitoring.incidents import CloseIncident, close_incident
from sightloop.registry import store as registry
from sightloop.registry.gating import GateVersion, gate_step
from sightloop.registry.packaging import package_step
from sightloop.registry.signing import sign_step
from sightloop.registry.values import CHAMPION, ModelVersion
from sightloop.review.committing import CommitLabels, commit_labels
from sightloop.review.flagging import (
    FlagImages,
    OpenAuditTasks,
    OpenFlagged,
    flag_images,
    open_audit_tasks,
    open_flagged,
)
from sightloop.telemetry import store as telemetry
from sightloop.telemetry.values import StreamKey
from sightloop.training.services import train_step
from sightloop.training.sweeps.tending import TRIAL_STEP
from sightloop.training.sweeps.trials import trial_step


def open_audit_tasks_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Every audited image becomes a task; its label is what makes the loss known."""
    made = open_audit_tasks(workspace, _call(step, control), OpenAuditTasks(**step.inputs))
    return Outcome({"tasks": made.tasks})


def set_stream_policy_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """A stream that was declared keeps what its model's policy says."""
    policy = _policy_of(workspace, step.inputs["model"])
    _keep_as_usual(
        workspace,
        _call(step, control),
        policy,
        device=step.inputs["device"],
        stream=step.inputs["stream"],
    )
    return Outcome({})


def answer_input_incident_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Audit more, keep more, flag what is worth labelling; retraining is not decided here."""
    call = _call(step, control)
    incident = _incident(workspace, step.inputs["incident"])
    rules = _policy_of(workspace, incident.model).on_input_incident
    set_stream_policy(
        workspace,
        call,
        SetStreamPolicy(
            device=incident.device,
            stream=incident.stream,
            audit_rate=rules.audit_rate,
            drift_rate=rules.drift_rate,
        ),
    )
    flagged = _flag(workspace, call, incident, budget=rules.flag)
    return Outcome({"audit_rate": rules.audit_rate, "flagged": flagged})


def open_turn_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:  # noqa: ARG001
    """A loss incident, or enough labels of one stratum, starts a turn unless one is under way."""
    model = step.inputs["model"]
    if "incident" in step.inputs:
        incident = _incident(workspace, step.inputs["incident"])
        trigger, focus = _trigger_of(workspace, incident), _focus(workspace, incident)
    else:
        focus, n_images = step.inputs["stratum"], step.inputs["n_images"]
        reason = f"{n_images} images of {focus} were verified since the last training"
        trigger = Trigger("labels", f"{focus}:{n_images}", reason)
    turn = new_turn(workspace, model, trigger, focus=focus, key=step.key)
    with workspace.db.read() as tx:
        under_way = current_turn(tx, model)
    if under_way is not None and under_way.id != turn.id:
        return Outcome({"turn": None, "because": f"{under_way.id} is under way"})

    def record(tx: Tx) -> None:
        open_turn(tx, turn, by=step_actor(step.name))

    return Outcome({"turn": turn.id}, record)


def collect_labels_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """The most useful flagged images are opened for labelling; the turn waits for the answers.

    It is done again whenever the device kept more, until the budget is used up; what comes too
    late, when the turn has gone on, opens nothing.
    """
    call = _call(step, control)
    turn = _turn(workspace, step)
    if turn.state is not TurnState.COLLECTING:
        return Outcome({"opened": []})
    incident = _incident(workspace, turn.trigger.id)
    policy = _policy_of(workspace, turn.model)
    budget = policy.retrain.label_budget
    _keep_to_teach(workspace, call, incident, policy)
    _flag(workspace, call, incident, budget=budget)
    streams = [StreamKey(incident.device, incident.stream)]
    request = OpenFlagged(incident=incident.id, budget=budget, streams=streams)
    opened = open_flagged(workspace, call, request).tasks

    def record(tx: Tx) -> None:
        if (present := collecting_turn(tx, turn.model)) is not None:
            look_at_collecting(tx, present, policy.retrain, now_ms=workspace.clock.now_ms())

    return Outcome({"opened": opened}, record)


def prepare_training_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Labels become a commit, and the engine is asked to train on the branch's head."""
    turn = _turn(workspace, step)
    policy = _policy_of(workspace, turn.model)
    call = _call(step, control)
    if turn.trigger.kind == "loss incident":
        _keep_to_prove(workspace, call, _incident(workspace, turn.trigger.id), policy)
    commit_labels(workspace, call, CommitLabels(branch=policy.branch))
    _retire_audits(workspace, call, turn, policy)
    champion = _champion(workspace, turn.model)
    retrains = champion is not None and turn.trigger.kind != "person"
    with workspace.db.read() as tx:
        head = resolve_ref(tx, policy.branch)
    request = train_request(
        policy.retrain.recipe if retrains else policy.recipe,
        model=turn.model,
        turn=turn.id,
        run=reactions.run_of_turn(turn.id),
        dataset_commit=head,
        champion_run=None if champion is None else champion.run,
        repeats={turn.focus: policy.retrain.repeat} if turn.focus else {},
    )

    def record(tx: Tx) -> None:
        _move(workspace, tx, turn, TurnState.TRAINING, step, run=request.run)
        spec = StepSpec(reactions.TRAIN, 1, _plain(request), Lane.HEAVY)
        ask_for(tx, spec, now_ms=workspace.clock.now_ms())

    return Outcome({"dataset_commit": head, "run": request.run}, record)


def prepare_gate_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """The gate is asked with the policy's rules, on everything labelled by now."""
    turn = _turn(workspace, step)
    policy = _policy_of(workspace, turn.model)
    assert turn.version is not None, "a turn is packaged before it is gated"
    commit_labels(workspace, _call(step, control), CommitLabels(branch=policy.branch))
    champion = _champion(workspace, turn.model)
    strata = [] if champion is None else read_bundle(workspace, champion.bundle).reference.losses
    with workspace.db.read() as tx:
        head = resolve_ref(tx, policy.branch)
    request = GateVersion(
        model=turn.model,
        number=turn.version,
        commit=head,
        rules=gate_rules(policy, strata=strata, focus=turn.focus),
        champion=None if champion is None else champion.number,
    )

    def record(tx: Tx) -> None:
        _move(workspace, tx, turn, TurnState.GATING, step)
        spec = StepSpec(reactions.GATE, 1, _plain(request), Lane.HEAVY)
        ask_for(tx, spec, now_ms=workspace.clock.now_ms())

    return Outcome({"commit": head}, record)


def settle_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """The release answered the incidents: they are closed, and streams keep as usual again."""
    call = _call(step, control)
    turn = _turn(workspace, step)
    policy = _policy_of(workspace, turn.model)
    with workspace.db.read() as tx:
        still_open = [
            i for i in monitoring.list_incidents(tx, state="open") if i.model == turn.model
        ]
    reason = f"answered by {turn.model}@{turn.version} (turn {turn.id})"
    for incident in still_open:
        close_incident(workspace, call, CloseIncident(incident=incident.id, reason=reason))
        _keep_as_usual(workspace, call, policy, device=incident.device, stream=incident.stream)
    return Outcome({"closed": [incident.id for incident in still_open]})


HANDLERS: dict[str, StepHandler] = {
    reactions.OPEN_AUDIT_TASKS: open_audit_tasks_step,
    reactions.SET_STREAM_POLICY: set_stream_policy_step,
    reactions.ANSWER_INPUT_INCIDENT: answer_input_incident_step,
    reactions.OPEN_TURN: open_turn_step,
    COLLECT_LABELS: collect_labels_step,
    PREPARE_TRAINING: prepare_training_step,
    reactions.TRAIN: train_step,
    TRIAL_STEP: trial_step,
    reactions.PACKAGE: package_step,
    reactions.PREPARE_GATE: prepare_gate_step,
    reactions.GATE: gate_step,
    reactions.SIGN: sign_step,
    reactions.GATE_BUILDS: gate_builds_step,
    reactions.ROLL_OUT: start_rollout_step,
    reactions.SETTLE: settle_step,
}


def new_turn(workspace: Workspace, model: str, trigger: Trigger, *, focus: str, key: str) -> Turn:
    """A turn that is about to begin; equal `key`s (what it follows from) make one turn."""
    champion = _champion(workspace, model)
    now_ms = workspace.clock.now_ms()
    return Turn(
        id=derived_id("turn", model, key),
        model=model,
        trigger=trigger,
        focus=focus,
        state=TurnState.COLLECTING,
        reason=trigger.reason,
        champion=None if champion is None else champion.number,
        run=None,
        version=None,
        verdict=None,
        rollout=None,
        opened_at_ms=now_ms,
        moved_at_ms=now_ms,
    )


def _trigger_of(workspace: Workspace, incident: Incident) -> Trigger:
    with workspace.db.read() as tx:
        device = fleet.get_device(tx, incident.device)
    where = f"{incident.stream} of {device.name}"
    return Trigger("loss incident", incident.id, f"the audited loss rose on {where}")


def _focus(workspace: Workspace, incident: Incident) -> str:
    """The stratum whose audited images went wrong since the model was released on that stream."""
    reference = read_bundle(workspace, incident.bundle).reference
    known = reference.losses.get(incident.stratum) or reference.losses.get("")
    with workspace.db.read() as tx:
        losses = telemetry.losses_of(
            tx, StreamKey(incident.device, incident.stream), bundle=incident.bundle
        )
    return focus_of(
        (StratumLoss(loss.strata, loss.loss) for loss in losses),
        reference_mean=0.0 if known is None else known.mean,
    )


def _flag(workspace: Workspace, call: Call, incident: Incident, *, budget: int) -> list[str]:
    evidence = decode(workspace.blobs.read(incident.evidence), Evidence, what="the evidence")
    request = FlagImages(
        incident=incident.id,
        budget=budget,
        streams=[StreamKey(incident.device, incident.stream)],
        since_ms=evidence.change_at_ms,
        bundle=incident.bundle,
    )
    return flag_images(workspace, call, request).tasks


def _keep_to_teach(
    workspace: Workspace, call: Call, incident: Incident, policy: ModelPolicy
) -> None:
    """That the loss rose is certain: the audit falls back, and what it leaves is a candidate."""
    request = SetStreamPolicy(
        device=incident.device,
        stream=incident.stream,
        audit_rate=policy.keep.audit_rate,
        drift_rate=policy.on_input_incident.drift_rate,
    )
    set_stream_policy(workspace, call, request)


def _keep_to_prove(
    workspace: Workspace, call: Call, incident: Incident, policy: ModelPolicy
) -> None:
    """Enough was kept to learn from: what comes now is audited, to judge the new version by."""
    request = SetStreamPolicy(
        device=incident.device,
        stream=incident.stream,
        audit_rate=policy.on_input_incident.audit_rate,
        drift_rate=0.0,
    )
    set_stream_policy(workspace, call, request)


def _retire_audits(workspace: Workspace, call: Call, turn: Turn, policy: ModelPolicy) -> None:
    with workspace.db.read() as tx:
        head = resolve_ref(tx, policy.branch)
    keys = audits_to_retire(
        read_samples(workspace, head),
        focus=turn.focus,
        share=policy.retrain.retire_audit,
        salt=turn.id,
    )
    if keys:
        message = f"Retire {len(keys)} audited parts of {turn.focus} to training (turn {turn.id})"
        request = RetireAudits(branch=policy.branch, split_keys=keys, message=message)
        retire_audits(workspace, call, request)


def _keep_as_usual(
    workspace: Workspace, call: Call, policy: ModelPolicy, *, device: str, stream: str
) -> None:
    keep = policy.keep
    request = SetStreamPolicy(
        device=device,
        stream=stream,
        audit_rate=keep.audit_rate,
        uncertain_per_hour=keep.uncertain_per_hour,
        drift_rate=0.0,
        window_images=keep.window_images,
        window_s=keep.window_s,
    )
    set_stream_policy(workspace, call, request)


def _move(
    workspace: Workspace,
    tx: Tx,
    turn: Turn,
    to: TurnState,
    step: Step,
    *,
    run: str | None = None,
) -> None:
    now_ms = workspace.clock.now_ms()
    present = get_turn(tx, turn.id)
    actor = step_actor(step.name)
    move_turn(tx, present, to=to, by=actor, at_ms=now_ms, run=run)


def _call(step: Step, control: StepControl) -> Call:
    return Call(step_actor(step.name), control.progress)


def _turn(workspace: Workspace, step: Step) -> Turn:
    with workspace.db.read() as tx:
        return get_turn(tx, step.inputs["turn"])


def _incident(workspace: Workspace, incident: str) -> Incident:
    with workspace.db.read() as tx:
        return monitoring.find_incident(tx, incident)


def _champion(workspace: Workspace, model: str) -> ModelVersion | None:
    with workspace.db.read() as tx:
        alias = registry.find_alias(tx, model, CHAMPION)
        return None if alias is None else registry.get_version(tx, model, alias.number)


def _policy_of(workspace: Workspace, model: str) -> ModelPolicy:
    policy = read_policy(workspace).models.get(model)
    if policy is None:
        raise NotFound(what="model in loop.yaml", name=model)
    return policy


def _plain(request: msgspec.Struct) -> dict[str, Any]:
    plain = msgspec.to_builtins(request)
    assert isinstance(plain, dict), "a struct becomes a dict"
    return plain
