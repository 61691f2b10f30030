"""A small data set of coloured blobs, and finished runs of the toy detector on it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sightloop.contracts.bundle import BundleFile
from sightloop.contracts.decode import encode
from sightloop.contracts.job import Parity, ParityAnswer
from sightloop.datasets import store as _datasets  # noqa: F401 - its tables
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.taxonomy import class_id_of
from sightloop.datasets.values import LabelledObject, Sample, imported_annotations, sample_id
from sightloop.evaluation import store as _evaluations  # noqa: F401 - its tables
from sightloop.evaluation.gate import RuleOutcome, RuleVerdict, Verdict
from sightloop.inference.images import decode_picture
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Workspace
from sightloop.registry import store
from sightloop.registry.origins import PackageRun
from sightloop.registry.packaging import package_run
from sightloop.registry.values import ModelName, ModelVersion, VerdictId, VerdictRecord
from sightloop.testing.blob_training import BlobWeights, answer
from sightloop.testing.models import DEFAULT_LEVEL, draw_blob_image, write_blob_model
from sightloop.testing.rounding import add_convolution
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import record_artifact
from sightloop.tracking.values import CodeState, RunId, RunInputs

CLASSES = ("scratch", "dent")
SIZE_PX = 64
RULE = SplitRule(train=0.2, val=0.4, test=0.4)


def draw_samples(workspace: Workspace, n_images: int, *, seed: int = 0) -> list[Sample]:
    """Labelled pictures in the blob store, half of them of line A and half of line B."""
    rng = np.random.default_rng(seed)
    samples = []
    with workspace.blobs.batch() as batch:
        for index in range(n_images):
            drawn = draw_blob_image(rng, n_classes=len(CLASSES), size_px=SIZE_PX)
            image = batch.put(drawn.content)
            name = sample_id(image, None)
            objects = [
                LabelledObject(
                    class_id_of(CLASSES[box.class_index]), BoxPx(box.x1, box.y1, box.x2, box.y2), {}
                )
                for box in drawn.boxes
            ]
            samples.append(
                Sample(
                    id=name,
                    image=image,
                    width_px=SIZE_PX,
                    height_px=SIZE_PX,
                    media_type="image/jpeg",
                    file_name=f"{index}.jpg",
                    split_key=f"board {index}",
                    slices={"line": "AB"[index % 2]},
                    labelled_for=[class_id_of(one) for one in CLASSES],
                    annotations=imported_annotations(name, objects),
                )
            )
    return samples


def commit(workspace: Workspace, samples: list[Sample], *, branch: str = "main") -> Digest:
    request = CommitSamples(
        branch=branch, message="blobs", upserts=samples, new_classes=[*CLASSES], split_rule=RULE
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


@pytest.fixture
def dataset(workspace: Workspace) -> Digest:
    """Forty pictures, of which some sixteen are in `val` and some sixteen in `test`."""
    return commit(workspace, draw_samples(workspace, 40))


Train = Callable[..., str]


@pytest.fixture
def train(workspace: Workspace, tmp_path: Path, dataset: Digest) -> Train:
    """Records a run of the toy engine and what it left; returns the run's id."""

    def make(
        run: str = "run_1",
        *,
        level: float = DEFAULT_LEVEL,
        state: str = "finished",
        classes: tuple[str, ...] = CLASSES,
        commit: Digest = dataset,
        artifacts: tuple[str, ...] = ("model.onnx", "parity.json"),
        parity_name: str = "images/{}",
        loudness: float | None = None,
    ) -> str:
        model_file = tmp_path / f"{run}.onnx"
        write_blob_model(model_file, classes=classes, size_px=SIZE_PX, threshold_level=level)
        if loudness is not None:
            add_convolution(model_file, loudness=loudness)
        contents = {"model.onnx": model_file.read_bytes(), "parity.json": b""}
        if "parity.json" in artifacts:
            contents["parity.json"] = encode(
                _parity(workspace, commit, level=level, name=parity_name)
            )
        with workspace.blobs.batch() as batch:
            digests = {name: batch.put(contents[name]) for name in artifacts}
        with workspace.db.write() as tx:
            tracking.start_run(
                tx, RunId(run), experiment="pcb", name=run, inputs=_inputs(commit), now_ms=1
            )
            for name in artifacts:
                size_bytes = len(contents[name])
                record_artifact(tx, run, name, digest=digests[name], size_bytes=size_bytes)
            if state != "running":
                tracking.finish_run(tx, run, state=state, outputs={}, exit_reason="done", now_ms=2)
        return run

    return make


