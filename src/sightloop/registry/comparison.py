"""Two versions on the same images: slice by slice, and where they disagree most.

Everything is taken from evaluations that are stored, nothing is run again. The intervals are the
gate's own: same draws, same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sightloop.contracts.bundle import Detection
from sightloop.contracts.decode import decode
from sightloop.contracts.job import LabelledBox
from sightloop.datasets.samples import find_samples
from sightloop.datasets.values import SampleId, Split
from sightloop.evaluation import store as evaluations
from sightloop.evaluation.bootstrap import paired_gain
from sightloop.evaluation.errors import NoObjects
from sightloop.evaluation.services import read_bundle
from sightloop.evaluation.summaries import in_stratum, losses_of
from sightloop.evaluation.values import Answers, Evaluation, ImageAnswer
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.errors import NotComparable
from sightloop.registry.values import ModelVersion

MAX_STRATA = 40
_SEED = 0
_NO_CHANGE = 1e-9


class CompareVersions(msgspec.Struct, frozen=True, kw_only=True):
    """A version, and the one it is held against."""

    model: str
    number: int
    against: int | UnsetType | None = UNSET
    """Unset means the champion it was judged against; None looks at the version alone."""
    n_pictures: Annotated[int, Meta(ge=0, le=50)] = 6
    """How many images to name of each kind."""


class StratumChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a stratum went from the rival to the version; None where it shows no object."""

    stratum: str
    n_images: int
    n_objects: int
    rival: float | None
    """AP50 of the one it is held against."""
    version: float | None
    low: float | None
    """Lower end of the 95 % interval of the change."""
    high: float | None


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """An image on which one of the two did better; boxes at each one's own threshold."""

    sample: SampleId
    image: Digest
    file_name: str
    strata: list[str]
    width_px: int
    height_px: int
    truths: list[LabelledBox]
    rival: list[Detection]
    version: list[Detection]
    rival_loss: float | None
    """1 - F1 of the answer, 0 to 1; None without a rival."""
    version_loss: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What the stored evaluations say of two versions, or of one."""

    version: str
    rival: str | None
    commit: Digest
    splits: list[Split]
    n_images: int
    n_better: int
    n_worse: int
    class_names: list[str]
    strata: list[StratumChange]
    """All images first, then by name; at most `MAX_STRATA`."""
    n_strata: int
    gains: list[Disagreement]
    """Images the version does better on, most first."""
    losses: list[Disagreement]
    """Images it does worse on; without a rival, those it does worst on."""


def compare_versions(workspace: Workspace, call: Call, request: CompareVersions) -> Comparison:
    """The version against its rival, on images both have answered.

    The first time costs a bootstrap (three seconds for 2,000 images and each of their slices).

    Raises:
        NotAllowed: the actor may not read.
        NotFound: there is no such version.
        NotComparable: there is no evaluation, or none of both on the same images.
        BlobMissing, BlobDamaged: the store lost the answers or a bundle.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        pair = _pair(tx, request)
    return _measured(workspace, pair, request.n_pictures)


class _Pair(NamedTuple):
    """Which versions, and by which evaluations of the same images."""

    version: ModelVersion
    evaluation: str
    rival: ModelVersion | None
    rival_evaluation: str | None


def _pair(tx: Tx, request: CompareVersions) -> _Pair:
    version = store.get_version(tx, request.model, request.number)
    verdict = store.latest_verdict(tx, version.model, version.number)
    against = request.against
    if against is UNSET:
        against = None if verdict is None else verdict.champion
    rival = None if against is None else store.get_version(tx, request.model, against)
    if verdict is not None and verdict.champion == against:
        judged_by = verdict.evaluation, verdict.champion_evaluation
        found = [one and evaluations.find_evaluation(tx, one) for one in judged_by]
        if found[0] and (rival is None or found[1]):
            return _Pair(version, verdict.evaluation, rival, verdict.champion_evaluation)
    own = evaluations.list_evaluations(tx, bundle=version.bundle)
    if rival is None and own:
        return _Pair(version, own[0].id, None, None)
    others = [] if rival is None else evaluations.list_evaluations(tx, bundle=rival.bundle)
    for one in own:
        for other in others:
            if (one.commit, one.splits) == (other.commit, other.splits):
                return _Pair(version, one.id, rival, other.id)
    raise NotComparable(version=version.name, rival=None if rival is None else rival.name)


