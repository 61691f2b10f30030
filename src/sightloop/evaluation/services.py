"""Evaluate a bundle on a commit, and look at what was found.

An evaluation's id follows from bundle, commit, splits and runtime: asking for the same again finds
the one that is there and measures nothing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.decode import decode, encode
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import split_of
from sightloop.datasets.values import Split
from sightloop.evaluation import store
from sightloop.evaluation.answers import evaluate_images
from sightloop.evaluation.errors import NothingToEvaluate
from sightloop.evaluation.summaries import summarise
from sightloop.evaluation.values import Answers, Evaluation, ImageAnswer
from sightloop.inference.detector import Detector, open_detector
from sightloop.inference.runtime import RUNTIME_NAME
from sightloop.kernel.actors import Actor, Permission, require, step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.ids import derived_id
from sightloop.kernel.progress import Progress
from sightloop.kernel.steps import Outcome, Step
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace

BUNDLE_EVALUATED = EventKind("bundle.evaluated")


class EvaluateBundle(msgspec.Struct, frozen=True, kw_only=True):
    """Measure a bundle on the labelled images of some splits of a commit."""

    bundle: Digest
    commit: Digest
    splits: list[Split]
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1


class ListEvaluations(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluations of a bundle, on a commit, or all."""

    bundle: Digest | None = None
    commit: Digest | None = None


def evaluate(workspace: Workspace, call: Call, request: EvaluateBundle) -> Evaluation:
    """The evaluation of this bundle on this commit, made now unless it is there.

    Raises:
        NotAllowed: the actor may not evaluate.
        NothingToEvaluate: no labelled image is in those splits.
        BlobMissing: the bundle, its model file or an image is not in the store.
        ForeignModel, ModelMismatch: the bundle's file is not what its manifest says.
        UnreadableImage: an image of the commit does not decode.
    """
    require(call.actor, Permission.EVALUATE)
    evaluation = _find_or_measure(workspace, request, call.progress)
    with workspace.db.write() as tx:
        _record(tx, evaluation, by=call.actor)
    return evaluation


def evaluate_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Handler of the step `evaluate`; its inputs are an `EvaluateBundle`, its output the id.

    Raises:
        Interrupted: the worker was told to stop.
    """
    request = msgspec.convert(step.inputs, EvaluateBundle)
    evaluation = _find_or_measure(workspace, request, control.progress_of(step))

    def record(tx: Tx) -> None:
        _record(tx, evaluation, by=step_actor(step.name))

    return Outcome({"evaluation": evaluation.id}, record)


def show_evaluation(workspace: Workspace, call: Call, evaluation_id: str) -> Evaluation:
    """The evaluation of that id.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: there is none.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        evaluation = store.find_evaluation(tx, evaluation_id)
    if evaluation is None:
        raise NotFound(what="evaluation", name=evaluation_id)
    return evaluation


def list_evaluations(
    workspace: Workspace, call: Call, request: ListEvaluations
) -> list[Evaluation]:
    """The evaluations asked for, newest first.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return store.list_evaluations(tx, bundle=request.bundle, commit=request.commit)


def read_answers(workspace: Workspace, evaluation: Evaluation) -> list[ImageAnswer]:
    """What the bundle found on each image, in the order of the samples' ids.

    Raises:
        BlobMissing, BlobDamaged: the store has lost them.
    """
    content = workspace.blobs.read(evaluation.answers)
    return decode(content, Answers, what=f"answers of evaluation {evaluation.id}").images


def read_bundle(workspace: Workspace, digest: Digest) -> Bundle:
    """The manifest of that bundle, which is the blob its digest names.

    Raises:
        BlobMissing, BlobDamaged: the store has lost it.
        WrongFormat: the blob is something else.
    """
    return decode(workspace.blobs.read(digest), Bundle, what=f"bundle {digest}")


def open_bundle(workspace: Workspace, bundle: Bundle, *, threads: int) -> Detector:
    """The bundle's model, ready.

    Raises:
        BlobMissing: the store has lost the model file.
        ForeignModel, ModelMismatch: the file is not what the manifest says.
    """
    model_file = workspace.blobs.local_path(bundle.file(bundle.model_file).digest)
    return open_detector(model_file, bundle, threads=threads)


def answers_of(
    workspace: Workspace,
    bundle: Bundle,
    detector: Detector,
    request: EvaluateBundle,
    progress: Progress,
) -> list[ImageAnswer]:
    """What a detector of the bundle finds on the images asked for, in the order of their ids.

    Raises:
        BlobMissing: an image is not in the store.
        UnreadableImage: an image of the commit does not decode.
    """
    commit = read_commit(workspace, request.commit)
    samples = read_samples(workspace, request.commit)
    return evaluate_images(
        [one for one in samples if split_of(one, commit.split_rule) in request.splits],
        detector,
        class_ids=bundle.class_ids,
        taxonomy=commit.taxonomy,
        read_image=workspace.blobs.read,
        clock=workspace.clock,
        progress=progress,
    )


def _find_or_measure(
    workspace: Workspace, request: EvaluateBundle, progress: Progress
) -> Evaluation:
    with workspace.db.read() as tx:
        known = store.find_evaluation(tx, _id_of(request))
    return known or _measure(workspace, request, progress)


def _measure(workspace: Workspace, request: EvaluateBundle, progress: Progress) -> Evaluation:
    """Everything but the record: nothing is visible yet, and it may be done again."""
    bundle = read_bundle(workspace, request.bundle)
    commit = read_commit(workspace, request.commit)
    detector = open_bundle(workspace, bundle, threads=request.threads)
    images = answers_of(workspace, bundle, detector, request, progress)
    if not images:
        raise NothingToEvaluate(commit=request.commit, splits=list(request.splits))
    class_names = commit.taxonomy.class_names
    answers = Answers(
        class_ids=[*commit.taxonomy.class_ids], class_names=class_names, images=images
    )
    return Evaluation(
        id=_id_of(request),
        bundle=request.bundle,
        commit=request.commit,
        splits=sorted(set(request.splits)),
        runtime=_runtime_of(request),
        n_images=len(images),
        summary=summarise(images, class_names=class_names, score_threshold=bundle.thresholds.score),
        answers=workspace.blobs.put(encode(answers)),
        created_at_ms=workspace.clock.now_ms(),
    )


def _record(tx: Tx, evaluation: Evaluation, *, by: Actor) -> None:
    if store.record_evaluation(tx, evaluation):
        tell(
            tx,
            BUNDLE_EVALUATED,
            evaluation.id,
            by=by,
            at_ms=evaluation.created_at_ms,
            data={
                "evaluation": evaluation.id,
                "bundle": evaluation.bundle,
                "commit": evaluation.commit,
            },
        )


def _id_of(request: EvaluateBundle) -> str:
    splits = ",".join(sorted(set(request.splits)))
    return derived_id("evaluation", request.bundle, request.commit, splits, _runtime_of(request))


def _runtime_of(request: EvaluateBundle) -> str:
    """Threads belong to it: they decide the latency, and may change the last digit of a score."""
    return f"{RUNTIME_NAME}, threads {request.threads}"