@pytest.fixture
def version(workspace: Workspace, train: Train) -> Callable[..., ModelVersion]:
    """The next packaged version of `pcb`; a higher level makes a worse model."""

    def make(level: float = DEFAULT_LEVEL, *, loudness: float | None = None) -> ModelVersion:
        run = train(f"run_{level}", level=level, loudness=loudness)
        return package_run(workspace, LOCAL_CALL, PackageRun(model="pcb", run=run))

    return make


def _parity(workspace: Workspace, commit: Digest, *, level: float, name: str) -> Parity:
    """The answers the toy's weights give themselves, on three images of the validation split."""
    weights = BlobWeights(classes=[*CLASSES], size_px=SIZE_PX, head="end_to_end", level=level)
    rule = read_commit(workspace, commit).split_rule
    samples = [one for one in read_samples(workspace, commit) if split_of(one, rule) == "val"]
    answers = [
        ParityAnswer(
            name.format(one.id) + ".jpg",
            answer(
                decode_picture(workspace.blobs.read(one.image), name="x"), weights, score_floor=0.25
            ),
        )
        for one in samples[:3]
    ]
    return Parity(score_floor=0.25, answers=answers)


def _inputs(commit: Digest) -> RunInputs:
    return RunInputs(
        dataset_commit=commit,
        code=CodeState(commit="c0de", patch=None, dirty=False),
        parameters={"epochs": "1"},
        engine="toy",
        engine_version="1.0",
        environment=digest_of(b"environment"),
        seed=0,
        threads=1,
        hardware="a test machine",
    )


@pytest.fixture
def all_training(workspace: Workspace) -> Digest:
    """A commit that held nothing back."""
    request = CommitSamples(
        branch="greedy",
        message="",
        upserts=draw_samples(workspace, 4, seed=1),
        new_classes=[*CLASSES],
        split_rule=SplitRule(train=1.0, val=0.0, test=0.0),
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


@pytest.fixture
def control() -> StepControl:
    return StepControl(threading.Event())


@pytest.fixture
def packaged(workspace: Workspace) -> Callable[[str], ModelVersion]:
    """Packages a run as a version of `pcb`."""
    return lambda run: package_run(workspace, LOCAL_CALL, PackageRun(model="pcb", run=run))


@pytest.fixture
def timed_workspace(workspace: Workspace) -> Workspace:
    """The same workspace, by the machine's own clock."""
    return dataclasses.replace(workspace, clock=SystemClock())


@pytest.fixture
def made_up(workspace: Workspace) -> Callable[[], ModelVersion]:
    """Records the next version of `pcb` with a manifest that nobody reads."""

    def make() -> ModelVersion:
        with workspace.db.read() as tx:
            number = len(store.versions_of(tx, "pcb")) + 1
        manifest = workspace.blobs.put(f"manifest {number}".encode())
        with workspace.db.write() as tx:
            return store.add_version(
                tx,
                model=ModelName("pcb"),
                bundle=manifest,
                files=[BundleFile("model.onnx", digest_of(b"weights"), 7)],
                run=f"run_{number}",
                dataset_commit=digest_of(b"commit"),
                now_ms=workspace.clock.now_ms(),
            )

    return make


@pytest.fixture
def judged(workspace: Workspace) -> Callable[[ModelVersion, RuleOutcome], None]:
    """Gives a version another verdict, of one rule."""

    def make(version: ModelVersion, outcome: RuleOutcome) -> None:
        rule = RuleVerdict(
            rule="overall", outcome=outcome, reason="0.7 is below 0.8", value=0.7, bound=0.8
        )
        record = VerdictRecord(
            id=VerdictId(workspace.ids.new("verdict")),
            model=version.model,
            number=version.number,
            champion=None,
            verdict=Verdict(outcome=outcome, rules=[rule]),
            evaluation="evaluation_1",
            champion_evaluation=None,
            decided_at_ms=workspace.clock.now_ms(),
        )
        with workspace.db.write() as tx:
            store.add_verdict(tx, record)

    return make
