"""A bundle is evaluated once per commit, splits and runtime; the record never changes."""

import threading

import msgspec
import pytest

from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import split_of
from sightloop.evaluation import store
from sightloop.evaluation.bootstrap import paired_gain
from sightloop.evaluation.errors import NothingToEvaluate
from sightloop.evaluation.gate import GateRules, Judged, judge
from sightloop.evaluation.services import (
    EvaluateBundle,
    ListEvaluations,
    evaluate,
    evaluate_step,
    list_evaluations,
    open_bundle,
    read_answers,
    read_bundle,
    show_evaluation,
)
from sightloop.inference.errors import ModelMismatch
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.blobs import BlobMissing
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import history
from sightloop.kernel.steps import Lane, StepSpec, StepState, ask_for, get
from sightloop.kernel.worker import Interrupted, StepControl, StepWorker
from sightloop.kernel.workspace import Call
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.models import SENSITIVE_LEVEL
from sightloop.testing.workspaces import LOCAL_CALL

ALL = ["train", "val", "test"]


def request_for(bundle, commit, **changes):
    return EvaluateBundle(**({"bundle": bundle, "commit": commit, "splits": ALL} | changes))


def run(workspace, bundle, commit, **changes):
    return evaluate(workspace, LOCAL_CALL, request_for(bundle, commit, **changes))


def events_of(workspace):
    with workspace.db.read() as tx:
        return [one for one in history(tx) if one.kind == "bundle.evaluated"]


def test_an_evaluation_says_what_was_found_where(workspace, commit, package):
    evaluation = run(workspace, package(), commit)
    strata = evaluation.summary.strata
    assert (evaluation.n_images, list(strata)) == (60, ["", "line=pale", "line=plain"])
    assert strata["line=plain"].ap50 == pytest.approx(1)
    assert strata["line=pale"].ap50 < 0.9
    assert strata["line=plain"].mean_loss == 0 < strata["line=pale"].mean_loss
    assert set(evaluation.summary.ap50_by_class) == {"scratch", "dent"}
    assert evaluation.runtime.startswith("onnxruntime ")
    assert evaluation.runtime.endswith(" cpu, threads 1")


def test_a_better_bundle_is_found_better_on_the_same_images(workspace, commit, package):
    first = read_answers(workspace, run(workspace, package(), commit))
    second = read_answers(workspace, run(workspace, package(level=SENSITIVE_LEVEL), commit))
    gain = paired_gain(first, second, n_replicates=200, seed=0)
    assert gain.low > 0
    verdict = judge(
        GateRules(better_on=["line=pale"], protected={"line=plain": 0.01}, min_parity=None,
                  max_latency_ratio=None),
        candidate=Judged("parts@2", second),
        champion=Judged("parts@1", first),
        parity=None,
        latency=None,
    )  # fmt: skip
    assert verdict.outcome == "pass"


def test_only_the_splits_asked_for_are_evaluated(workspace, commit, package):
    rule = read_commit(workspace, commit).split_rule
    held_out = [
        sample.id
        for sample in read_samples(workspace, commit)
        if split_of(sample, rule) in ("val", "test")
    ]
    evaluation = run(workspace, package(), commit, splits=["val", "test"])
    assert [one.sample for one in read_answers(workspace, evaluation)] == held_out


def test_asking_again_finds_the_evaluation_and_measures_nothing(workspace, commit, package):
    bundle = package()
    first = run(workspace, bundle, commit)
    told = []
    again = evaluate(
        workspace,
        Call(LOCAL_CALL.actor, lambda *facts: told.append(facts)),
        request_for(bundle, commit, splits=["test", "val", "train", "val"]),
    )
    assert again == first
    assert told == []
    assert len(events_of(workspace)) == 1


def test_other_splits_threads_or_bundles_are_other_evaluations(workspace, commit, package):
    bundle = package()
    ids = {
        run(workspace, bundle, commit).id,
        run(workspace, bundle, commit, splits=["train"]).id,
        run(workspace, bundle, commit, threads=2).id,
        run(workspace, package(level=SENSITIVE_LEVEL), commit).id,
    }
    assert len(ids) == 4


def test_the_event_names_evaluation_bundle_and_commit(workspace, commit, package):
    bundle = package()
    evaluation = run(workspace, bundle, commit)
    [event] = events_of(workspace)
    assert (event.subject, event.actor) == (evaluation.id, "local")
    assert event.data == {"evaluation": evaluation.id, "bundle": bundle, "commit": commit}


