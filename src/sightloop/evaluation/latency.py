"""How fast two models are, measured so that they can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from sightloop.contracts.bundle import Detection
from sightloop.evaluation.values import LatencyComparison
from sightloop.inference.images import Picture, decode_picture
from sightloop.kernel.clock import Clock


class Finder(Protocol):
    """What is timed; a `Detector` is one."""

    def detect(self, picture: Picture) -> list[Detection]:
        """Objects in the picture."""
        ...


def compare_latency(
    candidate: Finder, champion: Finder | None, contents: Sequence[bytes], *, clock: Clock
) -> LatencyComparison:
    """Time both models on each image in turn, after one untimed image each.

    They take turns, and turns at going first, so that whatever else the machine does meanwhile
    falls on both alike.

    Args:
        candidate: the model that may be released.
        champion: the model it would replace, if any.
        contents: image files, at least one.
        clock: of the machine that both run on.
    """
    finders = [candidate] if champion is None else [candidate, champion]
    for finder in finders:
        _time_ms(finder, contents[0], clock=clock)
    times_ms: list[list[float]] = [[] for _ in finders]
    for n_done, content in enumerate(contents):
        order = range(len(finders)) if n_done % 2 == 0 else reversed(range(len(finders)))
        for index in order:
            times_ms[index].append(_time_ms(finders[index], content, clock=clock))
    p50_ms = [float(np.median(values)) for values in times_ms]
    return LatencyComparison(
        n_images=len(contents),
        candidate_p50_ms=p50_ms[0],
        champion_p50_ms=p50_ms[1] if champion is not None else None,
    )


def _time_ms(finder: Finder, content: bytes, *, clock: Clock) -> float:
    started_s = clock.monotonic_s()
    finder.detect(decode_picture(content, name="a timed image"))
    return (clock.monotonic_s() - started_s) * 1000
