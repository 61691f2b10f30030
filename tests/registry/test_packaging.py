import math

import msgspec
import pytest

from sightloop.contracts.bundle import GOLDEN_SCORE_TOLERANCE, Bundle, bundle_digest
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import split_of
from sightloop.evaluation.services import open_bundle, read_bundle
from sightloop.inference.detector import reported
from sightloop.inference.images import decode_picture
from sightloop.inference.measures import MEASURES
from sightloop.inference.novelty import NOVELTY
from sightloop.kernel import steps
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.worker import Interrupted, StepControl
from sightloop.kernel.workspace import Call
from sightloop.registry import store
from sightloop.registry.errors import BadModelName, ClassesDiffer, NothingUnseen, RunNotPackable
from sightloop.registry.origins import PackageRun
from sightloop.registry.packaging import MODEL_PACKAGED, package_run, package_step
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking.errors import RunUnknown


def package(workspace, run, model="pcb"):
    return package_run(workspace, LOCAL_CALL, PackageRun(model=model, run=run))


def manifest_of(workspace, version) -> Bundle:
    return read_bundle(workspace, version.bundle)


def test_a_finished_run_becomes_version_one(workspace, train, dataset):
    version = package(workspace, train())
    assert (version.name, version.run, version.dataset_commit) == ("pcb@1", "run_1", dataset)
    assert version.signed_at_ms is None


def test_the_version_is_the_digest_of_its_manifest(workspace, train):
    version = package(workspace, train())
    manifest = manifest_of(workspace, version)
    assert bundle_digest(manifest) == version.bundle
    assert (manifest.model, manifest.run) == ("pcb", "run_1")


def test_packaging_a_run_again_finds_its_version(workspace, train):
    run = train()
    first = package(workspace, run)
    assert package(workspace, run) == first
    with workspace.db.read() as tx:
        assert [version.number for version in store.versions_of(tx, "pcb")] == [1]


def test_numbers_count_per_model(workspace, train):
    first, second = train("run_1"), train("run_2")
    assert package(workspace, first).name == "pcb@1"
    assert package(workspace, second).name == "pcb@2"
    assert package(workspace, second, "shelf").name == "shelf@1"


def test_every_file_of_the_manifest_is_in_the_store_with_its_size(workspace, train):
    manifest = manifest_of(workspace, package(workspace, train()))
    assert manifest.file("model.onnx").digest
    for file in manifest.files:
        assert workspace.blobs.size_bytes(file.digest) == file.size_bytes


def test_golden_images_show_what_the_released_file_reports(workspace, train):
    manifest = manifest_of(workspace, package(workspace, train()))
    detector = open_bundle(workspace, manifest, threads=1)
    assert len(manifest.golden) == 8
    for golden in manifest.golden:
        content = workspace.blobs.read(manifest.file(golden.file).digest)
        found = detector.detect(decode_picture(content, name=golden.file))
        assert reported(found, manifest.thresholds) == golden.detections
        assert golden.detections
        margin = [abs(one.score - manifest.thresholds.score) for one in found]
        assert min(margin) >= GOLDEN_SCORE_TOLERANCE


def test_golden_images_were_not_trained_on(workspace, train, dataset):
    manifest = manifest_of(workspace, package(workspace, train()))
    rule = read_commit(workspace, dataset).split_rule
    trained_on = {
        one.image for one in read_samples(workspace, dataset) if split_of(one, rule) == "train"
    }
    golden = {manifest.file(one.file).digest for one in manifest.golden}
    assert trained_on
    assert not golden & trained_on


def test_the_reference_counts_every_unseen_image_once_per_measure_and_stratum(
    workspace, train, dataset
):
    manifest = manifest_of(workspace, package(workspace, train()))
    rule = read_commit(workspace, dataset).split_rule
    unseen = [one for one in read_samples(workspace, dataset) if split_of(one, rule) != "train"]
    of_a = [one for one in unseen if one.slices["line"] == "A"]
    assert [measure.name for measure in manifest.reference.measures] == [*MEASURES, NOVELTY]
    for measure in manifest.reference.measures:
        totals = {stratum: sum(counts) for stratum, counts in measure.counts.items()}
        assert totals == {"": len(unseen), "line=A": len(of_a), "line=B": len(unseen) - len(of_a)}
        assert all(len(counts) == len(measure.edges) + 1 for counts in measure.counts.values())


