"""What dataset pages draw: boxes over pictures in colours, changes in words, charts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sightloop.datasets.diff import BoxChange, SampleDiff
from sightloop.datasets.geometry import (
    BoxPx,
    Geometry,
    KeypointsPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
    area_of,
    bounds_of,
)
from sightloop.datasets.index import size_of
from sightloop.datasets.statistics import Bin, Statistics
from sightloop.datasets.values import Annotation, AnnotationId, ClassId, Sample, Taxonomy
from sightloop.server import charts

N_COLOURS = 10
CROSSES_PER_SIDE = 40
"""How small the cross of a keypoint is against the shorter side of its box."""

MAX_BOXES_ON_THUMB = 200
MAX_BOXES_LISTED = 500
MAX_BARS = 20
MAX_VALUE_LENGTH = 200
"""Longer slice values and class names are shown clipped and not offered as a filter."""


class Stroke(NamedTuple):
    """Boxes of one look as one SVG path."""

    style: str
    path: str


class DrawnBox(NamedTuple):
    """One box on a large picture and its line in the table below it."""

    number: int
    style: str
    class_name: str
    path: str
    """The outline as an SVG path; empty for a class of the whole image."""
    box: BoxPx | None
    area_px2: float
    size: str
    annotation: Annotation


class Pair(NamedTuple):
    """A sample that differs: its picture twice, boxes coloured by what became of them."""

    change: SampleDiff
    known: Sample
    before: list[Stroke]
    after: list[Stroke]
    lines: list[str]


def class_styles(taxonomy: Taxonomy) -> dict[ClassId, str]:
    """A colour per class, by its place in the taxonomy; the eleventh has the first again."""
    return {one.id: f"c{place % N_COLOURS}" for place, one in enumerate(taxonomy.classes)}


def strokes(annotations: Sequence[Annotation], styles: Mapping[ClassId, str]) -> list[Stroke]:
    """The boxes as one path per class, proposals apart."""
    paths: dict[str, list[str]] = {}
    for one in annotations[:MAX_BOXES_ON_THUMB]:
        style = styles.get(one.class_id, "c9")
        if one.state == "proposed":
            style += " unsure"
        paths.setdefault(style, []).append(outline(one.geometry))
    return [Stroke(style, "".join(parts)) for style, parts in paths.items()]


def outline(geometry: Geometry) -> str:
    """The geometry as an SVG path: rings of a polygon, crosses at keypoints, else the box.

    >>> outline(BoxPx(1, 2, 11, 12.5))
    'M1 2H11V12.5H1Z'
    """
    if isinstance(geometry, WholeImage):
        return ""
    if isinstance(geometry, PolygonPx):
        return "".join(_ring(ring) for ring in geometry.rings)
    if isinstance(geometry, OrientedBoxPx):
        return _ring(geometry.corners)
    box = geometry
    path = f"M{box.x1:g} {box.y1:g}H{box.x2:g}V{box.y2:g}H{box.x1:g}Z"
    return path + _crosses(geometry) if isinstance(geometry, KeypointsPx) else path


def drawn_boxes(sample: Sample, taxonomy: Taxonomy) -> list[DrawnBox]:
    """The sample's boxes, largest first, so that small ones lie on top."""
    styles = class_styles(taxonomy)
    names = {one.id: one.name for one in taxonomy.classes}
    size = SizePx(sample.width_px, sample.height_px)
    ordered = sorted(sample.annotations, key=lambda one: -area_of(one.geometry, size))
    return [
        DrawnBox(
            number,
            styles.get(one.class_id, "c9"),
            names.get(one.class_id, one.class_id),
            outline(one.geometry),
            bounds_of(one.geometry),
            area_of(one.geometry, size),
            size_of(area_of(one.geometry, size)),
            one,
        )
        for number, one in enumerate(ordered[:MAX_BOXES_LISTED], start=1)
    ]


