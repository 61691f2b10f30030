"""Make a version again from the record alone, and say whether it is the same one."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.job import Parity, ParityAnswer
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import split_of
from sightloop.evaluation.answers import answer_parity, evaluate_images
from sightloop.evaluation.parity import SCORE_TOLERANCE, check_parity
from sightloop.evaluation.services import open_bundle, read_bundle
from sightloop.evaluation.summaries import summarise
from sightloop.inference.detector import FLOOR, Detector, open_model
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.blobs import BlobMissing
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import digest_of
from sightloop.kernel.environment import capture_environment, hardware_line
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import foreign, store
from sightloop.registry.likeness import Proof, count_equal, judge_likeness
from sightloop.registry.origins import UNSEEN
from sightloop.registry.reproductions import (
    Reproduction,
    add_reproduction,
    reproductions_of,
)
from sightloop.registry.values import ModelVersion, parse_reference
from sightloop.tracking.errors import RunUnknown
from sightloop.training.folders import JobFolder, claimed
from sightloop.training.reproducing.errors import NoRecipe, RecordGone
from sightloop.training.reproducing.originals import Original, read_original
from sightloop.training.reproducing.planning import Choices, EnvironmentChoice
from sightloop.training.reproducing.rebuilding import Rebuilt, rebuilt
from sightloop.training.weights_digest import read_tensors, weights_digest

MODEL_REPRODUCED = EventKind("model.reproduced")


class ReproduceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which version (`MODEL@NUMBER` or `MODEL@ALIAS`), and how where the record leaves a choice."""

    version: str
    environment: EnvironmentChoice = "auto"
    keep_environment: bool = False
    remote: str = ""
    code: str = ""
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None


class ListReproductions(msgspec.Struct, frozen=True, kw_only=True):
    """Of which version."""

    version: str


class ReproductionList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    version: str
    reproductions: list[Reproduction]


class _Again(NamedTuple):
    """A version and its second self."""

    version: ModelVersion
    bundle: Bundle
    original: Original
    rebuilt: Rebuilt


def reproduce_version(workspace: Workspace, call: Call, request: ReproduceVersion) -> Reproduction:
    """Train the version again in a scratch folder, compare, and record what was found.

    Takes as long as its training did. After a crash the next call goes on with the same job. The
    workspace's runs are not touched.

    Raises:
        NotAllowed: the actor may not train.
        BadVersionReference: the text has another form.
        NotFound: there is no such version, or the alias points nowhere.
        NoRecipe: Sightloop did not train it.
        RecordGone, ImagesMissing: part of the record is gone.
        EnvironmentUnavailable, PatchRefused, NoRoom, EngineUnknown: it cannot be trained here.
        JobFailed, JobCrashed, JobHung, TimeLimitReached, OutOfMemory: training it again failed.
    """
    require(call.actor, Permission.TRAIN)
    version = _find_version(workspace, request.version)
    original = _read_original(workspace, version)
    bundle = read_bundle(workspace, version.bundle)
    root = workspace.state / "reproductions" / f"{version.model}-{version.number}"
    folder = JobFolder(root, workspace.clock)
    choices = Choices(
        environment=request.environment,
        keep_environment=request.keep_environment,
        remote=request.remote,
        code=request.code,
        threads=request.threads,
    )
    with (
        claimed(folder, clock=workspace.clock, should_stop=lambda: False),
        rebuilt(workspace, call, original, folder, choices) as second,
    ):
        found = _account(workspace, call, _Again(version, bundle, original, second))
        with workspace.db.write() as tx:
            _record(tx, call, found)
    return found


