"""Making a version out of a finished run: the exported file, measured where it never learned.

Everything in the manifest comes from running the exported file itself on this host, never from the
checkpoint: threshold, reference and the answers of the golden images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from sightloop.contracts.bundle import Bundle, BundleFile, GoldenImage, Thresholds
from sightloop.contracts.decode import encode
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import split_of
from sightloop.datasets.values import Sample, Split, strata_of
from sightloop.evaluation.answers import evaluate_images
from sightloop.evaluation.values import ImageAnswer
from sightloop.inference.descriptor import descriptor
from sightloop.inference.detector import FLOOR, Detector, open_model
from sightloop.inference.images import decode_picture
from sightloop.inference.novelty import choose_looks
from sightloop.inference.seen import golden_image
from sightloop.kernel.actors import Permission, require, step_actor
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.progress import Progress
from sightloop.kernel.steps import Outcome, Step
from sightloop.kernel.worker import Interrupted, StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.errors import ClassesDiffer, NothingUnseen, RunNotPackable
from sightloop.registry.golden import choose_golden
from sightloop.registry.reference import build_reference
from sightloop.registry.threshold import choose_threshold
from sightloop.registry.unseen import measure_unseen
from sightloop.registry.values import ModelVersion, parse_model
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.values import Run

MODEL_PACKAGED = EventKind("model.packaged")

MODEL_FILE = "model.onnx"
UNSEEN: tuple[Split, ...] = ("val", "test", "audit")
"""Training never learned from these; the reference is taken over all of them."""
CHOOSES_THRESHOLD: tuple[Split, ...] = ("val", "audit")
"""The test split stays out of every choice."""


class PackageRun(msgspec.Struct, frozen=True, kw_only=True):
    """Make the run's exported file a version of the model."""

    model: str
    run: str


class _Origin(NamedTuple):
    """What a version is made from."""

    run: Run
    model_file: Digest
    commit: CommitRecord
    unseen: list[Sample]
    learned: list[Sample]


def package_run(workspace: Workspace, call: Call, request: PackageRun) -> ModelVersion:
    """The version that this run is; packaging it again finds the one that is there.

    Takes about twice as long as evaluating the images that were not learned from.

    Raises:
        BadModelName: the model cannot be called that.
        RunUnknown: there is no such run.
        RunNotPackable: it did not finish, or left no exported file.
        ForeignModel: its file is no model of a known task.
        ClassesDiffer: its file has other classes than its dataset commit.
        NothingUnseen: no labelled image was held back from training.
    """
    require(call.actor, Permission.TRAIN)
    model = parse_model(request.model)
    with workspace.db.read() as tx:
        known = store.version_of_run(tx, model=model, run=request.run)
    if known is not None:
        return known
    origin = _origin_of(workspace, request.run)
    manifest = _build_manifest(workspace, model, origin, call.progress)
    with workspace.blobs.batch() as batch:
        bundle = batch.put(encode(manifest))
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        known = store.version_of_run(tx, model=model, run=request.run)
        if known is not None:
            return known
        version = store.add_version(
            tx,
            model=model,
            bundle=bundle,
            files=manifest.files,
            run=origin.run.id,
            dataset_commit=origin.run.training.dataset_commit,
            now_ms=now_ms,
        )
        data = {
            "model": model,
            "number": version.number,
            "bundle": bundle,
            "run": version.run,
            "dataset_commit": version.dataset_commit,
        }
        tell(tx, MODEL_PACKAGED, version.name, by=call.actor, at_ms=now_ms, data=data)
    return version


