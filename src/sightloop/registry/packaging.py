"""Making a version out of a finished run: the exported file, measured where it never learned.

Everything in the manifest comes from running the exported file itself on this host, never from the
checkpoint: threshold, reference and the answers of the golden images.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sightloop.contracts.bundle import Bundle, BundleFile, GoldenImage, Reference, Thresholds
from sightloop.contracts.decode import encode
from sightloop.datasets.splits import split_of
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.values import Sample, Split, Taxonomy, strata_of
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
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.errors import ClassesDiffer, NothingUnseen
from sightloop.registry.golden import choose_golden
from sightloop.registry.origins import (
    MODEL_FILE,
    Data,
    Origin,
    PackageRun,
    commit_of,
    find_packable,
    origin_of,
)
from sightloop.registry.reference import build_reference
from sightloop.registry.threshold import choose_threshold
from sightloop.registry.unseen import measure_unseen
from sightloop.registry.values import ModelVersion, parity_artifact, parse_model
from sightloop.tracking.artifacts import record_artifact

MODEL_PACKAGED = EventKind("model.packaged")

CHOOSES_THRESHOLD: tuple[Split, ...] = ("val", "audit")
"""The test split stays out of every choice."""
UNMEASURED_SCORE = 0.25
"""From which score a model reports of which nobody knows an unseen image; a usual one."""


def package_run(workspace: Workspace, call: Call, request: PackageRun) -> ModelVersion:
    """The version that this run is; packaging it again finds the one that is there.

    Takes about twice as long as evaluating the images that were not learned from. A tracked run
    can be packaged once more when its dataset commit is known: that makes another version.

    Raises:
        NotAllowed: the actor may not train.
        BadModelName: the model cannot be called that.
        RunUnknown: there is no such run.
        RunNotPackable: it did not finish, or left neither an exported file nor a checkpoint.
        RunLacks: a tracked run does not say what is needed, and neither does the request.
        TrainingKnows: of a training something is said that was recorded.
        NoSuchRef, AmbiguousRef: there is no such commit.
        EngineUnknown, JobFailed, JobCrashed, JobHung, TimeLimitReached, OutOfMemory,
            ProtocolBroken: the checkpoint of a tracked run could not be exported.
        ForeignModel: its file is no model of a known task.
        ClassesDiffer: its file has other classes than its dataset commit.
        NothingUnseen: no labelled image was held back from training.
    """
    require(call.actor, Permission.TRAIN)
    if request.model:
        parse_model(request.model)
    with workspace.db.read() as tx:
        run = find_packable(tx, request.run)
        model = parse_model(request.model or run.experiment)
        commit = commit_of(tx, run, request)
        known = store.version_of_run(tx, model=model, run=run.id, dataset_commit=commit)
    if known is not None:
        return known
    origin = origin_of(workspace, call, run, request, commit=commit)
    manifest = _build_manifest(workspace, model, origin, call.progress)
    with workspace.blobs.batch() as batch:
        bundle = batch.put(encode(manifest))
    return _record(workspace, call, origin, manifest, bundle=bundle)


def package_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Step handler of `package_run`; inputs are the request's fields.

    Raises:
        Interrupted: the worker was told to stop.
    """
    # A run becomes one version however often it is packaged, so the step needs no other record.
    request = msgspec.convert(step.inputs, PackageRun)
    version = package_run(
        workspace, Call(step_actor(step.name), control.progress_of(step)), request
    )
    return Outcome({"model": version.model, "number": version.number, "bundle": version.bundle})