def list_reproductions(
    workspace: Workspace, call: Call, request: ListReproductions
) -> ReproductionList:
    """Every reproduction of the version, newest first.

    Raises:
        NotAllowed: the actor may not read.
        BadVersionReference: the text has another form.
        NotFound: there is no such version, or the alias points nowhere.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        version = store.find_version(tx, request.version)
        found = reproductions_of(tx, version.model, version.number)
    return ReproductionList(version=version.name, reproductions=found)


def _find_version(workspace: Workspace, text: str) -> ModelVersion:
    reference = parse_reference(text)
    with workspace.db.read() as tx:
        if reference.number is not None and foreign.look_up_foreign(
            tx, reference.model, reference.number
        ):
            raise NoRecipe(what=text, why="it was registered by other software")
        return store.find_version(tx, text)


def _read_original(workspace: Workspace, version: ModelVersion) -> Original:
    try:
        return read_original(workspace, version.run)
    except RunUnknown as error:
        raise RecordGone(what="run", name=version.run, of=version.name) from error


def _account(workspace: Workspace, call: Call, again: _Again) -> Reproduction:
    proof = _prove(workspace, call, again)
    return Reproduction(
        id=again.rebuilt.reproduction,
        model=again.version.model,
        number=again.version.number,
        run=again.version.run,
        verdict=judge_likeness(proof),
        proof=proof,
        differences=again.rebuilt.differences,
        story=again.rebuilt.story,
        environment="fresh" if again.rebuilt.is_fresh else "this",
        hardware=hardware_line(capture_environment().hardware),
        by=call.actor.id,
        started_at_ms=again.rebuilt.started_at_ms,
        ended_at_ms=workspace.clock.now_ms(),
    )


def _prove(workspace: Workspace, call: Call, again: _Again) -> Proof:
    """What is compared: weights and files always, answers and AP50 only where those differ."""
    checkpoint, second = again.original.checkpoint, again.rebuilt
    then = None if checkpoint is None else read_tensors(checkpoint)
    n_tensors, n_equal = count_equal(then or [], second.tensors or [])
    weights = None if checkpoint is None else weights_digest(checkpoint)
    proof = Proof(
        weights_then=weights or again.original.run.outputs.get("weights"),
        weights_now=second.weights,
        n_tensors=n_tensors,
        n_tensors_equal=n_equal,
        model_file_then=again.bundle.file(again.bundle.model_file).digest,
        model_file_now=digest_of(second.model_file.read_bytes()),
    )
    if proof.is_file_equal:
        return proof
    detector = open_model(second.model_file, thresholds=again.bundle.thresholds, threads=1)
    proof = _with_answers(workspace, proof, again.bundle, detector)
    return proof if proof.are_weights_equal else _with_scores(workspace, call, proof, again)


def _with_answers(workspace: Workspace, proof: Proof, bundle: Bundle, detector: Detector) -> Proof:
    golden = [ParityAnswer(one.file, one.detections) for one in bundle.golden]
    threshold = bundle.thresholds.score
    # Looked at a little below the threshold: a score may have slipped under it and still agree.
    asked = Parity(score_floor=max(threshold - SCORE_TOLERANCE, FLOOR), answers=golden)
    answers = answer_parity(
        asked, detector, read_file=lambda file: workspace.blobs.read(bundle.file(file).digest)
    )
    found = check_parity(Parity(score_floor=threshold, answers=golden), answers)
    return msgspec.structs.replace(
        proof,
        n_golden=found.n_images,
        agreement=found.agreement,
        worst_box_px=found.worst_box_px,
        worst_score=found.worst_score,
    )


def _with_scores(workspace: Workspace, call: Call, proof: Proof, again: _Again) -> Proof:
    """AP50 of both files on the images they did not learn from, as many as are here."""
    digest = again.original.run.training.dataset_commit
    commit = read_commit(workspace, digest)
    unseen = [
        sample
        for sample in read_samples(workspace, digest)
        if split_of(sample, commit.split_rule) in UNSEEN and workspace.blobs.has(sample.image)
    ]

    def ap50(detector: Detector) -> float | None:
        answers = evaluate_images(
            unseen,
            detector,
            class_ids=again.bundle.class_ids,
            taxonomy=commit.taxonomy,
            read_image=workspace.blobs.read,
            clock=workspace.clock,
            progress=call.progress,
        )
        if not answers:
            return None
        names = commit.taxonomy.class_names
        return summarise(answers, class_names=names, score_threshold=threshold).ap50

    threshold = again.bundle.thresholds.score
    try:
        first = ap50(open_bundle(workspace, again.bundle, threads=1))
    except BlobMissing:
        return proof  # the version's own file is gone: nothing to hold the second one against
    second = ap50(
        open_model(again.rebuilt.model_file, thresholds=again.bundle.thresholds, threads=1)
    )
    return msgspec.structs.replace(proof, n_unseen=len(unseen), ap50_then=first, ap50_now=second)


def _record(tx: Tx, call: Call, found: Reproduction) -> None:
    if not add_reproduction(tx, found):
        return  # recorded before a crash that came between this and the tidying up
    data = {
        "model": found.model,
        "number": found.number,
        "run": found.run,
        "reproduction": found.id,
        "verdict": found.verdict,
        "environment": found.environment,
        "n_differences": len(found.differences),
    }
    tell(tx, MODEL_REPRODUCED, found.name, by=call.actor, at_ms=found.ended_at_ms, data=data)