def pair_of(change: SampleDiff, names: Mapping[ClassId, str]) -> Pair:
    """The two pictures of a sample that differs, and in words what differs."""
    known = change.after or change.before
    assert known is not None, "a difference has at least one side"
    looks = {box.id: f"d-{box.kinds[0]}" for box in change.boxes}
    lines = [_told(box, names) for box in change.boxes[:MAX_BOXES_ON_THUMB]]
    lines += [
        f"{one.field}: {one.before or 'none'} → {one.after or 'none'}" for one in change.fields
    ]
    return Pair(change, known, _look(change.before, looks), _look(change.after, looks), lines)


def statistics_charts(counted: Statistics) -> dict[str, str]:
    """Charts by what they show; only of what there is."""
    return {
        "classes": charts.bar_chart(
            [
                charts.Amount(one.name, one.boxes)
                for one in sorted(counted.classes, key=lambda one: -one.boxes)[:MAX_BARS]
            ],
            title="Boxes per class",
            x_label="boxes",
        ),
        "sides": charts.column_chart(
            [charts.Amount(_bin(one), one.n) for one in counted.box_sides_px],
            title="Box sizes: side of a square of the box's area",
            x_label="side of a square of the same area (px)",
            y_label="boxes",
        ),
        "per image": charts.column_chart(
            [charts.Amount(_bin(one, whole=True), one.n) for one in counted.boxes_per_image],
            title="Boxes per image",
            x_label="boxes on an image",
            y_label="images",
        ),
        "splits": charts.bar_chart(
            [charts.Amount(one.name, one.images) for one in counted.splits],
            title="Images per split",
            x_label="images",
        ),
        "lanes": charts.bar_chart(
            [charts.Amount(one.name, one.images) for one in counted.lanes],
            title="Images per lane",
            x_label="images",
        ),
    }


def slice_chart(field: str, amounts: Sequence[tuple[str, int, int]]) -> str:
    """Images per value of a slice field, the most frequent ones."""
    return charts.bar_chart(
        [charts.Amount(name, images) for name, images, _ in amounts[:MAX_BARS]],
        title=f"Images by {field[:MAX_VALUE_LENGTH]}",
        x_label="images",
    )


def _ring(points: Sequence[float]) -> str:
    places = (f"{x:g} {y:g}" for x, y in zip(points[0::2], points[1::2], strict=True))
    return f"M{'L'.join(places)}Z"


def _crosses(geometry: KeypointsPx) -> str:
    reach = max(min(geometry.x2 - geometry.x1, geometry.y2 - geometry.y1) / CROSSES_PER_SIDE, 1.0)
    points = zip(geometry.points[0::3], geometry.points[1::3], geometry.points[2::3], strict=True)
    return "".join(
        f"M{x - reach:g} {y:g}H{x + reach:g}M{x:g} {y - reach:g}V{y + reach:g}"
        for x, y, seen in points
        if seen
    )


def _look(sample: Sample | None, looks: Mapping[AnnotationId, str]) -> list[Stroke]:
    if sample is None:
        return []
    paths: dict[str, list[str]] = {}
    for one in sample.annotations:
        paths.setdefault(looks.get(one.id, "d-same"), []).append(outline(one.geometry))
    # Those that changed are drawn last, over the others.
    return [Stroke(style, "".join(paths[style])) for style in sorted(paths, key=_is_changed)]


def _is_changed(style: str) -> bool:
    return style != "d-same"


def _told(box: BoxChange, names: Mapping[ClassId, str]) -> str:
    known = box.after or box.before
    assert known is not None, "a change has at least one side"
    told = f"{names.get(known.class_id, known.class_id)[:60]} {' and '.join(box.kinds)}"
    if "relabelled" in box.kinds and box.before is not None:
        told += f", was {names.get(box.before.class_id, box.before.class_id)[:60]}"
    if "moved" in box.kinds:
        told += f", by {box.shift_px or 0:.1f} px, IoU {box.iou or 0:.2f}"
    if "edited" in box.kinds and box.before is not None:
        told += f", {_vouched(box.before)} → {_vouched(known)}"
    return told


def _vouched(one: Annotation) -> str:
    return f"{one.state} by {one.source[:60]}"


def _bin(one: Bin, *, whole: bool = False) -> str:
    if one.high is None:
        return f"{one.low}+"
    if whole:
        return str(one.low) if one.high == one.low + 1 else f"{one.low}–{one.high - 1}"
    return f"{one.low}–{one.high}"
