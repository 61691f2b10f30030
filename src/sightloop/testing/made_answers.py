"""Made-up answers of models, for tests of matching, metrics and gates."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox
from sightloop.datasets.values import SampleId
from sightloop.evaluation.values import ImageAnswer


def answer(
    sample: str,
    truths: Sequence[LabelledBox] = (),
    detections: Sequence[Detection] = (),
    *,
    strata: Sequence[str] = ("",),
    duration_ms: float = 1.0,
) -> ImageAnswer:
    """What is on an image of 200 x 200 px and what was found there, best first."""
    return ImageAnswer(
        sample=SampleId(sample),
        strata=list(strata),
        width_px=200,
        height_px=200,
        truths=list(truths),
        detections=sorted(detections, key=lambda one: -one.score),
        duration_ms=duration_ms,
    )


def truth(class_index: int, x: float, y: float = 0.0) -> LabelledBox:
    """A square object of 10 px."""
    return LabelledBox(class_index, x, y, x + 10, y + 10)


def found(class_index: int, score: float, x: float, y: float = 0.0) -> Detection:
    """A square detection of 10 px."""
    return Detection(class_index, score, x, y, x + 10, y + 10)


def messy_scenes(
    rng: np.random.Generator, *, n_images: int, n_classes: int, n_scores: int = 7
) -> list[ImageAnswer]:
    """Anything goes: ties, double answers, wrong classes, empty images, boxes on whole pixels.

    Scores are multiples of 1 / n_scores, so a small number makes many ties.
    """

    def score() -> float:
        return float(rng.integers(1, n_scores + 1) / n_scores)

    answers = []
    for number in range(n_images):
        truths: list[LabelledBox] = []
        detections: list[Detection] = []
        for _ in range(int(rng.integers(0, 6))):
            class_index = int(rng.integers(n_classes))
            x, y = (int(corner) for corner in rng.integers(0, 60, 2))
            truths.append(truth(class_index, x, y))
            for _ in range(int(rng.integers(0, 3))):
                shift_x, shift_y = (int(shift) for shift in rng.integers(-4, 5, 2))
                guess = class_index if rng.random() < 0.8 else int(rng.integers(n_classes))
                detections.append(found(guess, score(), x + shift_x, y + shift_y))
        for _ in range(int(rng.integers(0, 4))):
            left, top = (float(corner) for corner in rng.random(2) * 60)
            detections.append(found(int(rng.integers(n_classes)), score(), left, top))
        answers.append(answer(f"image {number:04d}", truths, detections))
    return answers


def shown_objects(
    rng: np.random.Generator, *, n_images: int, n_objects: int = 3, stratum: str = "line=A"
) -> list[ImageAnswer]:
    """Images of a stratum, with that many objects of two classes each and no answers yet."""
    return [
        answer(
            f"{stratum} {number:04d}",
            [truth(int(rng.integers(2)), 20.0 * index) for index in range(n_objects)],
            strata=("", stratum),
        )
        for number in range(n_images)
    ]


def answered(
    rng: np.random.Generator, scenes: Sequence[ImageAnswer], *, skill: float
) -> list[ImageAnswer]:
    """The scenes as a model of that skill answers them: it finds this share of the objects."""
    return [
        msgspec.structs.replace(scene, detections=_answers_to(rng, scene, skill))
        for scene in scenes
    ]


def _answers_to(rng: np.random.Generator, scene: ImageAnswer, skill: float) -> list[Detection]:
    detections = [
        Detection(box.class_index, float(rng.beta(5, 2)), box.x1, box.y1, box.x2, box.y2)
        for box in scene.truths
        if rng.random() < skill
    ]
    if rng.random() < 0.3:
        detections.append(found(int(rng.integers(2)), float(rng.beta(2, 5)), 150.0, 150.0))
    return sorted(detections, key=lambda one: -one.score)
