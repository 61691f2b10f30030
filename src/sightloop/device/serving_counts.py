"""What a slot did since the agent started, by version: the numbers behind `/metrics`. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Literal, NamedTuple

DURATION_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64)
MOST_VERSIONS = 16
"""A device swaps for years: the version that was counted first is forgotten first."""

Outcome = Literal["answered", "unreadable", "failed", "timed_out", "overtaken", "left"]
"""`unreadable`: the client sent no image. `failed`: an image, but no answer. `timed_out`: no answer
in time. `overtaken`: its version was replaced while it waited. `left`: the client did not wait."""


class Version(NamedTuple):
    """Whose requests are counted."""

    model: str
    number: int


class Histogram:
    """Counts by upper bounds, and the sum of all values."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count the value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def n(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class VersionCounts:
    """Of one version."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.duration_s = Histogram(DURATION_BOUNDS_S)
        """From the arrival of the whole image to its answer."""
        self.waited_s = Histogram(DURATION_BOUNDS_S)
        """From there until a worker got it."""
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        """Images in one run of the model."""


class SlotCounts:
    """Of all versions that served lately."""

    def __init__(self) -> None:
        self.versions: dict[Version, VersionCounts] = {}
        self.n_refused: Counter[str] = Counter()
        """By error code: what was not even accepted."""

    def of(self, version: Version) -> VersionCounts:
        """This version's, from zero when it is new."""
        counts = self.versions.get(version)
        if counts is None:
            while len(self.versions) >= MOST_VERSIONS:
                del self.versions[next(iter(self.versions))]
            counts = self.versions[version] = VersionCounts()
        return counts
