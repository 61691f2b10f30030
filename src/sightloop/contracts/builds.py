"""A model file made ready for one machine, what it measured there, and what a device tells of it.

Specification: docs/formats/builds.md.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sightloop.contracts.bundle import Precision, RuntimeName
from sightloop.contracts.gated_builds import GatedBuild
from sightloop.kernel.digests import Digest, digest_of


class BuildKey(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a build depends on: another driver, library or processor makes another key."""

    model: Digest
    """Of the model file, not of the bundle: versions that share a file share its builds."""
    runtime: RuntimeName
    runtime_version: str
    precision: Precision
    hardware: str
    images: Digest | None = None
    """Of the images that scaled an `int8` build."""

    @property
    def digest(self) -> Digest:
        """Names the build on the disk."""
        return digest_of(msgspec.json.encode(self, order="sorted"))


class BuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a device measured of one way to run its bundle."""

    runtime: RuntimeName
    runtime_version: str
    precision: Precision
    threads: int
    p50_ms: float
    """Of the model with its pre- and postprocessing, of a picture that is decoded."""
    p99_ms: float
    n_runs: int
    resident_bytes: int
    """Largest of the process that ran it."""
    golden_problem: str
    """Why its answers are not those the bundle promises; empty when they are."""
    is_gated: bool
    """Whether its owner vouches for it on this class of devices."""
    is_chosen: bool = False
    problem: str = ""
    """Why nothing could be measured."""
    images: Digest | None = None
    """Of the images that scaled it."""


def scaled_on(images: Iterable[str]) -> Digest:
    """Names images by their digests as those that scale an `int8` build, in whatever order."""
    return digest_of("\n".join(sorted(images)).encode())


def find_gated(
    key: BuildKey, gated: Iterable[GatedBuild], *, device_class: str
) -> GatedBuild | None:
    """The build that was proved for such devices, among what its owner signed; None if none was.

    ONNX Runtime on the processor with fp32 always was: it is what every evaluation measures.
    """
    if (key.runtime, key.precision) == ("onnxruntime", "fp32"):
        return GatedBuild(device_class="", runtime=key.runtime, precision=key.precision)
    for one in gated:
        same = (one.runtime, one.precision, one.images) == (key.runtime, key.precision, key.images)
        if same and one.device_class in ("", device_class):
            return one
    return None
