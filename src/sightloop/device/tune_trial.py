"""One measurement in a process of its own: `python -m sightloop.device.tune_trial`, JSON to JSON.

Its own process, so that its memory is its own, and so that a runtime that crashes ends nothing
else.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from pathlib import Path

import msgspec

from sightloop.contracts.bundle import GoldenImage, RuntimeName
from sightloop.device.bundle_files import file_path, verify_bundle
from sightloop.device.errors import GoldenMismatch
from sightloop.device.model_worker import check_golden
from sightloop.inference.detector import detector_for
from sightloop.inference.images import decode_picture
from sightloop.inference.runtimes import open_session
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import SightloopError

N_WARM_UP = 3


class TrialOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure."""

    folder: str
    """Of the bundle."""
    bundle: Digest
    model_file: str
    runtime: RuntimeName
    threads: int
    golden: list[GoldenImage] = []
    """What the build was gated with; empty holds it to what the bundle promises."""
    seconds: float
    """How long to run after the warm-up; at least one image is run."""


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured."""

    durations_ms: list[float] = []
    resident_bytes: int = 0
    golden_problem: str = ""
    problem: str = ""


def measure(order: TrialOrder) -> TrialResult:
    """Load, check the golden images, warm up, run."""
    try:
        return _measure(order)
    except SightloopError as error:
        return TrialResult(problem=error.message)


def _measure(order: TrialOrder) -> TrialResult:
    folder, model_file = Path(order.folder), Path(order.model_file)
    bundle = verify_bundle(folder, order.bundle)
    session = open_session(
        order.runtime, model_file, threads=order.threads, cache=model_file.parent
    )
    detector = detector_for(session, bundle)
    contents = {one.file: file_path(folder, one.file).read_bytes() for one in bundle.golden}
    golden_problem = "" if contents else "the bundle has no golden images"
    for golden in order.golden or bundle.golden:
        try:
            check_golden(detector, golden, content=contents[golden.file])
        except GoldenMismatch as mismatch:
            golden_problem = mismatch.message
            break
    pictures = [decode_picture(content, name=name) for name, content in contents.items()]
    for index in range(N_WARM_UP if pictures else 0):
        detector.look(pictures[index % len(pictures)])
    durations_ms: list[float] = []
    ends_s = time.monotonic() + order.seconds
    while pictures and (not durations_ms or time.monotonic() < ends_s):
        picture = pictures[len(durations_ms) % len(pictures)]
        started_s = time.perf_counter()
        detector.look(picture)
        durations_ms.append(1000 * (time.perf_counter() - started_s))
    return TrialResult(
        durations_ms=durations_ms,
        resident_bytes=_peak_bytes(),
        golden_problem=golden_problem,
    )


def _peak_bytes() -> int:
    """The most memory this process ever had."""
    with contextlib.suppress(OSError):
        # On Linux `ru_maxrss` starts at what the parent had, which may be far more than ours.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=TrialOrder)
    sys.stdout.buffer.write(msgspec.json.encode(measure(asked)))