class _Side(NamedTuple):
    """What one version answered."""

    answers: list[ImageAnswer]
    losses: list[float]
    threshold: float


# Evaluations never change, so what follows from them does not either; the bootstrap is slow.
@lru_cache(maxsize=64)
def _measured(workspace: Workspace, pair: _Pair, n_pictures: int) -> Comparison:
    evaluation = _evaluation(workspace, pair.evaluation)
    version = _side(workspace, evaluation, pair.version)
    rival = None
    if pair.rival is not None and pair.rival_evaluation is not None:
        rival = _side(workspace, _evaluation(workspace, pair.rival_evaluation), pair.rival)
    changes = _changes(version.losses, None if rival is None else rival.losses)
    by_change = sorted(range(len(changes)), key=lambda index: (changes[index], index))
    better = [index for index in by_change if changes[index] < -_NO_CHANGE]
    worse = [index for index in reversed(by_change) if changes[index] > _NO_CHANGE]
    shown = _pictures(
        workspace, evaluation.commit, version, rival, [*better[:n_pictures], *worse[:n_pictures]]
    )
    strata = sorted(evaluation.summary.strata)
    return Comparison(
        version=pair.version.name,
        rival=None if pair.rival is None else pair.rival.name,
        commit=evaluation.commit,
        splits=evaluation.splits,
        n_images=len(version.answers),
        n_better=len(better),
        n_worse=len(worse),
        class_names=_answers(workspace, evaluation).class_names,
        strata=[_change(evaluation, one, version, rival) for one in strata[:MAX_STRATA]],
        n_strata=len(strata),
        gains=[shown[index] for index in better[:n_pictures] if index in shown],
        losses=[shown[index] for index in worse[:n_pictures] if index in shown],
    )


def _changes(losses: Sequence[float], rival: Sequence[float] | None) -> list[float]:
    """By how much each image's loss rose; the loss itself where there is nothing to compare."""
    if rival is None:
        return list(losses)
    return [after - before for after, before in zip(losses, rival, strict=True)]


def _change(
    evaluation: Evaluation, stratum: str, version: _Side, rival: _Side | None
) -> StratumChange:
    summary = evaluation.summary.strata[stratum]
    facts = StratumChange(
        stratum=stratum,
        n_images=summary.n_images,
        n_objects=summary.n_objects,
        rival=None,
        version=summary.ap50,
        low=None,
        high=None,
    )
    if rival is None:
        return facts
    before, after = (in_stratum(side.answers, stratum) for side in (rival, version))
    try:
        gain = paired_gain(before, after, seed=_SEED)
    except NoObjects:
        return facts
    return msgspec.structs.replace(
        facts, rival=gain.first, version=gain.second, low=gain.low, high=gain.high
    )


def _pictures(
    workspace: Workspace,
    commit: Digest,
    version: _Side,
    rival: _Side | None,
    indices: Sequence[int],
) -> dict[int, Disagreement]:
    ids = [version.answers[index].sample for index in indices]
    samples = find_samples(workspace, commit, ids)
    return {
        index: Disagreement(
            sample=sample,
            image=samples[sample].image,
            file_name=samples[sample].file_name,
            strata=[one for one in version.answers[index].strata if one],
            width_px=version.answers[index].width_px,
            height_px=version.answers[index].height_px,
            truths=version.answers[index].truths,
            rival=[] if rival is None else _reported(rival, index),
            version=_reported(version, index),
            rival_loss=None if rival is None else rival.losses[index],
            version_loss=version.losses[index],
        )
        for index, sample in zip(indices, ids, strict=True)
        if sample in samples
    }


def _reported(side: _Side, index: int) -> list[Detection]:
    return [one for one in side.answers[index].detections if one.score >= side.threshold]


def _side(workspace: Workspace, evaluation: Evaluation, version: ModelVersion) -> _Side:
    images = _answers(workspace, evaluation).images
    threshold = read_bundle(workspace, version.bundle).thresholds.score
    return _Side(images, losses_of(images, score_threshold=threshold), threshold)


def _answers(workspace: Workspace, evaluation: Evaluation) -> Answers:
    content = workspace.blobs.read(evaluation.answers)
    return decode(content, Answers, what=f"answers of evaluation {evaluation.id}")


def _evaluation(workspace: Workspace, evaluation: str) -> Evaluation:
    with workspace.db.read() as tx:
        found = evaluations.find_evaluation(tx, evaluation)
    assert found is not None, "evaluations are never deleted"
    return found