def test_a_second_record_of_the_same_id_changes_nothing(workspace, commit, package):
    evaluation = run(workspace, package(), commit)
    other = msgspec.structs.replace(evaluation, n_images=1)
    with workspace.db.write() as tx:
        assert not store.record_evaluation(tx, other)
        assert store.find_evaluation(tx, evaluation.id) == evaluation


def test_evaluations_are_listed_newest_first_by_bundle_and_commit(
    workspace, clock, commit, package
):
    old = run(workspace, package(), commit)
    clock.advance(5)
    new = run(workspace, package(level=SENSITIVE_LEVEL), commit)

    def ids(**wanted):
        found = list_evaluations(workspace, LOCAL_CALL, ListEvaluations(**wanted))
        return [one.id for one in found]

    assert ids() == ids(commit=commit) == [new.id, old.id]
    assert ids(bundle=old.bundle) == [old.id]
    assert ids(commit=digest_of(b"another")) == []


def test_an_evaluation_is_shown_by_id(workspace, commit, package):
    evaluation = run(workspace, package(), commit)
    assert show_evaluation(workspace, LOCAL_CALL, evaluation.id) == evaluation
    with pytest.raises(NotFound, match="no evaluation 'evaluation_x'"):
        show_evaluation(workspace, LOCAL_CALL, "evaluation_x")


def test_splits_without_a_labelled_image_are_refused(workspace, commit_unlabelled, package):
    with pytest.raises(NothingToEvaluate, match="train, val, test") as caught:
        run(workspace, package(), commit_unlabelled)
    assert caught.value.code == "EVAL-001"
    assert events_of(workspace) == []


def test_a_viewer_may_look_but_not_evaluate(workspace, commit, package):
    viewer = Call(Actor(ActorId("anna"), "person", Role.VIEWER))
    with pytest.raises(NotAllowed, match="may not evaluate"):
        evaluate(workspace, viewer, request_for(package(), commit))
    assert list_evaluations(workspace, viewer, ListEvaluations()) == []


def test_a_bundle_that_is_not_here_is_named(workspace, commit):
    with pytest.raises(BlobMissing, match=digest_of(b"gone")):
        run(workspace, digest_of(b"gone"), commit)


def test_a_bundle_whose_file_does_not_fit_is_refused(workspace, package):
    bundle = read_bundle(workspace, package())
    other = msgspec.structs.replace(bundle, class_names=["dent", "scratch"])
    with pytest.raises(ModelMismatch):
        open_bundle(workspace, other, threads=1)


def test_a_crash_before_any_write_leaves_nothing_and_a_retry_works(workspace, commit, package):
    bundle = package()
    for n_writes in range(2):  # the answers' blob, then the record
        with pytest.raises(SimulatedCrash):
            run(crashing(workspace, CrashPlan(before_write=n_writes)), bundle, commit)
        assert list_evaluations(workspace, LOCAL_CALL, ListEvaluations()) == []
    assert run(workspace, bundle, commit).n_images == 60


def step_for(workspace, bundle, commit):
    inputs = msgspec.to_builtins(request_for(bundle, commit))
    spec = StepSpec(name="evaluate", version=1, inputs=inputs, lane=Lane.HEAVY)
    with workspace.db.write() as tx:
        return ask_for(tx, spec, now_ms=workspace.clock.now_ms())


def test_the_step_records_the_evaluation_and_remembers_its_id(workspace, commit, package):
    step = step_for(workspace, package(), commit)
    worker = StepWorker(
        workspace,
        {"evaluate": evaluate_step},
        owner="w",
        lane=Lane.HEAVY,
        stopping=threading.Event(),
    )
    worker.run_next()
    with workspace.db.read() as tx:
        done = get(tx, step.key)
    assert done.state is StepState.DONE
    [evaluation] = list_evaluations(workspace, LOCAL_CALL, ListEvaluations())
    assert done.output == {"evaluation": evaluation.id}
    assert [one.actor for one in events_of(workspace)] == ["step:evaluate"]


def test_a_step_that_finds_its_evaluation_tells_of_it_only_once(workspace, commit, package):
    bundle = package()
    evaluation = run(workspace, bundle, commit)
    step = step_for(workspace, bundle, commit)
    outcome = evaluate_step(workspace, step, StepControl(threading.Event()))
    with workspace.db.write() as tx:
        outcome.record(tx)
    assert outcome.output == {"evaluation": evaluation.id}
    assert len(events_of(workspace)) == 1


def test_a_step_that_is_told_to_stop_stops_and_leaves_no_record(workspace, commit, package):
    step = step_for(workspace, package(), commit)
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Interrupted, match=step.key):
        evaluate_step(workspace, step, StepControl(stopping))
    assert list_evaluations(workspace, LOCAL_CALL, ListEvaluations()) == []
