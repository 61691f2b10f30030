"""A model ready to find objects: pixels in, detections in pixels of the same image out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import Bundle, Detection, ModelInput, Thresholds
from sightloop.inference.classification import center_crop, seen_classes
from sightloop.inference.errors import BrokenAnswer, ModelMismatch
from sightloop.inference.geometry import Placement, place, to_image
from sightloop.inference.heads import Found, read_head
from sightloop.inference.images import Picture
from sightloop.inference.keypoints import keypoints_of
from sightloop.inference.letterbox import Tensor, letterbox, to_tensor
from sightloop.inference.masks import encode_mask, masks_of
from sightloop.inference.model_file import ModelFacts, facts_of
from sightloop.inference.rotated import read_turned, seen_turned
from sightloop.inference.runtime import OnnxSession, Session
from sightloop.inference.seen import Seen

FLOOR = 0.05
"""Lowest score that `detect` returns unless told: measures look below the reporting threshold."""


class Detector:
    """A loaded model of any task and how to use it. May be called from several threads."""

    def __init__(self, session: Session, facts: ModelFacts, thresholds: Thresholds) -> None:
        self._session = session
        self.facts = facts
        self.thresholds = thresholds

    def detect(self, picture: Picture, *, score_floor: float = FLOOR) -> list[Detection]:
        """Objects with at least `score_floor`, best first, in pixels of `picture`.

        Boxes that lie wholly in the padding are left out: there is no picture there.

        Raises:
            BrokenAnswer: the model computes something that is not a score, a box or a class.
        """
        return self.look(picture, score_floor=score_floor, shapes_from=math.inf).detections

    def look(
        self, picture: Picture, *, score_floor: float = FLOOR, shapes_from: float | None = None
    ) -> Seen:
        """What `detect` returns, and what else the model's task tells of the best objects.

        Args:
            picture: upright.
            score_floor: lowest score of an object.
            shapes_from: lowest score of an object whose shape is computed; the threshold from
                which objects are reported, unless given. Of those, one whose mask has no pixel is
                left out.

        Raises:
            BrokenAnswer: the model computes something that is not a score, a box or a class.
        """
        outputs = self._session.run(input_tensor(picture, self.facts.input))
        return self._read(outputs, picture, score_floor=score_floor, shapes_from=shapes_from)

    def look_at_several(self, pictures: Sequence[Picture]) -> list[Seen | BrokenAnswer]:
        """What `look` says of each, in their order, from one run of the model if it takes several.

        What is wrong with the answer to one picture stands in its place and spoils no other.
        """
        if self.facts.takes_several and len(pictures) > 1:
            tensors = [input_tensor(picture, self.facts.input) for picture in pictures]
            together = self._session.run(np.concatenate(tensors))
            rows = [[part[i : i + 1] for part in together] for i in range(len(pictures))]
        else:
            rows = [self._session.run(input_tensor(one, self.facts.input)) for one in pictures]
        seen: list[Seen | BrokenAnswer] = []
        for outputs, picture in zip(rows, pictures, strict=True):
            try:
                seen.append(self._read(outputs, picture, score_floor=FLOOR, shapes_from=None))
            except BrokenAnswer as broken:
                seen.append(broken)
        return seen

    def _read(
        self,
        outputs: list[NDArray[np.float32]],
        picture: Picture,
        *,
        score_floor: float,
        shapes_from: float | None,
    ) -> Seen:
        if shapes_from is None:
            shapes_from = self.thresholds.score
        facts, height_px, width_px = self.facts, picture.shape[0], picture.shape[1]
        if facts.task == "classify":
            return seen_classes(
                outputs[0],
                width_px=width_px,
                height_px=height_px,
                score_floor=score_floor,
                thresholds=self.thresholds,
            )
        placement = place(width_px, height_px, into=facts.input)
        n_classes = len(facts.class_names)
        if facts.task == "obb":
            turned = read_turned(
                outputs[0],
                facts.head,
                n_classes=n_classes,
                score_floor=score_floor,
                thresholds=self.thresholds,
            )
            return seen_turned(turned, placement)
        found = read_head(
            outputs[0],
            facts.head,
            n_classes=n_classes,
            score_floor=score_floor,
            thresholds=self.thresholds,
        )
        objects = _objects_of(found, placement)
        if facts.task == "detect" or math.isinf(shapes_from):
            return Seen(objects.detections)
        n_shapes = sum(one.score >= shapes_from for one in objects.detections)
        extras = found.extras[objects.rows[:n_shapes]]
        if facts.task == "pose":
            return Seen(
                objects.detections,
                keypoints_of(extras, placement, keypoint_shape=facts.keypoint_shape),
            )
        return _with_masks(objects, extras, outputs[1][0], placement)


def open_detector(
    model_file: Path, bundle: Bundle, *, threads: int, spinning: bool = False, arena: bool = True
) -> Detector:
    """The bundle's model, ready; `spinning` and `arena` as `OnnxSession`.

    Raises:
        ForeignModel: the file is no model of a known task.
        ModelMismatch: it is one, but not as the bundle describes it.
    """
    session = OnnxSession(model_file, threads=threads, spinning=spinning, arena=arena)
    facts = facts_of(session, file=str(model_file))
    promised = {
        "classes": (bundle.class_names, facts.class_names),
        "head": (bundle.head, facts.head),
        "task": (bundle.task, facts.task),
        "keypoints": (bundle.keypoint_shape, facts.keypoint_shape),
        # The file does not say how its pictures were padded, so the bundle is believed.
        "input": (bundle.input, _with_padding(facts, bundle.input.pad_value).input),
    }
    for what, (wanted, found) in promised.items():
        if wanted != found:
            raise ModelMismatch(
                file=str(model_file), what=what, wanted=str(wanted), found=str(found)
            )
    return Detector(session, _with_padding(facts, bundle.input.pad_value), bundle.thresholds)


def detector_for(session: Session, bundle: Bundle) -> Detector:
    """A detector over a build of the bundle's file, which says nothing of itself.

    The bundle is believed; the golden images tell whether that was right.
    """
    facts = ModelFacts(
        task=bundle.task,
        input=bundle.input,
        head=bundle.head,
        class_names=bundle.class_names,
        keypoint_shape=bundle.keypoint_shape,
        declared_licence=bundle.declared_licence,
        engine_version="",
    )
    return Detector(session, facts, bundle.thresholds)


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
        ForeignModel: the file is no model of a known task.
    """
    session = OnnxSession(model_file, threads=threads, spinning=spinning, arena=arena)
    return Detector(session, facts_of(session, file=str(model_file)), thresholds)


