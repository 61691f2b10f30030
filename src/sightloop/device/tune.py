"""`sightloop agent tune`: which way of running the deployed bundle is fastest on this very machine.

Every runtime, precision and number of threads is measured in rounds, in another order in each, so
that what else the machine does falls on all of them alike. The fastest among those that were gated
for this class of devices, and that see what the golden images promise, is kept; the others are
only reported.
"""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec

from sightloop.contracts.builds import BuildKey, BuildReport, find_gated
from sightloop.contracts.bundle import Bundle, Precision, RuntimeName
from sightloop.contracts.gated_builds import GatedBuild
from sightloop.device.build_cache import BuildCache
from sightloop.device.builds import build_for, builds_folder, key_of
from sightloop.device.bundle_files import file_path, verify_bundle
from sightloop.device.errors import NoModelYet, TuningAlready
from sightloop.device.settings import AgentSettings
from sightloop.device.state import StateFile
from sightloop.device.tune_trial import TrialOrder, TrialResult
from sightloop.device.tuned import Choice, Tuned, keep_tuning
from sightloop.inference.runtimes import installed_runtimes
from sightloop.kernel.clock import Clock
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.progress import Progress, silent

IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
START_S = 120.0
"""What a trial may take besides its measured seconds: loading, golden images, compiling."""

Trial = Callable[[TrialOrder], TrialResult]


class TuneRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to try; empty lists mean everything this machine can do."""

    slot: str = "main"
    runtimes: list[RuntimeName] = []
    precisions: list[Precision] = []
    threads: list[int] = []
    images: str = ""
    """A folder of audit images that scale `int8` builds; the golden images unless given."""
    rounds: int = 3
    seconds: float = 2.0
    """Of each candidate in each round."""
    is_kept: bool = True
    """False measures and keeps nothing."""


class TuneResult(msgspec.Struct, frozen=True, kw_only=True):
    """Every candidate, fastest first, and which is used from the next start of a worker."""

    format: Literal["sightloop.tune/1"] = "sightloop.tune/1"
    bundle: Digest
    model: str
    version: int
    choice: Choice | None
    candidates: list[BuildReport]


class Candidate(NamedTuple):
    """One way to run the bundle."""

    runtime: RuntimeName
    precision: Precision
    threads: int


def tune(
    home: Path,
    settings: AgentSettings,
    request: TuneRequest,
    *,
    clock: Clock,
    progress: Progress = silent,
    trial: Trial | None = None,
    rng: random.Random | None = None,
) -> TuneResult:
    """Measure, and keep the fastest gated way for the next start of a worker.

    An agent may serve meanwhile; the figures then tell how fast a candidate is beside it.

    Raises:
        NoModelYet: the slot runs no bundle.
        TuningAlready: another process tunes this device.
        TamperedFile: the bundle is damaged.
        DiskFull: there is no room for a build or for the choice.
    """
    state = StateFile(home / "state.json").now
    current = state.slot(request.slot).current
    if current is None:
        raise NoModelYet(slot=request.slot)
    folder = home / "bundles" / current.bundle.removeprefix("sha256:")
    bundle = verify_bundle(folder, current.bundle)
    with _alone(home):
        cache = BuildCache(builds_folder(folder))
        gated = state.gated_builds(current.model, current.bundle)

        def vouched(key: BuildKey) -> GatedBuild | None:
            return find_gated(key, gated, device_class=settings.device_class)

        tuning = _Tuning(bundle, folder, current.bundle, cache, request, vouched)
        measured = tuning.measure(progress, trial or run_trial, rng or random.Random(0))
        reports = [_report(tuning, one, results) for one, results in measured.items()]
        best = choose(reports)
        choice = None
        if best is not None:
            key = tuning.keys[best.runtime, best.precision]
            choice = Choice(key=key, threads=best.threads)
        reports = [msgspec.structs.replace(one, is_chosen=one is best) for one in reports]
        reports.sort(key=lambda one: (bool(one.problem), one.p50_ms))
        if request.is_kept:
            tuned = Tuned(measured_at_ms=clock.now_ms(), choice=choice, reports=reports)
            keep_tuning(home, current.bundle, tuned)
    return TuneResult(
        bundle=current.bundle,
        model=current.model,
        version=current.version,
        choice=choice,
        candidates=reports,
    )


def choose(reports: Sequence[BuildReport]) -> BuildReport | None:
    """The fastest by p50 among those that are gated and right; of equals the first listed."""
    usable = [one for one in reports if one.is_gated and not one.golden_problem and not one.problem]
    return min(usable, key=lambda one: one.p50_ms, default=None)


def run_trial(order: TrialOrder) -> TrialResult:
    """Measure in a child process; what becomes of it is part of the result."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "sightloop.device.tune_trial"],
            input=msgspec.json.encode(order),
            capture_output=True,
            timeout=START_S + order.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return TrialResult(problem=f"it did not end within {START_S + order.seconds:g} s")
    try:
        return msgspec.json.decode(ended.stdout, type=TrialResult)
    except msgspec.DecodeError:
        said = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
        words = f"its process ended with {ended.returncode}"
        return TrialResult(problem=": ".join([words, *said]))


