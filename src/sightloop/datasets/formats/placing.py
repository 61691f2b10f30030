"""What the labels of a listing mean on the image they belong to, whose file may be stored turned.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import cycle
from typing import NamedTuple

from sightloop.datasets.boxes import TURNED, overshoot_px, pulled_in, upright
from sightloop.datasets.errors import EmptyBox, FarAway
from sightloop.datasets.formats.listing import (
    SEGMENTATION,
    Box,
    ClassKey,
    Keypoints,
    ListedImage,
    ListedObject,
    Mask,
    OfWholeImage,
    OrientedBox,
    Polygon,
    Shape,
)
from sightloop.datasets.geometry import (
    FAR_PX,
    BoxPx,
    Geometry,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
    enclosing,
    rounded,
)
from sightloop.datasets.masks import bounds_of_runs, canonical, compressed, runs_of
from sightloop.datasets.problems import Note, NoteKind, Problem, ProblemKind
from sightloop.datasets.values import AttributeValue

CLIP_PX = 1.0
"""A box may reach this far out of its image and is cut; rounding in labelling tools does that."""

_POINTS_OF_RING = 3
_MORE_PIXELS_THAN_ANY = 1 << 53


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
    """An object that lies on its image."""

    class_key: ClassKey
    geometry: Geometry
    attributes: dict[str, AttributeValue]


class Labels(NamedTuple):
    """The labels of one image, and what is the matter with others."""

    objects: list[FoundObject]
    unlabelled: set[ClassKey]
    """Classes of which an object on the image may be missing among `objects`.

    An object that was left out is no background: the image is not exhaustively labelled for its
    class any more, nor for any class when that of the object is unknown.
    """
    problems: list[Problem]
    notes: list[Note]


def read_labels(
    image: ListedImage,
    objects: Sequence[ListedObject],
    *,
    size: StoredSize,
    class_keys: Collection[ClassKey],
) -> Labels:
    """The image's labels in its upright frame; `size` is that of its file."""
    labels = Labels([], set(), [], [])
    if image.labelled_for is not None:
        labels.unlabelled.update(set(class_keys) - set(image.labelled_for))
    turned = is_drawn_turned(image, size)
    for one in objects:
        if one.class_key not in class_keys:
            text = f"no category has the id {one.class_key}"
            labels.problems.append(_problem("unknown_category", text, image, one))
            labels.unlabelled.update(class_keys)
            continue
        placed = _placed(one, size, turned=turned)
        if placed.geometry is None:
            labels.problems.append(_problem("impossible_box", placed.text, image, one))
            labels.unlabelled.add(one.class_key)
            continue
        if placed.text:
            labels.notes.append(_note(placed.kind, placed.text, image, one))
        labels.objects.append(FoundObject(one.class_key, placed.geometry, one.attributes))
    if turned and objects:
        labels.notes.append(_note("turned_boxes", _turning(size, len(objects)), image))
    return _without_outlines(labels, image) if turned else labels


def mismatch(image: ListedImage, size: StoredSize) -> Problem | None:
    """What is wrong when the declared size is neither that of the file nor that of its pixels."""
    if image.declared in (None, size.upright, size.stored):
        return None
    text = f"the data set says {_text(image.declared)}, the file has {_text(size.upright)}"
    return _problem("size_mismatch", text, image)


def is_drawn_turned(image: ListedImage, size: StoredSize) -> bool:
    """Whether the labels lie on the pixels as stored, not as seen."""
    return image.declared == size.stored != size.upright


class _Placed(NamedTuple):
    """A geometry on its image; None when there can be none. The text says what is odd."""

    geometry: Geometry | None
    text: str
    kind: NoteKind = "clipped_box"


class _Impossible(Exception):
    """What a file describes is nothing that can lie on an image."""


