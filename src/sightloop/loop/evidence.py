"""The chain from a device back to pixels: why does this machine run this model?

Every link is a record with an id, so an auditor can follow it by hand: devices, assignment,
signature, verdict, evaluation, bundle, run, dataset commit, samples, and what started the turn.
"""

from __future__ import annotations

import msgspec

from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import split_of
from sightloop.datasets.values import Sample
from sightloop.evaluation.store import find_evaluation
from sightloop.evaluation.values import Evaluation
from sightloop.fleet import store as fleet
from sightloop.kernel import audit
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.audit import Seal
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.turns import Turn, list_turns
from sightloop.registry import store as registry
from sightloop.registry.reproductions import Reproduction, reproductions_of
from sightloop.registry.values import Approval, ModelVersion, VerdictRecord
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.values import Run


class ShowEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Of which version (`MODEL@NUMBER` or `MODEL@ALIAS`), and how many pixels to name."""

    version: str
    n_samples: int = 5


class ServingDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A slot that runs the bundle, by its own last report."""

    device: str
    name: str
    slot: str
    counter: int
    seen_at_ms: int


class SampleLink(msgspec.Struct, frozen=True, kw_only=True):
    """A sample the run looked at, to learn or to choose, and the digest of its pixels."""

    sample: str
    image: Digest
    file_name: str
    split_key: str
    split: str
    n_annotations: int
    size_bytes: int
    """Of the stored image, which was read and still has its digest."""


class CommitLink(msgspec.Struct, frozen=True, kw_only=True):
    """The dataset commit the run trained on."""

    commit: Digest
    message: str
    actor: str
    parents: list[Digest]
    n_samples: int
    n_by_split: dict[str, int]
    samples: list[SampleLink]


class EvidenceChain(msgspec.Struct, frozen=True, kw_only=True):
    """All links, outermost first."""

    version: ModelVersion
    devices: list[ServingDevice]
    verdict: VerdictRecord | None
    approval: Approval | None
    """What a person decided; None when nobody was asked."""
    evaluation: Evaluation | None
    run: Run
    artifacts: dict[str, Digest]
    commit: CommitLink | None
    """None when nobody recorded what the version learned from: there the chain ends."""
    turn: Turn | None
    newest_seal: Seal | None
    reproductions: list[Reproduction] = []
    """What came of making the version again, newest first."""


def show_evidence(workspace: Workspace, call: Call, request: ShowEvidence) -> EvidenceChain:
    """The chain behind a version; its pixels are read and checked.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: there is no such version.
        BlobMissing, BlobDamaged: a named image is lost; the chain does not hold.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        version = registry.find_version(tx, request.version)
        verdict = registry.latest_verdict(tx, version.model, version.number)
        approval = registry.find_approval(tx, version.model, version.number)
        evaluation = None if verdict is None else find_evaluation(tx, verdict.evaluation)
        run = tracking.find_run(tx, version.run)
        artifacts = artifacts_of(tx, version.run)
        devices = _devices_with(tx, version)
        turns = [turn for turn in list_turns(tx, model=version.model) if turn.run == version.run]
        seal = audit.latest(tx)
        reproductions = reproductions_of(tx, version.model, version.number)
    return EvidenceChain(
        version=version,
        devices=devices,
        verdict=verdict,
        approval=approval,
        evaluation=evaluation,
        run=run,
        artifacts=artifacts,
        commit=None
        if version.dataset_commit is None
        else _commit_link(workspace, version.dataset_commit, n_samples=request.n_samples),
        turn=turns[-1] if turns else None,
        newest_seal=seal,
        reproductions=reproductions,
    )


def _devices_with(tx: Tx, version: ModelVersion) -> list[ServingDevice]:
    names = {device.id: device.name for device in fleet.all_devices(tx)}
    return [
        ServingDevice(
            device=member.device,
            name=names[member.device],
            slot=member.slot,
            counter=member.report.counter,
            seen_at_ms=member.seen_at_ms or 0,
        )
        for member in fleet.members_of(tx, version.model)
        if member.report is not None and member.report.running == version.bundle
    ]


def _commit_link(workspace: Workspace, commit: Digest, *, n_samples: int) -> CommitLink:
    record = read_commit(workspace, commit)
    samples = read_samples(workspace, commit)
    splits = [split_of(sample, record.split_rule) or "quarantined" for sample in samples]
    seen = [pair for pair in zip(samples, splits, strict=True) if pair[1] in ("train", "val")]
    return CommitLink(
        commit=commit,
        message=record.message,
        actor=record.actor,
        parents=list(record.parents),
        n_samples=len(samples),
        n_by_split={split: splits.count(split) for split in sorted(set(splits))},
        samples=[_sample_link(workspace, *pair) for pair in seen[:n_samples]],
    )


def _sample_link(workspace: Workspace, sample: Sample, split: str) -> SampleLink:
    return SampleLink(
        sample=sample.id,
        image=sample.image,
        file_name=sample.file_name,
        split_key=sample.split_key,
        split=split,
        n_annotations=len(sample.annotations),
        size_bytes=len(workspace.blobs.read(sample.image)),
    )
