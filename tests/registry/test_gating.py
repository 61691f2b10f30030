import msgspec
import pytest

from sightloop.evaluation.gate import GateRules
from sightloop.kernel import steps
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import history
from sightloop.kernel.worker import Interrupted
from sightloop.kernel.workspace import Call
from sightloop.registry import store
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.errors import ForeignParity
from sightloop.registry.gating import VERDICT_GIVEN, GateVersion, gate_step, gate_version
from sightloop.testing.workspaces import LOCAL_CALL

RULES = GateRules(
    min_ap50=0.8,
    max_drop=0.05,
    min_images=5,
    min_objects=5,
    n_replicates=100,
    max_latency_ratio=None,
)
BLIND = 2.0
"""A level at which the toy sees nothing."""


def gate(workspace, number=1, **changes):
    request = GateVersion(model="pcb", number=number, commit="main", rules=RULES)
    return gate_version(workspace, LOCAL_CALL, msgspec.structs.replace(request, **changes))


def outcomes(record):
    return {rule.rule: rule.outcome for rule in record.verdict.rules}


def test_a_good_first_version_passes_on_the_absolute_rules(workspace, version):
    version()
    record = gate(workspace)
    assert record.verdict.outcome == "pass"
    assert outcomes(record) == {"minimum": "pass", "parity": "pass"}
    assert record.champion is None


def test_a_version_that_sees_nothing_fails_with_a_reason(workspace, version):
    version(BLIND)
    record = gate(workspace)
    assert record.verdict.outcome == "fail"
    assert "below the 0.800 that is asked" in record.verdict.rules[0].reason


def test_a_version_is_compared_with_the_champion_on_the_same_images(workspace, version):
    version(), version(BLIND)
    gate(workspace)
    set_alias(workspace, LOCAL_CALL, SetAlias(model="pcb", alias="champion", number=1))
    record = gate(workspace, 2)
    assert record.champion == 1
    assert outcomes(record)["overall"] == "fail"
    assert record.champion_evaluation not in (None, record.evaluation)


def test_a_champion_can_be_named_or_left_out(workspace, version):
    version(), version(BLIND)
    assert gate(workspace, 2, champion=1).champion == 1
    assert gate(workspace, 2, champion=None).champion is None


def test_the_champion_itself_is_judged_on_its_own(workspace, version):
    version()
    assert gate(workspace, champion=1).champion is None


def test_a_run_without_parity_answers_is_inconclusive(workspace, train, packaged):
    packaged(train(artifacts=("model.onnx",)))
    record = gate(workspace)
    assert outcomes(record)["parity"] == "inconclusive"
    assert record.verdict.outcome == "inconclusive"


@pytest.mark.parametrize("name", ["images/of_another_view", "images/" + "0" * 32])
def test_parity_answers_about_other_images_are_refused(workspace, train, packaged, name):
    packaged(train(parity_name=name))
    with pytest.raises(ForeignParity, match=f"run_1 names '{name}.jpg'") as caught:
        gate(workspace)
    assert caught.value.code == "REG-013"


def test_latency_is_measured_in_turns_with_the_champion(timed_workspace, version):
    version(), version(0.34)
    rules = msgspec.structs.replace(RULES, max_latency_ratio=1000.0)
    record = gate(timed_workspace, 2, champion=1, rules=rules)
    (latency,) = [rule for rule in record.verdict.rules if rule.rule == "latency"]
    assert latency.value > 0


def test_evaluations_are_made_once_and_verdicts_each_time(workspace, version):
    version()
    first, second = gate(workspace), gate(workspace)
    assert first.id != second.id
    assert first.evaluation == second.evaluation


def test_the_latest_verdict_is_kept_and_told_in_an_event(workspace, version):
    packaged = version()
    record = gate(workspace)
    with workspace.db.read() as tx:
        assert store.latest_verdict(tx, "pcb", 1) == record
        (event,) = [event for event in history(tx) if event.kind == VERDICT_GIVEN]
    assert event.subject == "pcb@1"
    assert event.data["outcome"] == "pass"
    assert event.data["bundle"] == packaged.bundle
    assert event.data["verdict"] == record.id


def step_of(workspace, dataset):
    inputs = {"model": "pcb", "number": 1, "commit": dataset, "rules": msgspec.to_builtins(RULES)}
    with workspace.db.write() as tx:
        return steps.ask_for(tx, steps.StepSpec("gate", 1, inputs), now_ms=0)


def test_the_step_records_its_verdict_in_its_last_transaction(workspace, version, dataset, control):
    version()
    step = step_of(workspace, dataset)
    outcome = gate_step(workspace, step, control)
    again = gate_step(workspace, step, control)
    assert outcome.output == again.output
    with workspace.db.read() as tx:
        assert store.latest_verdict(tx, "pcb", 1) is None
    with workspace.db.write() as tx:
        outcome.record(tx)
        assert store.latest_verdict(tx, "pcb", 1).id == outcome.output["verdict"]


def test_the_step_stops_when_its_worker_does(workspace, version, dataset, control):
    version()
    control.stopping.set()
    with pytest.raises(Interrupted):
        gate_step(workspace, step_of(workspace, dataset), control)


def test_an_annotator_gates_nothing(workspace, version):
    version()
    annotator = Call(Actor(ActorId("ann"), "person", Role.ANNOTATOR))
    with pytest.raises(NotAllowed, match="evaluate"):
        gate_version(workspace, annotator, GateVersion(model="pcb", number=1, commit="main"))


def test_an_unknown_version_is_not_found(workspace, dataset):
    with pytest.raises(NotFound, match="pcb@3"):
        gate(workspace, 3)
