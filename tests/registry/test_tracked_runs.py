"""Runs that somebody's own program tracked, as candidate versions; the engine is a real process."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sightloop.datasets.splits import SplitRule
from sightloop.evaluation.gate import GateRules
from sightloop.evaluation.services import EvaluateBundle, evaluate, open_bundle, read_bundle
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.loop.evidence import ShowEvidence, show_evidence
from sightloop.loop.lineage import ShowLineage, show_lineage
from sightloop.registry import store
from sightloop.registry.catalogue import ShowVersion, show_card, show_version
from sightloop.registry.errors import ClassesDiffer, NoDatasetCommit, RunLacks, TrainingKnows
from sightloop.registry.gating import GateVersion, gate_version
from sightloop.registry.origins import COMMIT_TAG, PackageRun
from sightloop.registry.packaging import package_run
from sightloop.registry.values import ModelVersion, parity_artifact
from sightloop.testing.blob_commits import CLASSES, commit_blobs
from sightloop.testing.blob_training import BlobWeights
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of, record_artifact
from sightloop.tracking.labels import add_params, set_tags
from sightloop.tracking.values import RunId
from sightloop.training.errors import JobFailed

pytestmark = pytest.mark.processes

TINY = TrainingConfig(
    threads=1, commands={"tiny": [sys.executable, "-m", "sightloop.testing.tiny_engine"]}
)
RULE = SplitRule(train=0.2, val=0.4, test=0.4)
WEIGHTS = msgspec.json.encode(BlobWeights(classes=[*CLASSES], size_px=64, head="raw"))
EASY = GateRules(max_latency_ratio=None, min_images=5, min_objects=5)
Track = Callable[..., str]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    config = Config(training=TINY)
    opened = fresh_workspace(tmp_path / "work", config=config, clock=SystemClock())
    yield opened
    opened.db.close()


@pytest.fixture
def dataset(workspace: Workspace) -> Digest:
    return commit_blobs(workspace, n_images=30, split_rule=RULE)


@pytest.fixture
def track(workspace: Workspace) -> Track:
    """Records a finished run as a client tracked it: parameters, tags and files."""

    def make(
        run: str = "run_1",
        *,
        files: dict[str, bytes] | None = None,
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> str:
        files = {"weights/best.pt": WEIGHTS} if files is None else files
        with workspace.blobs.batch() as batch:
            digests = {name: batch.put(content) for name, content in files.items()}
        with workspace.db.write() as tx:
            tracking.start_run(tx, RunId(run), experiment="parts", name="v1", inputs=None, now_ms=1)
            add_params(tx, run, {"imgsz": "64"} if params is None else params)
            set_tags(tx, run, tags or {})
            for name, digest in digests.items():
                record_artifact(tx, run, name, digest=digest, size_bytes=len(files[name]))
            tracking.finish_run(tx, run, state="finished", outputs={}, exit_reason="done", now_ms=2)
        return run

    return make


def package(workspace: Workspace, run: str, **more: object) -> ModelVersion:
    request = msgspec.convert({"run": run, "engine": "tiny", **more}, PackageRun)
    return package_run(workspace, LOCAL_CALL, request)


def gate(workspace: Workspace, version: ModelVersion, commit: Digest):
    request = GateVersion(
        model=version.model, number=version.number, commit=commit, rules=EASY, champion=None
    )
    return gate_version(workspace, LOCAL_CALL, request)


def test_a_tracked_run_becomes_a_candidate_named_after_its_experiment(workspace, track):
    version = package(workspace, track())
    manifest = read_bundle(workspace, version.bundle)
    assert (version.name, version.run, version.dataset_commit) == ("parts@1", "run_1", None)
    assert (manifest.class_names, manifest.class_ids) == ([*CLASSES], [*CLASSES])
    assert (manifest.input.width_px, manifest.head) == (64, "raw")
    assert manifest.golden == []
    assert open_bundle(workspace, manifest, threads=1)


def test_its_card_says_what_nobody_recorded(workspace, track):
    package(workspace, track())
    card = show_version(workspace, LOCAL_CALL, ShowVersion(version="parts@1"))
    assert card.origin.dataset_commit is None
    assert card.origin.parameters == {"imgsz": "64"}
    text = show_card(workspace, LOCAL_CALL, ShowVersion(version="parts@1")).markdown
    assert "- not known: what it learned from" in text
    assert "- not known: which code trained it" in text


def test_what_a_run_says_of_itself_is_not_called_unknown(workspace, track):
    tags = {"mlflow.source.git.commit": "c0de", "sightloop.hardware": "a machine"}
    package(workspace, track(tags=tags, params={"imgsz": "64", "seed": "7"}))
    origin = show_version(workspace, LOCAL_CALL, ShowVersion(version="parts@1")).origin
    assert (origin.code_commit, origin.hardware, origin.seed) == ("c0de", "a machine", 7)
    assert not any("code" in one or "machine" in one for one in origin.unknown)


def test_without_its_dataset_commit_no_gate_judges_it_and_the_error_says_what_to_do(
    workspace, track, dataset
):
    version = package(workspace, track())
    with pytest.raises(NoDatasetCommit, match="models package run_1 --data") as caught:
        gate(workspace, version, dataset)
    assert caught.value.code == "REG-014"


def test_it_can_be_evaluated_all_the_same(workspace, track, dataset):
    version = package(workspace, track())
    request = EvaluateBundle(bundle=version.bundle, commit=dataset, splits=["test"])
    assert evaluate(workspace, LOCAL_CALL, request).summary.ap50 is not None


def test_lineage_and_evidence_end_where_nobody_knows_more(workspace, track):
    package(workspace, track())
    lineage = show_lineage(workspace, LOCAL_CALL, ShowLineage(model="parts", number=1))
    assert (lineage.commit, lineage.n_samples) == (None, 0)
    assert show_evidence(workspace, LOCAL_CALL, ShowEvidence(version="parts@1")).commit is None


def test_with_its_dataset_commit_it_is_measured_and_passes_a_gate_like_a_training(
    workspace, track, dataset
):
    version = package(workspace, track(), data="main")
    assert version.dataset_commit == dataset
    manifest = read_bundle(workspace, version.bundle)
    assert manifest.golden
    assert manifest.reference.measures
    record = gate(workspace, version, dataset)
    outcomes = {rule.rule: rule.outcome for rule in record.verdict.rules}
    assert outcomes["parity"] == "pass"
    assert record.verdict.outcome == "pass"


def test_the_checkpoints_own_answers_are_kept_with_the_run(workspace, track, dataset):
    version = package(workspace, track(), data=dataset)
    with workspace.db.read() as tx:
        assert parity_artifact(version.bundle) in artifacts_of(tx, "run_1")


def test_a_run_says_by_a_tag_what_it_learned_from(workspace, track, dataset):
    version = package(workspace, track(tags={COMMIT_TAG: dataset}))
    assert version.dataset_commit == dataset


def test_packaged_again_with_its_commit_it_becomes_another_version(workspace, track, dataset):
    run = track()
    names = [package(workspace, run, data=data).name for data in ("", "", "main", "main")]
    assert names == ["parts@1", "parts@1", "parts@2", "parts@2"]


def test_its_size_is_read_from_the_settings_file_when_no_parameter_says_it(workspace, track):
    files = {"best.pt": WEIGHTS, "args.yaml": b"task: detect\nimgsz: 96\nnms: null\n"}
    version = package(workspace, track(files=files, params={}))
    assert read_bundle(workspace, version.bundle).input.width_px == 96


@pytest.mark.parametrize(
    "settings", [b"imgsz: [", b"\xff\xfe\x00", b"- 3", b"!!python/object:os {}"]
)
def test_a_settings_file_that_says_nothing_is_asked_for(workspace, track, settings):
    run = track(files={"best.pt": WEIGHTS, "args.yaml": settings}, params={})
    with pytest.raises(RunLacks, match="--image-size"):
        package(workspace, run)
    assert package(workspace, run, image_size_px=64).number == 1


def test_a_file_that_is_no_checkpoint_fails_with_the_engines_words(workspace, track):
    run = track(files={"weights/best.pt": b"not weights"})
    with pytest.raises(JobFailed, match="the checkpoint is none"):
        package(workspace, run)
    assert not list((workspace.state / "jobs").iterdir())


def test_a_commit_with_other_classes_is_refused(workspace, track):
    commit = commit_blobs(workspace, classes=["hole", "dent"], split_rule=RULE, branch="other")
    with pytest.raises(ClassesDiffer, match="hole"):
        package(workspace, track(), data=commit)


def test_what_a_training_recorded_is_not_said_again(workspace, train_tiny):
    with pytest.raises(TrainingKnows, match="data, engine") as caught:
        package(workspace, train_tiny, data="main")
    assert caught.value.code == "REG-015"


@pytest.fixture
def train_tiny(workspace: Workspace, dataset: Digest) -> str:
    from tests.server.console.plant import make_run

    return make_run(workspace, "run_trained", commit=dataset)


def test_a_crash_before_any_write_leaves_no_version_and_a_repeat_makes_one(
    workspace, track, dataset
):
    run = track()
    plan = CrashPlan()
    package(crashing(workspace, plan), run, data="main", model="counted")
    for before_write in range(plan.n_writes):
        with pytest.raises(SimulatedCrash):
            package(crashing(workspace, CrashPlan(before_write)), run, data="main", model="torn")
        with workspace.db.read() as tx:
            assert store.versions_of(tx, "torn") == []
            assert not [name for name in artifacts_of(tx, run) if "packaged" in name][1:]
    assert package(workspace, run, data="main", model="torn").name == "torn@1"
