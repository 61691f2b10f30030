"""Writing CVAT's XML for images, version 1.1; see `cvat`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from sightloop.datasets.formats.cvat import (
    ANNOTATIONS_NAME,
    GROUP,
    IMAGES_NAME,
    OCCLUDED,
    Z_ORDER,
)
from sightloop.datasets.formats.cvat_labels import skeleton_svg
from sightloop.datasets.formats.left_behind import left_behind
from sightloop.datasets.formats.outlines import has_own_box
from sightloop.datasets.formats.plain_texts import is_writable, number_text, survives, text_of
from sightloop.datasets.formats.safe_names import SafeNames
from sightloop.datasets.formats.text_parts import TextPart
from sightloop.datasets.formats.turned_boxes import is_rectangle, turned_box_of
from sightloop.datasets.formats.xml_writing import attributes, escaped, tag
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
)
from sightloop.datasets.masks import bounds_of_runs, decoded, runs_of
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import Annotation, AttributeValue, ClassId, Sample, TaxonomyClass

SPLIT_KEY = "split_key"
"""The attribute of an image in which an export keeps split keys."""

_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_TAKEN = {"id", "name", "width", "height", "subset", "task_id", SPLIT_KEY}
_DIGITS = 9
"""Decimals of angles and of boxes before they are turned: a millionth of a pixel far out."""


class CvatWriter:
    """Writes images as samples come; their head, which needs all of them, goes before at the end.

    See `writers.Writer`.
    """

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        self._folder = folder
        self._taxonomy = record.taxonomy
        self._classes = {one.id: one for one in record.taxonomy.classes}
        self._names = SafeNames()
        self._n_images = 0
        self._n_annotations = 0
        self._kinds: dict[ClassId, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._fragile: Counter[tuple[ClassId, str]] = Counter()
        self._body = TextPart(folder / f".{ANNOTATIONS_NAME}.part")
        self.not_kept: Counter[str] = Counter()
        for one in record.taxonomy.classes:
            self.not_kept["supercategory"] += bool(one.supercategory)
            self.not_kept["name of a class"] += not _is_kept(one.name)

    @property
    def n_annotations(self) -> int:
        """Annotations so far."""
        return self._n_annotations

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        name = self._names.name_for(sample)
        fields: dict[str, str | int | float] = {
            "id": self._n_images,
            "name": name,
            "width": sample.width_px,
            "height": sample.height_px,
        }
        if sample.reserved is not None and sample.reserved != "audit":
            # Only what was declared: with the rule's splits, labels that come back from CVAT
            # would declare them and so change every sample.
            fields["subset"] = sample.reserved
        own = {SPLIT_KEY: sample.split_key, **sample.slices}
        fields |= {key: value for key, value in own.items() if _fits(key, value)}
        self._count_what_is_lost(sample, name)
        shapes = "".join(self._shapes(sample))
        self._body.add(f"<image{attributes(fields)}>\n{shapes}</image>\n")
        self._n_images += 1
        return f"{IMAGES_NAME}/{name}"

    def finish(self) -> None:
        """Put the head before the images."""
        with self.source().open("w", encoding="utf-8", newline="") as file:
            file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
            file.write(tag("version", "1.1"))
            file.writelines(self._meta())
            self._body.move_into(file)
            file.write("</annotations>\n")
        self.not_kept = +self.not_kept

    def images_folder(self) -> Path:
        """Where the images go."""
        return self._folder / IMAGES_NAME

    def source(self) -> Path:
        """The annotation file."""
        return self._folder / ANNOTATIONS_NAME

    def _meta(self) -> Iterator[str]:
        yield f"<meta>\n<task>\n{tag('size', self._n_images)}{tag('mode', 'annotation')}<labels>\n"
        for one in self._taxonomy.classes:
            yield from self._label(one)
        yield "</labels>\n</task>\n</meta>\n"

    def _label(self, one: TaxonomyClass) -> Iterator[str]:
        kind = "skeleton" if one.keypoints else "any"
        yield f"<label>\n{tag('name', one.name)}{tag('type', kind)}"
        yield "<attributes>\n"
        for name, kinds in sorted(self._kinds[one.id].items()):
            kind = next(iter(kinds)) if len(kinds) == 1 else "mixed"
            if kind == "mixed":  # then a reader looks at each value, and takes "1" for 1
                self.not_kept["attribute that is read otherwise"] += self._fragile[one.id, name]
                continue
            yield (
                f"<attribute>\n{tag('name', name)}{tag('mutable', 'False')}"
                f"{tag('input_type', kind)}{tag('default_value', '')}{tag('values', '')}"
                "</attribute>\n"
            )
        yield "</attributes>\n"
        if one.keypoints:
            yield tag("svg", skeleton_svg(one.keypoints, one.skeleton))
        yield "</label>\n"
        for point in one.keypoints:
            yield (
                f"<label>\n{tag('name', point)}{tag('type', 'points')}"
                f"<attributes></attributes>\n{tag('parent', one.name)}</label>\n"
            )

    def _shapes(self, sample: Sample) -> Iterator[str]:
        groups = (one.attributes.get(GROUP, 0) for one in sample.annotations)
        next_group = max((one for one in groups if type(one) is int), default=0) + 1
        for one in filter(is_true, sample.annotations):
            self._n_annotations += not isinstance(one.geometry, KeypointsPx)
            inner = "".join(self._inner_attributes(one))
            common = self._common(one)
            if isinstance(one.geometry, PolygonPx) and len(one.geometry.rings) > 1:
                self.not_kept["group of an object"] += GROUP in common
                common[GROUP] = next_group
                next_group += 1
            yield from self._shape(one, common, inner, SizePx(sample.width_px, sample.height_px))

    def _shape(
        self, one: Annotation, common: dict[str, str | int | float], inner: str, size: SizePx
    ) -> Iterator[str]:
        geometry = one.geometry
        if isinstance(geometry, WholeImage):
            only = {key: common[key] for key in ("label", "source")}
            self.not_kept["attribute that is read otherwise"] += sum(
                key in one.attributes for key in (OCCLUDED, Z_ORDER, GROUP) if _is_own(key, one)
            )
            yield f"<tag{attributes(only)}>{inner}</tag>\n"
        elif isinstance(geometry, BoxPx):
            corners = _corners(geometry.x1, geometry.y1, geometry.x2, geometry.y2)
            yield f"<box{attributes(common | corners)}>{inner}</box>\n"
        elif isinstance(geometry, OrientedBoxPx):
            self.not_kept["corners of a box that is no rectangle"] += not is_rectangle(
                geometry.corners
            )
            yield f"<box{attributes(common | _turned(geometry))}>{inner}</box>\n"
        elif isinstance(geometry, PolygonPx):
            self.not_kept["box of an outline"] += has_own_box(geometry)
            for ring in geometry.rings:
                fields = common | {"points": _points(ring)}
                yield f"<polygon{attributes(fields)}>{inner}</polygon>\n"
        elif isinstance(geometry, MaskPx):
            yield f"<mask{attributes(common | self._mask(geometry, size))}>{inner}</mask>\n"
        else:
            yield from self._keypoints(one, geometry, common, inner)

    def _keypoints(
        self,
        one: Annotation,
        geometry: KeypointsPx,
        common: dict[str, str | int | float],
        inner: str,
    ) -> Iterator[str]:
        points = list(
            zip(geometry.points[0::3], geometry.points[1::3], geometry.points[2::3], strict=True)
        )
        names = self._classes[one.class_id].keypoints
        if not any(seen for _, _, seen in points):
            self.not_kept["object without a labelled keypoint"] += 1
            return
        self._n_annotations += 1
        self.not_kept["box of keypoints"] += has_own_box(geometry)
        if len(names) == len(points):
            yield f"<skeleton{attributes(common)}>\n"
            for name, (x, y, seen) in zip(names, points, strict=True):
                yield f"<points{attributes(_point(name, x, y, seen))}></points>\n"
            yield f"{inner}</skeleton>\n"
            return
        # Nobody named these points. CVAT's plain ones are all visible or all hidden.
        self.not_kept["visibility of keypoints"] += len({seen for _, _, seen in points}) > 1
        self.not_kept["attribute that is read otherwise"] += _is_own(OCCLUDED, one)
        labelled = [each for x, y, seen in points if seen for each in (x, y)]
        is_hidden = all(seen == 1 for _, _, seen in points)
        own: dict[str, str | int] = {OCCLUDED: int(is_hidden), "points": _points(tuple(labelled))}
        yield f"<points{attributes(common | own)}>{inner}</points>\n"

    def _mask(self, geometry: MaskPx, size: SizePx) -> dict[str, str | int]:
        runs = runs_of(geometry.counts)
        box = bounds_of_runs(runs, size)
        assert box is not None, "a mask without a pixel cannot be committed"
        mine = (geometry.x1, geometry.y1, geometry.x2, geometry.y2)
        self.not_kept["box of a mask"] += mine != (box.x1, box.y1, box.x2, box.y2)
        left, top, right, bottom = (int(one) for one in (box.x1, box.y1, box.x2, box.y2))
        flat = decoded(runs, size)[top:bottom, left:right].ravel()
        edges = np.flatnonzero(np.diff(flat)) + 1
        lengths = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
        rle = ", ".join(str(one) for one in ([0, *lengths] if flat[0] else lengths))
        where = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        return {"rle": rle, **where}

    def _common(self, one: Annotation) -> dict[str, str | int | float]:
        fields: dict[str, str | int | float] = {
            "label": self._classes[one.class_id].name,
            "source": "manual",
            OCCLUDED: int(one.attributes.get(OCCLUDED) is True),
            Z_ORDER: 0,
        }
        for key in (Z_ORDER, GROUP):
            if _is_own(key, one):
                fields[key] = int(one.attributes[key])
        return fields

    def _inner_attributes(self, one: Annotation) -> Iterator[str]:
        kinds = self._kinds[one.class_id]
        for key, value in one.attributes.items():
            if _is_own(key, one):
                continue
            kinds[key].add(_input_type(value))
            if not _is_kept(key) or not (survives(value) or _is_plain_text(value)):
                self.not_kept["attribute that is read otherwise"] += 1
            elif not survives(value):
                self._fragile[one.class_id, key] += 1
            yield f"<attribute{attributes({'name': key})}>{escaped(text_of(value))}</attribute>"

    def _count_what_is_lost(self, sample: Sample, name: str) -> None:
        keeps = {"split by rule"} | (set() if sample.reserved == "audit" else {"reservation"})
        slices = sample.slices.items()
        keeps |= {"slices"} if all(_fits(*one, is_slice=True) for one in slices) else set()
        keeps |= {"split key"} if _fits(SPLIT_KEY, sample.split_key) else set()
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=name, keeps=keeps))


def _is_own(key: str, one: Annotation) -> bool:
    """Whether CVAT has a place of its own for the attribute, which keeps its value."""
    value = one.attributes.get(key)
    if key == OCCLUDED:
        return value is True
    return key in (Z_ORDER, GROUP) and type(value) is int and value != 0


def _input_type(value: AttributeValue) -> str:
    if isinstance(value, bool):
        return "checkbox"
    return "number" if isinstance(value, int | float) else "text"


def _is_plain_text(value: AttributeValue) -> bool:
    """Whether it comes back where its type is declared to be text."""
    return isinstance(value, str) and value == value.strip() and is_writable(value)


def _turned(geometry: OrientedBoxPx) -> dict[str, str]:
    box = turned_box_of(geometry.corners)
    # An angle of 0 reads as a box that was never turned.
    degrees = box.degrees if round(box.degrees % 360, _DIGITS) % 360 else 10.0**-_DIGITS
    numbers = zip(("xtl", "ytl", "xbr", "ybr"), box.upright, strict=True)
    corners = {key: f"{number:.{_DIGITS}f}" for key, number in numbers}
    return {**corners, "rotation": f"{degrees:.{_DIGITS}f}"}


def _corners(x1: float, y1: float, x2: float, y2: float) -> dict[str, str]:
    numbers = {"xtl": x1, "ytl": y1, "xbr": x2, "ybr": y2}
    return {key: number_text(number) for key, number in numbers.items()}


def _point(name: str, x: float, y: float, seen: float) -> dict[str, str | int]:
    return {
        "label": name,
        "source": "manual",
        OCCLUDED: int(seen == 1),
        "outside": int(seen == 0),
        "points": _points((x, y)),
    }


def _points(numbers: tuple[float, ...]) -> str:
    pairs = zip(numbers[0::2], numbers[1::2], strict=True)
    return ";".join(",".join(number_text(one) for one in chain(pair)) for pair in pairs)


def _fits(key: str, value: str, *, is_slice: bool = False) -> bool:
    taken = key in _TAKEN and (is_slice or key != SPLIT_KEY)
    return bool(_NAME.fullmatch(key)) and not taken and bool(value) and is_writable(value)


def _is_kept(name: str) -> bool:
    return bool(name) and name == name.strip() and is_writable(name)
