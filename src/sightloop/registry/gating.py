"""Putting a version before the gate: what it answers, how fast, and what the rules say to that."""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.decode import decode
from sightloop.contracts.job import Parity
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.samples import find_samples
from sightloop.datasets.values import SampleId, Split
from sightloop.evaluation.answers import answer_parity
from sightloop.evaluation.gate import GateRules, Judged, judge
from sightloop.evaluation.latency import compare_latency
from sightloop.evaluation.parity import ParityResult, check_parity
from sightloop.evaluation.services import (
    EvaluateBundle,
    evaluate,
    open_bundle,
    read_answers,
    read_bundle,
)
from sightloop.evaluation.values import Evaluation, ImageAnswer, LatencyComparison
from sightloop.inference.detector import Detector
from sightloop.kernel.actors import Actor, Permission, require, step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.ids import derived_id
from sightloop.kernel.steps import Outcome, Step
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.errors import ForeignParity, NoDatasetCommit
from sightloop.registry.values import (
    CHAMPION,
    ModelVersion,
    VerdictId,
    VerdictRecord,
    parity_artifact,
)
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of

VERDICT_GIVEN = EventKind("verdict.given")

JUDGED_SPLITS: tuple[Split, ...] = ("test", "audit")
"""Neither learned from nor used to choose the threshold."""
PARITY_FILE = "parity.json"
N_TIMED_IMAGES = 40
"""Enough for a median that holds; each is timed once per model, in turns."""

_SAMPLE_ID = re.compile(r"[0-9a-f]{32}")


class GateVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Judge a version by these rules on these images."""

    model: str
    number: int
    commit: str
    """A dataset commit, or a branch whose head is meant."""
    splits: list[Split] = msgspec.field(default_factory=lambda: [*JUDGED_SPLITS])
    rules: GateRules = GateRules()
    champion: int | UnsetType | None = UNSET
    """The version it has to match; None judges it on its own, unset means the present champion."""
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1


class _Contender(NamedTuple):
    """A version with what it answered."""

    version: ModelVersion
    bundle: Bundle
    evaluation: Evaluation
    answers: list[ImageAnswer]


def gate_version(workspace: Workspace, call: Call, request: GateVersion) -> VerdictRecord:
    """A new verdict on the version; evaluations that are there are used, latency is measured anew.

    Raises:
        NotFound: there is no such version, or no such champion.
        NoDatasetCommit: nobody recorded what the version learned from.
        NoSuchRef: there is no such commit.
        NothingToEvaluate: none of the images is labelled.
        ForeignParity: the run's parity answers are not about its own dataset commit.
        BlobMissing, BlobDamaged: the store lost part of a bundle or an image.
    """
    require(call.actor, Permission.EVALUATE)
    verdict = VerdictId(workspace.ids.new("verdict"))
    record = _decide(workspace, call, request, verdict=verdict)
    with workspace.db.write() as tx:
        _record(tx, record, by=call.actor)
    return record


def gate_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Step handler of `gate_version`; inputs are the request's fields.

    Raises:
        Interrupted: the worker was told to stop.
    """
    actor = step_actor(step.name)
    request = msgspec.convert(step.inputs, GateVersion)
    verdict = VerdictId(derived_id("verdict", step.key))
    record = _decide(workspace, Call(actor, control.progress_of(step)), request, verdict=verdict)
    output = {"verdict": record.id, "outcome": record.verdict.outcome}
    return Outcome(output, partial(_record, record=record, by=actor))


