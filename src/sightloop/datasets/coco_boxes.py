"""What COCO boxes mean on the image they belong to, whose file may be stored turned."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sightloop.datasets.boxes import TURNED, SizePx, clipped, overshoot_px, upright
from sightloop.datasets.coco import SEGMENTATION, CocoAnnotation, CocoImage
from sightloop.datasets.errors import EmptyBox
from sightloop.datasets.problems import Note, NoteKind, Problem, ProblemKind
from sightloop.datasets.values import AttributeValue, BoxPx, rounded

CLIP_PX = 1.0
"""A box may reach this far out of its image and is cut; rounding in labelling tools does that."""


class StoredSize(NamedTuple):
    """How the pixels of a file are stored, and how they are meant to be seen."""

    stored: SizePx
    orientation: int
    """The EXIF value, 1 to 8."""

    @property
    def upright(self) -> SizePx:
        """Width and height as everyone sees them."""
        if self.orientation in TURNED:
            return SizePx(self.stored.height_px, self.stored.width_px)
        return self.stored


class FoundObject(NamedTuple):
    """A box that lies on its image."""

    category_id: int
    box: BoxPx
    attributes: dict[str, AttributeValue]


class Labels(NamedTuple):
    """The labels of one image, and what is the matter with others."""

    objects: list[FoundObject]
    unlabelled: set[int]
    """Categories of which an object on the image may be missing among `objects`.

    An object that was left out is no background: the image is not exhaustively labelled for its
    class any more, nor for any class when that of the object is unknown.
    """
    problems: list[Problem]
    notes: list[Note]


def read_labels(
    image: CocoImage,
    annotations: Sequence[CocoAnnotation],
    *,
    size: StoredSize,
    category_ids: Collection[int],
) -> Labels:
    """The image's labels in its upright frame; `size` is that of its file."""
    labels = Labels([], set(), [], [])
    turned = is_drawn_turned(image, size)
    for one in annotations:
        if one.category_id not in category_ids:
            text = f"no category has the id {one.category_id}"
            labels.problems.append(_problem("unknown_category", text, image, one))
            labels.unlabelled.update(category_ids)
            continue
        placed = _placed(one, size, turned=turned)
        if placed.box is None:
            labels.problems.append(_problem("impossible_box", placed.text, image, one))
            labels.unlabelled.add(one.category_id)
            continue
        if placed.text:
            labels.notes.append(_note("clipped_box", placed.text, image, one))
        labels.objects.append(FoundObject(one.category_id, placed.box, one.attributes))
    if turned and annotations:
        labels.notes.append(_note("turned_boxes", _turning(size, len(annotations)), image))
    return labels if not turned else _without_outlines(labels, image)


def mismatch(image: CocoImage, size: StoredSize) -> Problem | None:
    """What is wrong when the declared size is neither that of the file nor that of its pixels."""
    if image.declared in (None, size.upright, size.stored):
        return None
    text = f"the data set says {_text(image.declared)}, the file has {_text(size.upright)}"
    return _problem("size_mismatch", text, image)


def is_drawn_turned(image: CocoImage, size: StoredSize) -> bool:
    """Whether the boxes lie on the pixels as stored, not as seen."""
    return image.declared == size.stored != size.upright


class _Placed(NamedTuple):
    """A box on its image; None when there can be no such box. The text says what is odd."""

    box: BoxPx | None
    text: str


def _placed(annotation: CocoAnnotation, size: StoredSize, *, turned: bool) -> _Placed:
    x, y, width, height = annotation.bbox
    named = f"bbox {[x, y, width, height]}"
    if not all(math.isfinite(number) for number in annotation.bbox):
        return _Placed(None, f"{named} is not all numbers")
    try:
        box = rounded(BoxPx(x, y, x + width, y + height))
    except EmptyBox:
        return _Placed(None, f"{named} has no area")
    if turned:
        box = rounded(upright(box, size.stored, orientation=size.orientation))
    beyond_px = overshoot_px(box, size.upright)
    if not beyond_px:
        return _Placed(box, "")
    outside = f"{named} reaches {beyond_px:g} px out of the image of {_text(size.upright)}"
    if beyond_px > CLIP_PX or (cut := clipped(box, size.upright)) is None:
        return _Placed(None, outside)
    return _Placed(cut, f"{outside} and was cut")


def _without_outlines(labels: Labels, image: CocoImage) -> Labels:
    """The labels without masks, which are not turned along with their boxes."""
    n_outlines = sum(SEGMENTATION in one.attributes for one in labels.objects)
    if not n_outlines:
        return labels
    objects = [
        one._replace(
            attributes={key: one.attributes[key] for key in one.attributes.keys() - {SEGMENTATION}}
        )
        for one in labels.objects
    ]
    text = f"{n_outlines} segmentations are not kept: only boxes are turned upright"
    return labels._replace(
        objects=objects, notes=[*labels.notes, _note("field_left_out", text, image)]
    )


def _turning(size: StoredSize, n_boxes: int) -> str:
    return (
        f"{n_boxes} boxes were drawn on the {_text(size.stored)} as stored and are turned to the "
        f"upright {_text(size.upright)} (EXIF orientation {size.orientation})"
    )


def _problem(
    kind: ProblemKind, text: str, image: CocoImage, annotation: CocoAnnotation | None = None
) -> Problem:
    return Problem(
        kind=kind,
        text=text,
        file=image.file_name,
        image_id=image.id,
        annotation_id=None if annotation is None else annotation.id,
    )


def _note(
    kind: NoteKind, text: str, image: CocoImage, annotation: CocoAnnotation | None = None
) -> Note:
    return Note(
        kind=kind,
        text=text,
        file=image.file_name,
        image_id=image.id,
        annotation_id=None if annotation is None else annotation.id,
    )


def _text(size: SizePx | None) -> str:
    return "no size" if size is None else f"{size.width_px} x {size.height_px} px"