def input_tensor(picture: Picture, model_input: ModelInput) -> Tensor:
    """The picture as the model takes it."""
    if model_input.fit == "center_crop":
        return to_tensor(center_crop(picture, into=model_input))
    placement = place(picture.shape[1], picture.shape[0], into=model_input)
    return to_tensor(letterbox(picture, placement, into=model_input))


def reported(detections: Iterable[Detection], thresholds: Thresholds) -> list[Detection]:
    """Those a user gets to see: at or above the score threshold, in the given order."""
    return [detection for detection in detections if detection.score >= thresholds.score]


def _with_padding(facts: ModelFacts, pad_value: int) -> ModelFacts:
    return msgspec.structs.replace(
        facts, input=msgspec.structs.replace(facts.input, pad_value=pad_value)
    )


class _Objects(NamedTuple):
    """Boxes of the picture that have an area, and the rows of `Found` they came from."""

    detections: list[Detection]
    rows: list[int]


def _objects_of(found: Found, placement: Placement) -> _Objects:
    corners_px = to_image(found.corners_px, placement)
    detections, rows = [], []
    for row, (class_index, score, (x1, y1, x2, y2)) in enumerate(
        zip(found.classes, found.scores, corners_px.tolist(), strict=True)
    ):
        if x1 < x2 and y1 < y2:
            detections.append(Detection(int(class_index), float(score), x1, y1, x2, y2))
            rows.append(row)
    return _Objects(detections, rows)


def _with_masks(
    objects: _Objects,
    coefficients: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    placement: Placement,
) -> Seen:
    n_shapes = len(coefficients)
    corners = [(one.x1, one.y1, one.x2, one.y2) for one in objects.detections[:n_shapes]]
    corners_px = np.array(corners, dtype=np.float32).reshape(-1, 4)
    parts = masks_of(coefficients, prototypes, corners_px, placement)
    size = {"height_px": placement.picture_height_px, "width_px": placement.picture_width_px}
    seen = [
        (one, encode_mask(part, **size))
        for one, part in zip(objects.detections, parts, strict=False)
        if part.pixels.any()
    ]
    return Seen(
        [*(one for one, _ in seen), *objects.detections[n_shapes:]], [mask for _, mask in seen]
    )