def _record(
    workspace: Workspace, call: Call, origin: Origin, manifest: Bundle, *, bundle: Digest
) -> ModelVersion:
    """The version with this bundle, or the one that somebody else recorded meanwhile."""
    now_ms = workspace.clock.now_ms()
    model = parse_model(manifest.model)
    with workspace.db.write() as tx:
        known = store.version_of_run(
            tx, model=model, run=manifest.run, dataset_commit=manifest.dataset_commit
        )
        if known is not None:
            return known
        version = store.add_version(
            tx,
            model=model,
            bundle=bundle,
            files=manifest.files,
            run=manifest.run,
            dataset_commit=manifest.dataset_commit,
            now_ms=now_ms,
        )
        if origin.parity is not None:
            record_artifact(
                tx,
                manifest.run,
                parity_artifact(bundle),
                digest=origin.parity,
                size_bytes=workspace.blobs.size_bytes(origin.parity),
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


def _build_manifest(workspace: Workspace, model: str, origin: Origin, progress: Progress) -> Bundle:
    model_file = workspace.blobs.local_path(origin.model_file)
    detector = open_model(model_file, thresholds=Thresholds(score=FLOOR), threads=1)
    facts, run = detector.facts, origin.run
    plain = Bundle(
        model=model,
        task=facts.task,
        class_ids=[*with_classes(Taxonomy([]), map(FoundClass, facts.class_names)).class_ids],
        class_names=facts.class_names,
        input=facts.input,
        head=facts.head,
        keypoint_shape=facts.keypoint_shape,
        thresholds=Thresholds(score=UNMEASURED_SCORE),
        model_file=MODEL_FILE,
        files=[_file(workspace, MODEL_FILE, origin.model_file)],
        golden=[],
        reference=Reference(measures=[], losses={}),
        declared_licence=facts.declared_licence or origin.declared_licence,
        engine=f"{origin.engine} {facts.engine_version or origin.engine_version}",
        dataset_commit=None,
        run=run.id,
        created_at_ms=workspace.clock.now_ms(),
    )
    if origin.data is None:
        return plain
    taxonomy = origin.data.commit.taxonomy
    if facts.class_names != taxonomy.class_names:
        raise ClassesDiffer(run=run.id, in_file=facts.class_names, in_commit=taxonomy.class_names)
    return _with_measures(
        workspace, plain, detector, run=run.id, data=origin.data, progress=progress
    )


def _with_measures(
    workspace: Workspace,
    plain: Bundle,
    detector: Detector,
    *,
    run: str,
    data: Data,
    progress: Progress,
) -> Bundle:
    """The manifest with all that follows from running the file on what it never learned from."""
    taxonomy = data.commit.taxonomy
    answers = evaluate_images(
        data.unseen,
        detector,
        class_ids=taxonomy.class_ids,
        taxonomy=taxonomy,
        read_image=workspace.blobs.read,
        clock=workspace.clock,
        progress=progress,
    )
    thresholds = Thresholds(score=_threshold_of(run, data, answers))
    images = measure_unseen(
        data.unseen,
        detector,
        answers=answers,
        thresholds=thresholds,
        read_image=workspace.blobs.read,
        progress=progress,
    )
    golden = choose_golden(images, thresholds=thresholds)
    return msgspec.structs.replace(
        plain,
        class_ids=[*taxonomy.class_ids],
        thresholds=thresholds,
        files=[
            *plain.files,
            *(_file(workspace, _golden_name(one.sample), one.sample.image) for one in golden),
        ],
        golden=[_golden_image(workspace, one.sample, detector, thresholds) for one in golden],
        reference=build_reference(images, looks=_looks(workspace, data, progress)),
        dataset_commit=data.digest,
    )


def _golden_image(
    workspace: Workspace, sample: Sample, detector: Detector, thresholds: Thresholds
) -> GoldenImage:
    """What the file itself finds in the image, shapes included, as a device must find it."""
    picture = decode_picture(workspace.blobs.read(sample.image), name=sample.file_name)
    seen = detector.look(picture, shapes_from=thresholds.score)
    return golden_image(_golden_name(sample), seen, thresholds)


def _looks(workspace: Workspace, data: Data, progress: Progress) -> dict[str, list[list[float]]]:
    """By stratum, how the images looked that the model learned from."""
    found: dict[str, list[list[float]]] = {}
    for n_done, sample in enumerate(data.learned):
        progress("describe images", n_done, len(data.learned))
        picture = decode_picture(workspace.blobs.read(sample.image), name=sample.file_name)
        vector = descriptor(picture)
        for stratum in strata_of(sample.slices):
            found.setdefault(stratum, []).append(vector)
    return {stratum: choose_looks(vectors) for stratum, vectors in sorted(found.items())}


def _threshold_of(run: str, data: Data, answers: Sequence[ImageAnswer]) -> float:
    rule = data.commit.split_rule
    chooses = {one.id for one in data.unseen if split_of(one, rule) in CHOOSES_THRESHOLD}
    chosen_on = [answer for answer in answers if answer.sample in chooses]
    if not chosen_on:
        raise NothingUnseen(run=run, commit=data.digest, splits=list(CHOOSES_THRESHOLD))
    return choose_threshold(chosen_on)


def _file(workspace: Workspace, name: str, digest: Digest) -> BundleFile:
    return BundleFile(name, digest, workspace.blobs.size_bytes(digest))


def _golden_name(sample: Sample) -> str:
    return f"golden/{sample.id}.{sample.media_type.partition('/')[2]}"
