"""How unsure a model is of an image: how many of its scores lie near the reporting threshold.

Distance is taken in log-odds, where 0.02 and 0.04 are as far apart as 0.33 and 0.5. A score is
**ambiguous** by

    a(s) = max(0, 1 - |logit(s) - logit(threshold)| / 2)

1 at the threshold, 1/2 one log-odds away, 0 from two on. Scores with a(s) >= 1/2 make the
**ambiguous band**: 0.11 to 0.48 for a threshold of 0.25, 0.27 to 0.73 for one of 0.5.

The uncertainty of an image is

    u = 1 - product over its five most ambiguous detections of (1 - a / 2)

so 0 with nothing near the threshold, 0.5 with one detection right at it, 0.75 with two, and at most
1 - 2**-5, about 0.97. Five, because any number of faint answers at the floor must not add up to one
real doubt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sightloop.contracts.bundle import Detection, Thresholds

_REACH_LOG_ODDS = 2.0
_N_MOST_AMBIGUOUS = 5
_BAND = 0.5


def uncertainty(detections: Sequence[Detection], thresholds: Thresholds) -> float:
    """The image's uncertainty in [0, 1); takes the detections as `detect` returns them.

    >>> at = lambda score: Detection(0, score, 0, 0, 9, 9)
    >>> [uncertainty([at(score)], Thresholds(0.5)) for score in (0.5, 0.99)]
    [0.5, 0.0]
    """
    most = sorted((ambiguity(one.score, thresholds) for one in detections), reverse=True)
    certainty = math.prod(1 - one / 2 for one in most[:_N_MOST_AMBIGUOUS])
    return 1 - certainty


def ambiguity(score: float, thresholds: Thresholds) -> float:
    """How close a score is to the threshold: 1 at it, 0 from two log-odds on."""
    distance = abs(_logit(score) - _logit(thresholds.score))
    return max(0.0, 1 - distance / _REACH_LOG_ODDS)


def is_ambiguous(score: float, thresholds: Thresholds) -> bool:
    """Whether the score lies in the ambiguous band."""
    return ambiguity(score, thresholds) >= _BAND


def _logit(share: float) -> float:
    inside = min(max(share, 1e-4), 1 - 1e-4)  # thresholds of 0 and 1 exist and must not be infinite
    return math.log(inside / (1 - inside))
