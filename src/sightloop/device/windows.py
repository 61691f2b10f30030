"""One window of one stream under one bundle: counting what was seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sightloop.contracts.check_in import StreamPolicy
from sightloop.contracts.profile import RANK_STEPS, Dependence, Profile
from sightloop.kernel.digests import Digest


class MeasureFacts(msgspec.Struct, frozen=True):
    """One measure of the bundle's reference, as far as counting needs it.

    `ranks` gives, for each stratum asked for, the reference rank in [0, 1] of every bin.
    """

    name: str
    n_bins: int
    ranks: dict[str, list[float]]


class ReferenceFacts(msgspec.Struct, frozen=True):
    """What a worker tells of its bundle's reference when it is ready."""

    measures: list[MeasureFacts]
    n_classes: int
    strata: list[str]
    """Those the reference has counts for; a stream of another stratum is compared with all."""


@dataclass(frozen=True, slots=True)
class WindowKey:
    """What is counted together."""

    device: str
    stream: str
    slot: str
    bundle: Digest
    stratum: str


class Window:
    """Counts of the images of one key, until it is closed. Not for several threads."""

    def __init__(
        self, key: WindowKey, facts: ReferenceFacts, *, at_ms: int, opened_s: float
    ) -> None:
        self.key = key
        self.n_images = 0
        self._opened_s = opened_s
        self._started_at_ms = at_ms
        self._names = [measure.name for measure in facts.measures]
        self._ranks = [measure.ranks[key.stratum] for measure in facts.measures]
        self._counts = [[0] * measure.n_bins for measure in facts.measures]
        self._class_counts = [0] * facts.n_classes
        self._sums = [[0.0] * 5 for _ in facts.measures]
        self._last_bins: list[int] | None = None

    def add(self, bins: list[int], class_indices: list[int]) -> None:
        """Count one image: the bin of each measure, and the class of each reported object."""
        self.n_images += 1
        for counts, bin_index in zip(self._counts, bins, strict=True):
            counts[bin_index] += 1
        for class_index in class_indices:
            self._class_counts[class_index] += 1
        if self._last_bins is not None:
            self._add_pairs(self._last_bins, bins)
        self._last_bins = bins

    def is_due(self, policy: StreamPolicy, *, now_s: float) -> bool:
        """Whether the window has seen enough images, or any and enough time."""
        if self.n_images >= policy.window_images:
            return True
        return self.n_images > 0 and now_s - self._opened_s >= policy.window_s

    def close(self, *, at_ms: int) -> Profile:
        """The counts as a profile; the window must have seen an image."""
        assert self.n_images > 0, "an empty window says nothing and is never sent"
        pairs = self.n_images - 1
        return Profile(
            device=self.key.device,
            stream=self.key.stream,
            slot=self.key.slot,
            bundle=self.key.bundle,
            stratum=self.key.stratum,
            started_at_ms=self._started_at_ms,
            # A clock that was set back must not make a window end before it began.
            ended_at_ms=max(at_ms, self._started_at_ms),
            n_images=self.n_images,
            counts=dict(zip(self._names, self._counts, strict=True)),
            class_counts=self._class_counts,
            dependence={
                name: Dependence(pairs, *sums)
                for name, sums in zip(self._names, self._sums, strict=True)
            },
        )

    def _add_pairs(self, first_bins: list[int], second_bins: list[int]) -> None:
        for sums, ranks, first_bin, second_bin in zip(
            self._sums, self._ranks, first_bins, second_bins, strict=True
        ):
            first, second = ranks[first_bin], ranks[second_bin]
            sums[0] += first
            sums[1] += second
            sums[2] += first * first
            sums[3] += second * second
            sums[4] += first * second


def stratum_of(declared: str, facts: ReferenceFacts) -> str:
    """The stratum to compare a stream with: its own where the reference has it, else all images.

    >>> stratum_of("line=7", ReferenceFacts([], 1, strata=["", "line=3"]))
    ''
    """
    return declared if declared in facts.strata else ""


def on_grid(rank: float) -> float:
    """The rank rounded to the profile's grid, so that sums of ranks are exact in any order.

    >>> on_grid(0.5), on_grid(1 / 3) * 4096
    (0.5, 1365.0)
    """
    return round(rank * RANK_STEPS) / RANK_STEPS
