"""At which score a new model reports an object: where its answers are least wrong. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightloop.evaluation.matching import match
from sightloop.evaluation.values import ImageAnswer

CANDIDATES: tuple[float, ...] = tuple(round(0.05 + 0.01 * step, 2) for step in range(91))
"""0.05 to 0.95 in steps of a hundredth; below 0.05 devices do not look."""


def choose_threshold(
    answers: Sequence[ImageAnswer], *, candidates: Sequence[float] = CANDIDATES
) -> float:
    """The candidate with the least mean image loss over the answers; of several the lowest.

    Args:
        answers: at least one, of images the model has not seen.
        candidates: ascending scores.
    """
    thresholds = np.asarray(candidates)
    total = np.zeros(len(thresholds))
    for answer in answers:
        total += _losses(answer, thresholds)
    # Sums of equal losses may differ in their last digits; that must not decide.
    return float(thresholds[np.argmin(np.round(total / len(answers), 9))])


def _losses(answer: ImageAnswer, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_thresholds,): the image's loss at each.

    One matching does for all thresholds: the best score chooses first, so leaving out the lower
    ones changes nothing for those that stay.
    """
    partners = match(answer.detections, answer.truths)
    scores = np.array([one.score for one in answer.detections])
    is_hit = np.array([partner is not None for partner in partners], dtype=bool)
    shown = scores[np.newaxis, :] >= thresholds[:, np.newaxis]
    n_shown, n_found = shown.sum(axis=1), (shown & is_hit[np.newaxis, :]).sum(axis=1)
    n_all = n_shown + len(answer.truths)
    f1 = np.divide(2 * n_found, n_all, out=np.ones(len(thresholds)), where=n_all > 0)
    losses: NDArray[np.float64] = 1 - f1
    return losses