def test_the_reference_loss_of_the_strata_makes_up_that_of_all(workspace, train):
    losses = manifest_of(workspace, package(workspace, train())).reference.losses
    parts = [losses["line=A"], losses["line=B"]]
    assert losses[""].n_images == sum(part.n_images for part in parts)
    weighted = sum(part.n_images * part.mean for part in parts)
    assert math.isclose(losses[""].mean * losses[""].n_images, weighted)


def test_a_run_that_did_not_finish_is_refused(workspace, train):
    with pytest.raises(RunNotPackable, match="it is failed") as caught:
        package(workspace, train(state="failed"))
    assert caught.value.code == "REG-010"


def test_a_run_without_an_exported_file_is_refused(workspace, train):
    with pytest.raises(RunNotPackable, match=r"no artifact model\.onnx"):
        package(workspace, train(artifacts=("parity.json",)))


def test_a_file_with_other_classes_than_its_data_is_refused(workspace, train):
    run = train(classes=("dent", "scratch"))
    with pytest.raises(ClassesDiffer, match="'dent', 'scratch'") as caught:
        package(workspace, run)
    assert caught.value.code == "REG-012"


def test_a_data_set_that_held_nothing_back_is_refused(workspace, train, all_training):
    run = train(commit=all_training, artifacts=("model.onnx",))
    with pytest.raises(NothingUnseen, match="val, audit") as caught:
        package(workspace, run)
    assert caught.value.code == "REG-011"


def test_an_unknown_run_and_an_impossible_name_are_told_apart(workspace):
    with pytest.raises(RunUnknown):
        package(workspace, "run_9")
    with pytest.raises(BadModelName, match="PCB") as caught:
        package(workspace, "run_9", "PCB")
    assert caught.value.code == "REG-001"


def test_packaging_is_told_in_one_event(workspace, train):
    run = train()
    version = package(workspace, run)
    package(workspace, run)
    with workspace.db.read() as tx:
        events = [event for event in history(tx) if event.kind == MODEL_PACKAGED]
    assert [event.subject for event in events] == ["pcb@1"]
    assert events[0].data["bundle"] == version.bundle


def test_a_crash_before_any_write_leaves_no_version_and_a_retry_makes_one(workspace, train):
    run = train()
    for before_write in range(2):
        with pytest.raises(SimulatedCrash):
            package(crashing(workspace, CrashPlan(before_write)), run)
        with workspace.db.read() as tx:
            assert store.versions_of(tx, "pcb") == []
    plan = CrashPlan()
    package(crashing(workspace, plan), run)
    assert plan.n_writes == 2


def asked(workspace, **inputs):
    with workspace.db.write() as tx:
        return steps.ask_for(tx, steps.StepSpec("package", 1, inputs), now_ms=0)


def test_the_step_gives_the_same_version_however_often_it_runs(workspace, train, control):
    step = asked(workspace, model="pcb", run=train())
    outcomes = [package_step(workspace, step, control) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].output["number"] == 1


def test_the_step_stops_when_its_worker_does(workspace, train, control: StepControl):
    step = asked(workspace, model="pcb", run=train())
    control.stopping.set()
    with pytest.raises(Interrupted):
        package_step(workspace, step, control)


def test_a_viewer_packages_nothing(workspace, train):
    viewer = Call(Actor(ActorId("vic"), "person", Role.VIEWER))
    with pytest.raises(NotAllowed, match="train"):
        package_run(workspace, viewer, PackageRun(model="pcb", run=train()))


def test_the_manifest_reads_back_as_it_was_written(workspace, train):
    version = package(workspace, train())
    content = workspace.blobs.read(version.bundle)
    assert msgspec.json.encode(manifest_of(workspace, version), order="sorted") == content
