"""What a version is made from: a run, its exported file, and the images it learned from or not.

A training of Sightloop recorded all of it. A run that somebody's own program tracked kept weights
and settings; its file is exported now, by the engine's own process, and what it learned from is
known only if somebody says so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import yaml

from sightloop.contracts.bundle import HeadLayout
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import split_of
from sightloop.datasets.values import Sample, Split
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry.errors import RunNotPackable, TrainingKnows
from sightloop.registry.tracked_recipes import SETTINGS_FILE, recipe_of
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.labels import params_of, tags_of
from sightloop.tracking.values import Run
from sightloop.training.exporting import ExportCheckpoint, export_checkpoint

MODEL_FILE = "model.onnx"
UNSEEN: tuple[Split, ...] = ("val", "test", "audit")
"""Training never learned from these; the reference is taken over all of them."""
COMMIT_TAG = "sightloop.dataset_commit"
"""With this tag a tracked run says which dataset commit it learned from."""
DEFAULT_ENGINE = "yolo26"
N_PARITY_IMAGES = 16
MAX_SETTINGS_BYTES = 1 << 20


class PackageRun(msgspec.Struct, frozen=True, kw_only=True):
    """Make the run's model a version; all but the run is asked only where a run does not say it."""

    run: str
    model: str = ""
    """Empty takes the name of the run's experiment."""
    data: str = ""
    """Branch, tag or commit that a tracked run learned from; empty takes its tag
    `sightloop.dataset_commit`, and without one the version says that nobody knows."""
    weights: str = ""
    """The artifact that is the checkpoint of a tracked run; empty finds `weights/best.pt`."""
    image_size_px: int | None = None
    """None takes it from the settings of a tracked run."""
    head: HeadLayout | None = None
    engine: str = ""
    """The engine that exports a tracked run's checkpoint; empty means `yolo26`."""


class Data(NamedTuple):
    """The dataset commit a model learned from, by what it saw of it."""

    digest: Digest
    commit: CommitRecord
    unseen: list[Sample]
    learned: list[Sample]


class Origin(NamedTuple):
    """What a version is made from."""

    run: Run
    model_file: Digest
    data: Data | None
    """None when nobody knows what it learned from."""
    engine: str
    engine_version: str
    declared_licence: str
    parity: Digest | None = None
    """What the checkpoint of a tracked run answers; a training has that as an artifact."""


def find_packable(tx: Tx, run_id: str) -> Run:
    """The run, which finished.

    Raises:
        RunUnknown: there is no such run.
        RunNotPackable: it did not finish.
    """
    run = tracking.find_run(tx, run_id)
    if run.state != "finished":
        raise RunNotPackable(run=run_id, why=f"it is {run.state}")
    return run


def commit_of(tx: Tx, run: Run, request: PackageRun) -> Digest | None:
    """What the run learned from: as recorded, as asked, or as its tag says; None if none does.

    Raises:
        TrainingKnows: of a training something else is said.
        NoSuchRef, AmbiguousRef: there is no such commit.
    """
    if run.inputs is not None:
        said = ("data", "weights", "image_size_px", "head", "engine")
        if given := [name for name in said if getattr(request, name)]:
            raise TrainingKnows(run=run.id, given=given)
        return run.inputs.dataset_commit
    named = request.data or tags_of(tx, run.id).get(COMMIT_TAG, "")
    return resolve_ref(tx, named) if named else None


def origin_of(
    workspace: Workspace, call: Call, run: Run, request: PackageRun, *, commit: Digest | None
) -> Origin:
    """All a version of the run is made from; exporting a tracked run's weights takes seconds.

    Raises:
        RunNotPackable: it left no exported file, or no checkpoint that can be exported.
        RunLacks: a tracked run does not say what is needed.
        EngineUnknown, JobFailed, JobCrashed, JobHung, TimeLimitReached, OutOfMemory,
            ProtocolBroken: the checkpoint could not be exported.
    """
    data = None if commit is None else read_data(workspace, commit)
    if run.inputs is None:
        return _of_tracked(workspace, call, run, request, data=data)
    with workspace.db.read() as tx:
        artifacts = artifacts_of(tx, run.id)
    if MODEL_FILE not in artifacts:
        raise RunNotPackable(run=run.id, why=f"it left no artifact {MODEL_FILE}")
    return Origin(
        run=run,
        model_file=artifacts[MODEL_FILE],
        data=data,
        engine=run.inputs.engine,
        engine_version=run.inputs.engine_version,
        declared_licence=run.outputs.get("declared_licence", ""),
    )


def read_data(workspace: Workspace, commit: Digest) -> Data:
    """The commit's samples, those that training learns from apart from those it never sees."""
    record = read_commit(workspace, commit)
    by_split: dict[Split | None, list[Sample]] = {}
    for sample in read_samples(workspace, commit):
        by_split.setdefault(split_of(sample, record.split_rule), []).append(sample)
    return Data(
        digest=commit,
        commit=record,
        unseen=[sample for split in UNSEEN for sample in by_split.get(split, [])],
        learned=by_split.get("train", []),
    )


def _of_tracked(
    workspace: Workspace, call: Call, run: Run, request: PackageRun, *, data: Data | None
) -> Origin:
    with workspace.db.read() as tx:
        artifacts, params = artifacts_of(tx, run.id), params_of(tx, run.id)
    recipe = recipe_of(
        run.id,
        list(artifacts),
        _settings_in(workspace, artifacts.get(SETTINGS_FILE)) | params,
        weights=request.weights,
        image_size_px=request.image_size_px,
        head=request.head,
    )
    engine = request.engine or DEFAULT_ENGINE
    exported = export_checkpoint(
        workspace,
        call,
        ExportCheckpoint(
            run=run.id,
            engine=engine,
            weights=artifacts[recipe.weights],
            image_size_px=recipe.image_size_px,
            parameters={"head": recipe.head},
            images={} if data is None else _parity_images(data),
        ),
    )
    return Origin(
        run=run,
        model_file=exported.model_file,
        data=data,
        engine=engine,
        engine_version="",
        declared_licence=exported.declared_licence,
        parity=exported.parity,
    )


def _settings_in(workspace: Workspace, settings_file: Digest | None) -> dict[str, str]:
    if settings_file is None or workspace.blobs.size_bytes(settings_file) > MAX_SETTINGS_BYTES:
        return {}
    try:
        found: Any = yaml.safe_load(workspace.blobs.read(settings_file))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}  # a user's file; what it fails to say is asked for
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value) for key, value in found.items() if value is not None}


def _parity_images(data: Data) -> dict[str, Digest]:
    rule = data.commit.split_rule
    seen_late = [one for one in data.unseen if split_of(one, rule) == "val"]
    named = {f"images/{one.id}.{one.media_type.partition('/')[2]}": one.image for one in seen_late}
    return dict(sorted(named.items())[:N_PARITY_IMAGES])