def _placed(one: ListedObject, size: StoredSize, *, turned: bool) -> _Placed:
    """The object as it is listed, or by its box alone where only that can be right."""
    placed = _placed_as_listed(one, size, turned=turned)
    box = getattr(one.shape, "box", None)
    if placed.geometry is not None or box is None:
        return placed
    alone = _placed_as_listed(one._replace(shape=box), size, turned=turned)
    text = alone.text or f"{placed.text}; its box was kept"
    return _Placed(alone.geometry, text, "shape_left_out")


def _placed_as_listed(one: ListedObject, size: StoredSize, *, turned: bool) -> _Placed:
    frame = size.stored if turned else size.upright
    try:
        geometry = rounded(_geometry(one, frame))
    except EmptyBox:
        return _Placed(None, f"{_written(one.shape)} has no area")
    except FarAway as error:
        return _Placed(None, f"{_written(one.shape)}: {error.message}")
    except _Impossible as why:
        return _Placed(None, f"{_written(one.shape)} {why}")
    if isinstance(geometry, WholeImage):
        return _Placed(geometry, "")
    if turned:
        geometry = rounded(upright(geometry, size.stored, orientation=size.orientation))
    beyond_px = overshoot_px(geometry, size.upright)
    if not beyond_px or isinstance(geometry, WholeImage):
        return _Placed(geometry, "")
    written = _written(one.shape)
    outside = f"{written} reaches {beyond_px:g} px out of the image of {_text(size.upright)}"
    if beyond_px > CLIP_PX or (cut := pulled_in(geometry, size.upright)) is None:
        return _Placed(None, outside)
    return _Placed(cut, f"{outside} and was cut")


def _geometry(one: ListedObject, frame: SizePx) -> Geometry:
    """The geometry in pixels, before it is held against the image.

    Raises:
        EmptyBox: it has no area.
        FarAway: it lies on no image.
        _Impossible: its numbers cannot be right.
    """
    shape = one.shape
    scale = frame if one.is_share else SizePx(1, 1)
    if isinstance(shape, Box):
        return _box(shape, scale)
    if isinstance(shape, OfWholeImage):
        return WholeImage()
    if isinstance(shape, OrientedBox):
        if len(shape.corners) != 8:
            raise _Impossible("has not four corners")
        a, b, c, d, e, f, g, h = _scaled(shape.corners, scale)
        return OrientedBoxPx((a, b, c, d, e, f, g, h))
    if isinstance(shape, Polygon):
        return _polygon(shape, scale)
    if isinstance(shape, Keypoints):
        return _keypoints(shape, scale)
    return _mask(shape, frame)


def _box(shape: Box, scale: SizePx) -> BoxPx:
    a, b, c, d = _scaled(shape.numbers, scale)
    if shape.layout == "bbox":
        return BoxPx(a, b, a + c, b + d)
    if shape.layout == "center":
        return BoxPx(a - c / 2, b - d / 2, a + c / 2, b + d / 2)
    return BoxPx(a, b, c, d)


def _polygon(shape: Polygon, scale: SizePx) -> PolygonPx:
    rings = tuple(_scaled(ring, scale) for ring in shape.rings)
    if not rings or any(len(ring) < 2 * _POINTS_OF_RING or len(ring) % 2 for ring in rings):
        raise _Impossible("has an outline of fewer than three points")
    box = _box(shape.box, scale) if shape.box else enclosing(sum(rings, ()))
    return PolygonPx(box.x1, box.y1, box.x2, box.y2, rings)


def _keypoints(shape: Keypoints, scale: SizePx) -> KeypointsPx:
    numbers = shape.points
    if not numbers or len(numbers) % 3:
        raise _Impossible("is no list of x, y, visibility")
    if any(seen not in (0, 1, 2) for seen in numbers[2::3]):
        raise _Impossible("has a visibility that is none of 0, 1, 2")
    points: list[float] = []
    for x, y, seen in zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True):
        points += (*_scaled((x, y), scale), float(seen))
    labelled = [
        one for at in range(0, len(points), 3) if points[at + 2] for one in points[at : at + 2]
    ]
    if shape.box is None and not labelled:
        raise _Impossible("has neither a box nor a labelled point")
    box = _box(shape.box, scale) if shape.box else enclosing(tuple(labelled))
    return KeypointsPx(box.x1, box.y1, box.x2, box.y2, tuple(points))