def package_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Step handler of `package_run`; inputs are the request's fields.

    Raises:
        Interrupted: the worker was told to stop.
    """

    def watch(what: str, done: int, total: int) -> None:
        if control.should_stop:
            raise Interrupted(key=step.key)
        control.progress(what, done, total)

    # A run becomes one version however often it is packaged, so the step needs no other record.
    request = msgspec.convert(step.inputs, PackageRun)
    version = package_run(workspace, Call(step_actor(step.name), watch), request)
    return Outcome({"model": version.model, "number": version.number, "bundle": version.bundle})


def _origin_of(workspace: Workspace, run_id: str) -> _Origin:
    with workspace.db.read() as tx:
        run = tracking.find_run(tx, run_id)
        artifacts = artifacts_of(tx, run_id)
    if run.state != "finished":
        raise RunNotPackable(run=run_id, why=f"it is {run.state}")
    if MODEL_FILE not in artifacts:
        raise RunNotPackable(run=run_id, why=f"it left no artifact {MODEL_FILE}")
    commit = read_commit(workspace, run.training.dataset_commit)
    by_split: dict[Split | None, list[Sample]] = {}
    for sample in read_samples(workspace, run.training.dataset_commit):
        by_split.setdefault(split_of(sample, commit.split_rule), []).append(sample)
    return _Origin(
        run=run,
        model_file=artifacts[MODEL_FILE],
        commit=commit,
        unseen=[sample for split in UNSEEN for sample in by_split.get(split, [])],
        learned=by_split.get("train", []),
    )


def _build_manifest(
    workspace: Workspace, model: str, origin: _Origin, progress: Progress
) -> Bundle:
    run, taxonomy = origin.run, origin.commit.taxonomy
    model_file = workspace.blobs.local_path(origin.model_file)
    detector = open_model(model_file, thresholds=Thresholds(score=FLOOR), threads=1)
    facts = detector.facts
    if facts.class_names != taxonomy.class_names:
        raise ClassesDiffer(run=run.id, in_file=facts.class_names, in_commit=taxonomy.class_names)
    answers = evaluate_images(
        origin.unseen,
        detector,
        class_ids=taxonomy.class_ids,
        taxonomy=taxonomy,
        read_image=workspace.blobs.read,
        clock=workspace.clock,
        progress=progress,
    )
    thresholds = Thresholds(score=_threshold_of(origin, answers))
    images = measure_unseen(
        origin.unseen,
        detector,
        answers=answers,
        thresholds=thresholds,
        read_image=workspace.blobs.read,
        progress=progress,
    )
    golden = choose_golden(images, thresholds=thresholds)
    return Bundle(
        model=model,
        task=facts.task,
        class_ids=[*taxonomy.class_ids],
        class_names=facts.class_names,
        input=facts.input,
        head=facts.head,
        keypoint_shape=facts.keypoint_shape,
        thresholds=thresholds,
        model_file=MODEL_FILE,
        files=[
            _file(workspace, MODEL_FILE, origin.model_file),
            *(_file(workspace, _golden_name(one.sample), one.sample.image) for one in golden),
        ],
        golden=[_golden_image(workspace, one.sample, detector, thresholds) for one in golden],
        reference=build_reference(images, looks=_looks(workspace, origin, progress)),
        declared_licence=facts.declared_licence or run.outputs.get("declared_licence", ""),
        engine=f"{run.training.engine} {facts.engine_version or run.training.engine_version}",
        dataset_commit=run.training.dataset_commit,
        run=run.id,
        created_at_ms=workspace.clock.now_ms(),
    )


def _golden_image(
    workspace: Workspace, sample: Sample, detector: Detector, thresholds: Thresholds
) -> GoldenImage:
    """What the file itself finds in the image, shapes included, as a device must find it."""
    picture = decode_picture(workspace.blobs.read(sample.image), name=sample.file_name)
    seen = detector.look(picture, shapes_from=thresholds.score)
    return golden_image(_golden_name(sample), seen, thresholds)


def _looks(
    workspace: Workspace, origin: _Origin, progress: Progress
) -> dict[str, list[list[float]]]:
    """By stratum, how the images looked that the model learned from."""
    found: dict[str, list[list[float]]] = {}
    for n_done, sample in enumerate(origin.learned):
        progress("describe images", n_done, len(origin.learned))
        picture = decode_picture(workspace.blobs.read(sample.image), name=sample.file_name)
        vector = descriptor(picture)
        for stratum in strata_of(sample.slices):
            found.setdefault(stratum, []).append(vector)
    return {stratum: choose_looks(vectors) for stratum, vectors in sorted(found.items())}


def _threshold_of(origin: _Origin, answers: Sequence[ImageAnswer]) -> float:
    rule = origin.commit.split_rule
    chooses = {one.id for one in origin.unseen if split_of(one, rule) in CHOOSES_THRESHOLD}
    chosen_on = [answer for answer in answers if answer.sample in chooses]
    if not chosen_on:
        raise NothingUnseen(
            run=origin.run.id,
            commit=origin.run.training.dataset_commit,
            splits=list(CHOOSES_THRESHOLD),
        )
    return choose_threshold(chosen_on)


def _file(workspace: Workspace, name: str, digest: Digest) -> BundleFile:
    return BundleFile(name, digest, workspace.blobs.size_bytes(digest))


def _golden_name(sample: Sample) -> str:
    return f"golden/{sample.id}.{sample.media_type.partition('/')[2]}"