class _Tuning:
    """One bundle's candidates: built once each, then measured in rounds."""

    def __init__(
        self,
        bundle: Bundle,
        folder: Path,
        digest: Digest,
        cache: BuildCache,
        request: TuneRequest,
        vouched: Callable[[BuildKey], GatedBuild | None],
    ) -> None:
        self.bundle = bundle
        self.keys: dict[tuple[RuntimeName, Precision], BuildKey] = {}
        self._folder = folder
        self._digest = digest
        self._cache = cache
        self._request = request
        self._vouched = vouched
        self._images = _images_of(request, bundle, folder)
        self._files: dict[tuple[RuntimeName, Precision], Path] = {}
        self._problems: dict[tuple[RuntimeName, Precision], str] = {}

    def measure(
        self, progress: Progress, trial: Trial, rng: random.Random
    ) -> dict[Candidate, list[TrialResult]]:
        candidates = self._candidates()
        ways = list(dict.fromkeys((one.runtime, one.precision) for one in candidates))
        for n_done, way in enumerate(ways):
            progress("build", n_done, len(ways))
            self._build(*way)
        progress("build", len(ways), len(ways))
        self._cache.keep_only(self.keys.values())
        results: dict[Candidate, list[TrialResult]] = {one: [] for one in candidates}
        for one in candidates:
            if problem := self._problems.get((one.runtime, one.precision)):
                results[one].append(TrialResult(problem=problem))
        n_total, n_done = self._request.rounds * len(candidates), 0
        for _ in range(self._request.rounds):
            for one in rng.sample(candidates, k=len(candidates)):
                progress("measure", n_done, n_total)
                n_done += 1
                if not any(result.problem for result in results[one]):
                    results[one].append(trial(self._order(one)))
        progress("measure", n_total, n_total)
        return results

    def _candidates(self) -> list[Candidate]:
        request = self._request
        runtimes = request.runtimes or list(installed_runtimes())
        n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        threads = request.threads or sorted({1, max(n_cores // 2, 1), n_cores})
        return [
            Candidate(runtime, precision, count)
            for runtime in runtimes
            for precision in request.precisions or get_args(Precision)
            for count in threads
        ]

    def gated(self, one: Candidate) -> GatedBuild | None:
        """What its owner signed of it; None makes it a candidate."""
        key = self.keys.get((one.runtime, one.precision))
        return None if key is None else self._vouched(key)

    def _build(self, runtime: RuntimeName, precision: Precision) -> None:
        way = (runtime, precision)
        if runtime not in installed_runtimes():
            self._problems[way] = f"{runtime} is not installed on this machine"
            return
        key = self.keys[way] = key_of(self.bundle, runtime, precision, self._images)
        try:
            self._files[way] = build_for(
                key, self.bundle, self._folder, self._cache, images=self._images
            )
        except SightloopError as error:
            self._problems[way] = error.message

    def _order(self, one: Candidate) -> TrialOrder:
        gated = self.gated(one)
        return TrialOrder(
            folder=str(self._folder),
            bundle=self._digest,
            model_file=str(self._files[one.runtime, one.precision]),
            runtime=one.runtime,
            threads=one.threads,
            seconds=self._request.seconds,
            golden=[] if gated is None else gated.golden,
        )


def _report(tuning: _Tuning, one: Candidate, results: Sequence[TrialResult]) -> BuildReport:
    key = tuning.keys.get((one.runtime, one.precision))
    durations_ms = sorted(ms for result in results for ms in result.durations_ms)
    return BuildReport(
        runtime=one.runtime,
        runtime_version=installed_runtimes().get(one.runtime, ""),
        precision=one.precision,
        threads=one.threads,
        p50_ms=_quantile(durations_ms, 0.5),
        p99_ms=_quantile(durations_ms, 0.99),
        n_runs=len(durations_ms),
        resident_bytes=max((result.resident_bytes for result in results), default=0),
        golden_problem=next((r.golden_problem for r in results if r.golden_problem), ""),
        is_gated=tuning.gated(one) is not None,
        problem=next((result.problem for result in results if result.problem), ""),
        images=None if key is None else key.images,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3) if ordered else 0.0


def _images_of(request: TuneRequest, bundle: Bundle, folder: Path) -> list[Path]:
    if request.images:
        found = sorted(Path(request.images).rglob("*"))
        return [one for one in found if one.suffix.lower() in IMAGE_ENDINGS]
    return [file_path(folder, golden.file) for golden in bundle.golden]


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Held by one tuning process at a time; a lock goes with its process, however that ends."""
    (home / "builds").mkdir(exist_ok=True)
    with (home / "builds" / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TuningAlready(home=str(home)) from error
        yield
