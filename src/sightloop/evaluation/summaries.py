"""An evaluation's answers in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightloop.evaluation.average_precision import coco_scores
from sightloop.evaluation.matching import image_loss
from sightloop.evaluation.values import ImageAnswer, StratumSummary, Summary


def summarise(
    answers: Sequence[ImageAnswer], *, class_names: Sequence[str], score_threshold: float
) -> Summary:
    """What these answers, at least one, amount to; losses are taken at the score threshold."""
    scores = coco_scores(answers)
    losses = losses_of(answers, score_threshold=score_threshold)
    p50_ms, p95_ms = np.quantile([answer.duration_ms for answer in answers], [0.5, 0.95])
    return Summary(
        ap=scores.ap,
        ap50=scores.ap50,
        ap75=scores.ap75,
        ap50_by_class={class_names[one]: ap50 for one, ap50 in scores.ap50_by_class.items()},
        strata=_strata(answers, losses),
        mean_loss=float(np.mean(losses)),
        latency_p50_ms=float(p50_ms),
        latency_p95_ms=float(p95_ms),
    )


def losses_of(answers: Sequence[ImageAnswer], *, score_threshold: float) -> list[float]:
    """The loss of each image, in order."""
    return [
        image_loss(answer.detections, answer.truths, score_threshold=score_threshold)
        for answer in answers
    ]


def in_stratum(answers: Sequence[ImageAnswer], stratum: str) -> list[ImageAnswer]:
    """The answers to the images of one stratum, in order; `""` is all of them."""
    return [answer for answer in answers if stratum in answer.strata]


def _strata(answers: Sequence[ImageAnswer], losses: Sequence[float]) -> dict[str, StratumSummary]:
    members: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        for stratum in answer.strata:
            members.setdefault(stratum, []).append(index)
    return {
        stratum: _stratum([answers[i] for i in indices], [losses[i] for i in indices])
        for stratum, indices in sorted(members.items())
    }


def _stratum(answers: Sequence[ImageAnswer], losses: Sequence[float]) -> StratumSummary:
    return StratumSummary(
        n_images=len(answers),
        n_objects=sum(len(answer.truths) for answer in answers),
        ap50=coco_scores(answers).ap50,
        mean_loss=float(np.mean(losses)),
    )
