"""A model ready to find objects: pixels in, detections in pixels of the same image out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from sightloop.contracts.bundle import Bundle, Detection, Thresholds
from sightloop.inference.errors import ModelMismatch
from sightloop.inference.geometry import Placement, place, to_image
from sightloop.inference.heads import Found, read_head
from sightloop.inference.images import Picture
from sightloop.inference.letterbox import letterbox, to_tensor
from sightloop.inference.model_file import ModelFacts, facts_of
from sightloop.inference.runtime import OnnxSession

FLOOR = 0.05
"""Lowest score that `detect` returns unless told: measures look below the reporting threshold."""


class Detector:
    """A loaded model and how to use it. `detect` may be called from several threads."""

    def __init__(self, session: OnnxSession, facts: ModelFacts, thresholds: Thresholds) -> None:
        self._session = session
        self.facts = facts
        self.thresholds = thresholds

    def detect(self, picture: Picture, *, score_floor: float = FLOOR) -> list[Detection]:
        """Objects with at least `score_floor`, best first, in pixels of `picture`.

        Boxes that lie wholly in the padding are left out: there is no picture there.

        Raises:
            BrokenAnswer: the model computes something that is not a score, a box or a class.
        """
        height_px, width_px = picture.shape[:2]
        placement = place(width_px, height_px, into=self.facts.input)
        tensor = to_tensor(letterbox(picture, placement, into=self.facts.input))
        found = read_head(
            self._session.run(tensor),
            self.facts.head,
            n_classes=len(self.facts.class_names),
            score_floor=score_floor,
            thresholds=self.thresholds,
        )
        return _detections_of(found, placement)


def open_detector(
    model_file: Path, bundle: Bundle, *, threads: int, spinning: bool = False, arena: bool = True
) -> Detector:
    """The bundle's model, ready; `spinning` and `arena` as `OnnxSession`.

    Raises:
        ForeignModel: the file is no detection model.
        ModelMismatch: it is one, but not as the bundle describes it.
    """
    session = OnnxSession(model_file, threads=threads, spinning=spinning, arena=arena)
    facts = facts_of(session, file=str(model_file))
    promised = {
        "classes": (bundle.class_names, facts.class_names),
        "head": (bundle.head, facts.head),
        # The file does not say how its pictures were padded, so the bundle is believed.
        "input": (bundle.input, _with_padding(facts, bundle.input.pad_value).input),
    }
    for what, (wanted, found) in promised.items():
        if wanted != found:
            raise ModelMismatch(
                file=str(model_file), what=what, wanted=str(wanted), found=str(found)
            )
    return Detector(session, _with_padding(facts, bundle.input.pad_value), bundle.thresholds)


def open_model(
    model_file: Path,
    *,
    thresholds: Thresholds,
    threads: int,
    spinning: bool = False,
    arena: bool = True,
) -> Detector:
    """A model file on its own, before a bundle exists; its metadata alone says how to use it.

    Raises:
        ForeignModel: the file is no detection model.
    """
    session = OnnxSession(model_file, threads=threads, spinning=spinning, arena=arena)
    return Detector(session, facts_of(session, file=str(model_file)), thresholds)


def reported(detections: Iterable[Detection], thresholds: Thresholds) -> list[Detection]:
    """Those a user gets to see: at or above the score threshold, in the given order."""
    return [detection for detection in detections if detection.score >= thresholds.score]


def _with_padding(facts: ModelFacts, pad_value: int) -> ModelFacts:
    return msgspec.structs.replace(
        facts, input=msgspec.structs.replace(facts.input, pad_value=pad_value)
    )


def _detections_of(found: Found, placement: Placement) -> list[Detection]:
    corners_px = to_image(found.corners_px, placement)
    return [
        Detection(int(class_index), float(score), x1, y1, x2, y2)
        for class_index, score, (x1, y1, x2, y2) in zip(
            found.classes, found.scores, corners_px.tolist(), strict=True
        )
        if x1 < x2 and y1 < y2
    ]
