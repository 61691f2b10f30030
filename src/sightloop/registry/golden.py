"""Which images go along in a bundle as proof that a host runs it right. Pure.

A good golden image shows something, and leaves no doubt: an answer close to the score threshold
may be reported on one processor and not on the next, without either being wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

from sightloop.contracts.bundle import GOLDEN_SCORE_TOLERANCE, Thresholds
from sightloop.datasets.values import SampleId, strata_of
from sightloop.registry.unseen import UnseenImage

N_GOLDEN = 8


def choose_golden(
    images: Sequence[UnseenImage], *, thresholds: Thresholds, n_wanted: int = N_GOLDEN
) -> list[UnseenImage]:
    """Up to `n_wanted` of them, spread evenly over the strata; the same for the same images.

    In each stratum those come first that have an answer to report and none near the threshold.
    """
    ranked = sorted(images, key=lambda one: (_doubt(one, thresholds), one.sample.id))
    by_stratum: dict[str, list[UnseenImage]] = {}
    for image in ranked:
        for stratum in strata_of(image.sample.slices)[1:]:
            by_stratum.setdefault(stratum, []).append(image)
    # The best of each stratum, then the second best of each, ...; whoever has no stratum is last.
    turns = chain.from_iterable(zip_longest(*(by_stratum[name] for name in sorted(by_stratum))))
    chosen: dict[SampleId, UnseenImage] = {}
    for turn in chain(turns, ranked):
        if turn is not None and len(chosen) < n_wanted:
            chosen.setdefault(turn.sample.id, turn)
    return sorted(chosen.values(), key=lambda one: one.sample.id)


def _doubt(image: UnseenImage, thresholds: Thresholds) -> int:
    scores = [one.score for one in image.detections]
    is_near = any(abs(score - thresholds.score) < GOLDEN_SCORE_TOLERANCE for score in scores)
    is_empty = not any(score >= thresholds.score for score in scores)
    return 2 * is_near + is_empty