def _decide(
    workspace: Workspace, call: Call, request: GateVersion, *, verdict: VerdictId
) -> VerdictRecord:
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.commit)
        version = store.get_version(tx, request.model, request.number)
        if version.dataset_commit is None:
            raise NoDatasetCommit(version=version.name, run=version.run)
        rival = _champion_of(tx, request)
    candidate = _contend(workspace, call, request, version, commit=commit)
    champion = None if rival is None else _contend(workspace, call, request, rival, commit=commit)
    detectors = [
        open_bundle(workspace, one.bundle, threads=request.threads)
        for one in (candidate, champion)
        if one is not None
    ]
    return VerdictRecord(
        id=verdict,
        model=version.model,
        number=version.number,
        champion=None if rival is None else rival.number,
        verdict=judge(
            request.rules,
            candidate=_judged(candidate),
            champion=None if champion is None else _judged(champion),
            parity=_parity_of(workspace, version, detectors[0]),
            latency=_latency_of(workspace, candidate, detectors, commit=commit),
        ),
        evaluation=candidate.evaluation.id,
        champion_evaluation=None if champion is None else champion.evaluation.id,
        decided_at_ms=workspace.clock.now_ms(),
    )


def _champion_of(tx: Tx, request: GateVersion) -> ModelVersion | None:
    number = request.champion
    if number is UNSET:
        alias = store.find_alias(tx, request.model, CHAMPION)
        number = None if alias is None else alias.number
    # The champion itself has nobody to match but the absolute rules.
    if number is None or number == request.number:
        return None
    return store.get_version(tx, request.model, number)


def _contend(
    workspace: Workspace, call: Call, request: GateVersion, version: ModelVersion, *, commit: Digest
) -> _Contender:
    asked = EvaluateBundle(
        bundle=version.bundle, commit=commit, splits=request.splits, threads=request.threads
    )
    evaluation = evaluate(workspace, call, asked)
    bundle = read_bundle(workspace, version.bundle)
    return _Contender(version, bundle, evaluation, read_answers(workspace, evaluation))


def _judged(contender: _Contender) -> Judged:
    return Judged(contender.version.name, contender.answers)


def _parity_of(
    workspace: Workspace, version: ModelVersion, detector: Detector
) -> ParityResult | None:
    """How the exported file agrees with what its checkpoint said; None if the run did not ask."""
    with workspace.db.read() as tx:
        is_tracked = tracking.find_run(tx, version.run).inputs is None
        name = parity_artifact(version.bundle) if is_tracked else PARITY_FILE
        digest = artifacts_of(tx, version.run).get(name)
    if digest is None or version.dataset_commit is None:
        return None
    parity = decode(workspace.blobs.read(digest), Parity, what=f"{name} of {version.run}")
    # A training view names its images after their samples.
    ids = {answer.file: SampleId(PurePosixPath(answer.file).stem) for answer in parity.answers}
    possible = [one for one in ids.values() if _SAMPLE_ID.fullmatch(one)]
    samples = find_samples(workspace, version.dataset_commit, possible)
    if missing := sorted(file for file, one in ids.items() if one not in samples):
        raise ForeignParity(run=version.run, commit=version.dataset_commit, files=missing)

    def read_file(file: str) -> bytes:
        return workspace.blobs.read(samples[ids[file]].image)

    return check_parity(parity, answer_parity(parity, detector, read_file=read_file))


def _latency_of(
    workspace: Workspace, candidate: _Contender, detectors: list[Detector], *, commit: Digest
) -> LatencyComparison:
    ids = [answer.sample for answer in candidate.answers[:N_TIMED_IMAGES]]
    samples = find_samples(workspace, commit, ids)
    contents = [workspace.blobs.read(samples[one].image) for one in ids if one in samples]
    champion = detectors[1] if len(detectors) > 1 else None
    return compare_latency(detectors[0], champion, contents, clock=workspace.clock)


def _record(tx: Tx, record: VerdictRecord, *, by: Actor) -> None:
    version = store.get_version(tx, record.model, record.number)
    store.add_verdict(tx, record)
    tell(
        tx,
        VERDICT_GIVEN,
        version.name,
        by=by,
        at_ms=record.decided_at_ms,
        data={
            "model": record.model,
            "number": record.number,
            "bundle": version.bundle,
            "verdict": record.id,
            "outcome": record.verdict.outcome,
            "champion": record.champion,
            "evaluation": record.evaluation,
        },
    )
