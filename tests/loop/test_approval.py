"""A turn whose policy asks for it waits for a person between the gate and the signature."""

import pytest

from sightloop.contracts.bundle import BundleFile
from sightloop.evaluation.gate import RuleOutcome, RuleVerdict, Verdict
from sightloop.kernel import steps
from sightloop.kernel.actors import LOCAL, Actor, ActorId, Role
from sightloop.kernel.digests import digest_of
from sightloop.kernel.events import handle_next, subscribe, tell
from sightloop.kernel.worker import STEP_FAILED
from sightloop.kernel.workspace import Call
from sightloop.loop.policy import ModelPolicy, Policy
from sightloop.loop.reactions import LOOP, REACTIONS, react
from sightloop.loop.turns import Trigger, Turn, TurnState, get_turn, move_turn, open_turn
from sightloop.registry import store as registry
from sightloop.registry.approvals import DecideVersion, approve_version, reject_version
from sightloop.registry.gating import VERDICT_GIVEN
from sightloop.registry.signing import MODEL_SIGNED
from sightloop.registry.values import ModelName, VerdictId, VerdictRecord

ANNA = Call(Actor(ActorId("anna"), "person", Role.APPROVER))
ASKS = ModelPolicy(approve=True)
ASKS_NOT = ModelPolicy()


@pytest.fixture
def turn(workspace):
    """Opens a turn whose version is before the gate; what the loop does about it is not run."""
    with workspace.db.write() as tx:
        registry.add_version(
            tx,
            model=ModelName("pcb"),
            bundle=digest_of(b"bundle"),
            files=[BundleFile("model.onnx", digest_of(b"weights"), 7)],
            run="run_1",
            dataset_commit=digest_of(b"commit"),
            now_ms=1,
        )
        opened = Turn(
            id="turn_1",
            model="pcb",
            trigger=Trigger("person", "anna", "asked"),
            focus="",
            state=TurnState.GATING,
            reason="asked",
            champion=None,
            run="run_1",
            version=1,
            verdict=None,
            rollout=None,
            opened_at_ms=1,
            moved_at_ms=1,
        )
        open_turn(tx, opened, by=LOCAL)
        subscribe(tx, LOOP, REACTIONS)
    return opened.id


def give_verdict(workspace, outcome: RuleOutcome = "pass") -> None:
    rule = RuleVerdict(rule="overall", outcome=outcome, reason="so it is", value=0.9, bound=0.8)
    record = VerdictRecord(
        id=VerdictId(workspace.ids.new("verdict")),
        model=ModelName("pcb"),
        number=1,
        champion=None,
        verdict=Verdict(outcome=outcome, rules=[rule]),
        evaluation="evaluation_1",
        champion_evaluation=None,
        decided_at_ms=2,
    )
    data = {"model": "pcb", "number": 1, "verdict": record.id}
    with workspace.db.write() as tx:
        registry.add_verdict(tx, record)
        tell(tx, VERDICT_GIVEN, "pcb@1", by=LOCAL, at_ms=2, data=data)


def decide(workspace, service, comment="looked at line B"):
    return service(workspace, ANNA, DecideVersion(model="pcb", number=1, comment=comment))


def answer_events(workspace, model: ModelPolicy) -> None:
    policy = Policy(models={"pcb": model})

    def answer(tx, event):
        react(tx, event, policy=policy, now_ms=9)

    while handle_next(workspace.db, LOOP, answer, now_ms=9) is not None:
        pass


def standing(workspace, turn) -> tuple[TurnState, list[str]]:
    with workspace.db.read() as tx:
        return get_turn(tx, turn).state, [step.name for step in steps.every(tx)]


def test_without_the_policy_asking_a_passed_version_is_signed_at_once(workspace, turn):
    give_verdict(workspace)
    answer_events(workspace, ASKS_NOT)
    assert standing(workspace, turn) == (TurnState.SIGNING, ["sign"])


def test_with_it_the_turn_waits_and_nothing_is_asked_for(workspace, turn):
    give_verdict(workspace)
    answer_events(workspace, ASKS)
    assert standing(workspace, turn) == (TurnState.AWAITING_APPROVAL, [])


def test_an_approval_lets_the_turn_go_on(workspace, turn):
    give_verdict(workspace)
    answer_events(workspace, ASKS)
    decide(workspace, approve_version)
    answer_events(workspace, ASKS)
    assert standing(workspace, turn) == (TurnState.SIGNING, ["sign"])
    with workspace.db.read() as tx:
        assert get_turn(tx, turn).reason == "anna approved it: looked at line B"


def test_a_rejection_ends_the_turn_with_the_comment_as_its_reason(workspace, turn):
    give_verdict(workspace)
    answer_events(workspace, ASKS)
    decide(workspace, reject_version, "misses dents")
    answer_events(workspace, ASKS)
    assert standing(workspace, turn) == (TurnState.REFUSED, [])
    with workspace.db.read() as tx:
        assert get_turn(tx, turn).reason == "anna rejected it: misses dents"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (approve_version, (TurnState.SIGNING, ["sign"])),
        (reject_version, (TurnState.REFUSED, [])),
    ],
)
def test_a_decision_that_comes_before_the_loop_looked_counts(workspace, turn, service, expected):
    give_verdict(workspace)
    decide(workspace, service)
    answer_events(workspace, ASKS)
    assert standing(workspace, turn) == expected


def test_a_rejection_stops_a_version_that_waits_for_its_signature(workspace, turn):
    give_verdict(workspace)
    answer_events(workspace, ASKS_NOT)
    decide(workspace, reject_version)
    answer_events(workspace, ASKS_NOT)
    assert standing(workspace, turn)[0] is TurnState.REFUSED


def test_what_the_gate_refused_never_waits_for_a_person(workspace, turn):
    give_verdict(workspace, "fail")
    answer_events(workspace, ASKS)
    assert standing(workspace, turn)[0] is TurnState.REFUSED


# --- builds, once a version is signed -------------------------------------------------------------

GATES_BUILDS = ModelPolicy(gate_builds=("openvino",))


def tell_signed(workspace) -> None:
    with workspace.db.write() as tx:
        turn = get_turn(tx, "turn_1")
        data = {"model": "pcb", "number": 1, "bundle": "sha256:00", "verdict": "v", "key": "k"}
        move_turn(tx, turn, to=TurnState.SIGNING, by=LOCAL, at_ms=3)
        tell(tx, MODEL_SIGNED, "pcb@1", by=LOCAL, at_ms=3, data=data)


def test_a_signed_version_is_rolled_out_while_its_builds_are_gated(workspace, turn):
    tell_signed(workspace)
    answer_events(workspace, GATES_BUILDS)
    state, asked = standing(workspace, turn)
    assert (state, sorted(asked)) == (TurnState.ROLLING_OUT, ["gate builds", "roll out"])


def test_without_the_policy_naming_runtimes_no_builds_are_gated(workspace, turn):
    tell_signed(workspace)
    answer_events(workspace, ASKS_NOT)
    assert standing(workspace, turn) == (TurnState.ROLLING_OUT, ["roll out"])


def test_builds_that_cannot_be_gated_hold_up_no_release(workspace, turn):
    tell_signed(workspace)
    failure = {"step": "gate builds", "inputs": {"model": "pcb", "number": 1}, "error": "no onnx"}
    with workspace.db.write() as tx:
        tell(tx, STEP_FAILED, "step_1", by=LOCAL, at_ms=4, data=failure)
    answer_events(workspace, GATES_BUILDS)
    assert standing(workspace, turn)[0] is TurnState.ROLLING_OUT
