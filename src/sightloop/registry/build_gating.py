"""Putting other ways to run a version before the gate: runtimes and precisions, one verdict each.

A build is made here as a device makes it, an `int8` one scaled on the bundle's golden images,
which every device has: so what is judged is what will run. Those images then do not count in the
comparison. What travels to devices is signed by the owner, see `signing` and `revoking`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple, get_args

import msgspec
from msgspec import Meta

from sightloop.contracts.builds import scaled_on
from sightloop.contracts.bundle import Bundle, GoldenImage, Precision, RuntimeName
from sightloop.contracts.gated_builds import GatedBuild
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.samples import find_samples
from sightloop.datasets.values import Split
from sightloop.evaluation.answers import agreement_of
from sightloop.evaluation.build_gate import BuildRules, DeviceWord, judge_build
from sightloop.evaluation.services import (
    EvaluateBundle,
    answers_of,
    evaluate,
    open_bundle,
    read_answers,
    read_bundle,
)
from sightloop.evaluation.values import Evaluation
from sightloop.inference.building import build_into, needs_building, tensors_of
from sightloop.inference.detector import Detector, detector_for
from sightloop.inference.images import decode_picture
from sightloop.inference.runtimes import installed_runtimes, open_session
from sightloop.inference.seen import golden_image
from sightloop.kernel.actors import Actor, Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.build_verdicts import BuildVerdict, add_build_verdict
from sightloop.registry.errors import NoDatasetCommit, VersionRevoked
from sightloop.registry.gating import JUDGED_SPLITS
from sightloop.registry.values import ModelVersion, VerdictId

BUILD_JUDGED = EventKind("build.judged")
N_AGREEMENT_IMAGES = 40
RELEASED: tuple[RuntimeName, Precision] = ("onnxruntime", "fp32")
"""What every version is evaluated with."""


class GateBuilds(msgspec.Struct, frozen=True, kw_only=True):
    """Judge other ways to run a version, for a class of devices."""

    model: str
    number: int
    commit: str = "main"
    """A dataset commit, or a branch whose head is meant."""
    device_class: str = ""
    """As devices enrol with it; empty is every class."""
    runtimes: list[RuntimeName] = []
    """Empty takes every runtime of this host."""
    precisions: list[Precision] = []
    """Empty takes all."""
    splits: list[Split] = msgspec.field(default_factory=lambda: [*JUDGED_SPLITS])
    rules: BuildRules = BuildRules()
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1


Words = Callable[[ModelVersion, GatedBuild], Sequence[DeviceWord]]
"""What devices reported of a build; the fleet knows."""


def judge_builds(
    workspace: Workspace, call: Call, request: GateBuilds, *, words: Words
) -> list[BuildVerdict]:
    """A new verdict on each build, recorded one by one: repeating after a crash loses nothing.

    Takes about as long as evaluating the version once for each build.

    Raises:
        NotAllowed: the actor may not evaluate.
        NotFound: there is no such version.
        VersionRevoked: its owner took it back.
        NoDatasetCommit: nobody recorded what the version learned from.
        NoSuchRef: there is no such commit.
        NothingToEvaluate: none of the images is labelled.
        RuntimeMissing: the library that makes `int8` builds is not installed here.
        ForeignModel: a runtime cannot take the file.
        BlobMissing, BlobDamaged: the store lost part of the bundle or an image.
    """
    require(call.actor, Permission.EVALUATE)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.commit)
        version = store.get_version(tx, request.model, request.number)
    if version.revoked_at_ms is not None:
        raise VersionRevoked(
            version=version.name, action="have builds gated", reason=version.revoked_reason
        )
    if version.dataset_commit is None:
        raise NoDatasetCommit(version=version.name, run=version.run)
    judging = _Judging(workspace, call, request, version, commit)
    verdicts = []
    for runtime in dict.fromkeys(request.runtimes or installed_runtimes()):
        for precision in dict.fromkeys(request.precisions or get_args(Precision)):
            if (runtime, precision) != RELEASED:
                verdict = judging.judge(runtime, precision, words=words)
                _record(workspace, version, verdict, by=call.actor)
                verdicts.append(verdict)
    return verdicts


class _Judging:
    """One version's builds, held to what its file answered in ONNX Runtime."""

    def __init__(
        self,
        workspace: Workspace,
        call: Call,
        request: GateBuilds,
        version: ModelVersion,
        commit: Digest,
    ) -> None:
        self._workspace, self._call, self._request = workspace, call, request
        self._version = version
        self._bundle = read_bundle(workspace, version.bundle)
        self._asked = EvaluateBundle(
            bundle=version.bundle, commit=commit, splits=request.splits, threads=request.threads
        )
        self._evaluation: Evaluation = evaluate(workspace, call, self._asked)
        scaled = golden_samples(self._bundle)
        self._released = [
            one for one in read_answers(workspace, self._evaluation) if one.sample not in scaled
        ]
        samples = find_samples(
            workspace, commit, [one.sample for one in self._released[:N_AGREEMENT_IMAGES]]
        )
        self._contents = {
            str(name): workspace.blobs.read(sample.image) for name, sample in samples.items()
        }

    def judge(self, runtime: RuntimeName, precision: Precision, *, words: Words) -> BuildVerdict:
        workspace, request = self._workspace, self._request
        build = GatedBuild(
            device_class=request.device_class,
            runtime=runtime,
            precision=precision,
            images=golden_images(self._bundle) if precision == "int8" else None,
        )
        devices = words(self._version, build)
        is_here = runtime in installed_runtimes()
        with self._opened(runtime if is_here else "onnxruntime", precision) as detectors:
            answers = answers_of(
                workspace, self._bundle, detectors.built, self._asked, self._call.progress
            )
            agreement = agreement_of(detectors.released, detectors.built, self._contents)
            golden = self._golden(detectors.built) if precision == "int8" else []
        compared = {one.sample for one in self._released}
        return BuildVerdict(
            id=VerdictId(workspace.ids.new("verdict")),
            model=self._version.model,
            number=self._version.number,
            device_class=build.device_class,
            runtime=runtime,
            runtime_version=installed_runtimes().get(runtime, ""),
            precision=precision,
            images=build.images,
            verdict=judge_build(
                request.rules,
                precision=precision,
                released=self._released,
                built=[one for one in answers if one.sample in compared],
                agreement=agreement,
                devices=devices,
                needs_devices=not is_here,
            ),
            evaluation=self._evaluation.id,
            n_devices=len(devices),
            golden=golden,
            decided_at_ms=workspace.clock.now_ms(),
        )

    def _golden(self, built: Detector) -> list[GoldenImage]:
        """What the build reports in the golden images: what its devices must see."""
        bundle, found = self._bundle, []
        for one in bundle.golden:
            content = self._workspace.blobs.read(bundle.file(one.file).digest)
            picture = decode_picture(content, name=one.file)
            seen = built.look(picture, shapes_from=bundle.thresholds.score)
            found.append(golden_image(one.file, seen, bundle.thresholds))
        return found

    @contextmanager
    def _opened(self, runtime: RuntimeName, precision: Precision) -> Iterator[_Detectors]:
        blobs, bundle = self._workspace.blobs, self._bundle
        threads = self._request.threads
        model_file = blobs.local_path(bundle.file(bundle.model_file).digest)
        with tempfile.TemporaryDirectory(prefix="sightloop-build-") as folder:
            if needs_building(runtime, precision):
                images = (blobs.read(bundle.file(one.file).digest) for one in bundle.golden)
                model_file = build_into(
                    Path(folder),
                    model_file,
                    runtime=runtime,
                    precision=precision,
                    tensors=tensors_of(images, bundle.input),
                )
            session = open_session(runtime, model_file, threads=threads, cache=Path(folder))
            released = open_bundle(self._workspace, bundle, threads=threads)
            yield _Detectors(released, detector_for(session, bundle))


class _Detectors(NamedTuple):
    """The released file and a build of it, ready."""

    released: Detector
    built: Detector


def golden_images(bundle: Bundle) -> Digest:
    """Names the bundle's golden images as those that scale a build."""
    return scaled_on(bundle.file(one.file).digest for one in bundle.golden)


def golden_samples(bundle: Bundle) -> set[str]:
    """The samples that are its golden images; the packager names the files after them."""
    return {PurePosixPath(one.file).stem for one in bundle.golden}


def _record(
    workspace: Workspace, version: ModelVersion, verdict: BuildVerdict, *, by: Actor
) -> None:
    with workspace.db.write() as tx:
        add_build_verdict(tx, verdict)
        tell(
            tx,
            BUILD_JUDGED,
            version.name,
            by=by,
            at_ms=verdict.decided_at_ms,
            data={
                "model": version.model,
                "number": version.number,
                "bundle": version.bundle,
                "verdict": verdict.id,
                "outcome": verdict.verdict.outcome,
                "device_class": verdict.device_class,
                "runtime": verdict.runtime,
                "precision": verdict.precision,
            },
        )