def _mask(shape: Mask, frame: SizePx) -> MaskPx:
    if shape.size != frame:
        raise _Impossible(f"is of {_text(shape.size)}, the image of {_text(frame)}")
    try:
        runs = canonical(runs_of(shape.runs) if isinstance(shape.runs, str) else shape.runs)
    except ValueError as error:
        raise _Impossible(f"is no run lengths: {error}") from error
    if min(runs, default=0) < 0 or sum(runs) != frame.width_px * frame.height_px:
        raise _Impossible(f"covers {_count_of(runs)} pixels, the image has {_text(frame)}")
    box = _box(shape.box, SizePx(1, 1)) if shape.box else bounds_of_runs(runs, frame)
    if box is None:
        raise _Impossible("has no pixel")
    return MaskPx(box.x1, box.y1, box.x2, box.y2, compressed(runs))


def _count_of(runs: Sequence[int]) -> str:
    n_pixels = sum(runs)
    return str(n_pixels) if abs(n_pixels) < _MORE_PIXELS_THAN_ANY else "too many"


def _scaled(numbers: Sequence[float], scale: SizePx) -> tuple[float, ...]:
    if not all(math.isfinite(number) for number in numbers):
        raise _Impossible("is not all numbers")
    far = max(numbers, key=abs, default=0.0)
    if abs(far) > FAR_PX:  # so far out, sides are lost in rounding and boxes seem to be empty
        raise FarAway(coordinate_px=far, limit_px=FAR_PX)
    if scale == (1, 1):
        return tuple(numbers)
    return tuple(number * side for number, side in zip(numbers, cycle(scale), strict=False))


def _written(shape: Shape) -> str:
    """The shape as its file has it, as far as anybody would want to read it."""
    if isinstance(shape, Box):
        return f"{shape.layout} {list(shape.numbers)}"
    if isinstance(shape, OrientedBox):
        return f"oriented box {list(shape.corners)}"
    return {Polygon: "polygon", Mask: "mask", Keypoints: "keypoints"}.get(type(shape), "object")


def _without_outlines(labels: Labels, image: ListedImage) -> Labels:
    """The labels without outlines kept as text, which are not turned along with their objects."""
    n_outlines = sum(SEGMENTATION in one.attributes for one in labels.objects)
    if not n_outlines:
        return labels
    objects = [
        one._replace(
            attributes={key: one.attributes[key] for key in one.attributes.keys() - {SEGMENTATION}}
        )
        for one in labels.objects
    ]
    text = f"{n_outlines} segmentations of objects with keypoints are not kept: they lie turned"
    return labels._replace(
        objects=objects, notes=[*labels.notes, _note("field_left_out", text, image)]
    )


def _turning(size: StoredSize, n_boxes: int) -> str:
    return (
        f"{n_boxes} boxes were drawn on the {_text(size.stored)} as stored and are turned to the "
        f"upright {_text(size.upright)} (EXIF orientation {size.orientation})"
    )


def _problem(
    kind: ProblemKind, text: str, image: ListedImage, found: ListedObject | None = None
) -> Problem:
    return Problem(
        kind=kind,
        text=text,
        file=image.file_name,
        image_id=image.id,
        annotation_id=None if found is None else found.id,
        at="" if found is None else found.at,
    )


def _note(kind: NoteKind, text: str, image: ListedImage, found: ListedObject | None = None) -> Note:
    return Note(
        kind=kind,
        text=text,
        file=image.file_name,
        image_id=image.id,
        annotation_id=None if found is None else found.id,
        at="" if found is None else found.at,
    )


def _text(size: SizePx | None) -> str:
    return "no size" if size is None else f"{size.width_px} x {size.height_px} px"
