"""CVAT's labels: names, the points of skeletons, the types of attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sightloop.datasets.formats.plain_texts import value_in
from sightloop.datasets.formats.xml_reading import Element
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.values import AttributeValue

_CONTAINERS = ("task", "project", "job")
_LINE = re.compile(r"<line\b[^>]*>")
_CIRCLE = re.compile(r"<circle\b[^>]*>")
_MARK = re.compile(r"""data-([a-z-]+)=["']([^"']*)["']""")


class CvatLabels(NamedTuple):
    """What the head of a file says of its labels."""

    classes: dict[str, FoundClass]
    input_types: dict[tuple[str, str], str]
    """By label and attribute: `checkbox`, `number`, `text`, `select` or `radio`."""

    def keypoints_of(self, label: str, found: Sequence[str]) -> Sequence[str]:
        """Names of the label's points; those of the first skeleton when the head names none."""
        known = self.classes.get(label)
        if known is None or not known.keypoints:
            self.classes[label] = FoundClass(label, keypoints=tuple(found))
        return self.classes[label].keypoints

    def value_of(self, label: str, name: str, text: str) -> AttributeValue:
        """An attribute's text as the value that it stands for."""
        kind = self.input_types.get((label, name))
        value = value_in(text)
        if kind == "checkbox":
            return value if isinstance(value, bool) else text
        if kind == "number":
            return text if isinstance(value, bool) else value
        return value if kind is None else text


def labels_in(meta: Element) -> CvatLabels:
    """The labels of the file whose head this is."""
    classes: dict[str, FoundClass] = {}
    input_types: dict[tuple[str, str], str] = {}
    points: dict[str, list[str]] = {}
    skeletons: dict[str, str] = {}
    for label in _labels(meta):
        name, parent = label.text_of("name"), label.text_of("parent")
        if parent:
            points.setdefault(parent, []).append(name)
            continue
        if not name:
            continue
        classes[name] = FoundClass(name)
        skeletons[name] = label.text_of("svg")
        attributes = label.child("attributes")
        for one in attributes.named("attribute") if attributes else ():
            input_types[name, one.text_of("name")] = one.text_of("input_type")
    for name, keypoints in points.items():
        if name in classes:
            lines = _lines_in(skeletons[name], keypoints)
            classes[name] = FoundClass(name, keypoints=tuple(keypoints), skeleton=lines)
    return CvatLabels(classes, input_types)


def skeleton_svg(keypoints: Sequence[str], lines: Sequence[tuple[int, int]]) -> str:
    """CVAT's drawing of a skeleton: only its marks count, so the points stand in a row."""
    edges = [
        f'<line x1="{first}" y1="0" x2="{second}" y2="0" data-type="edge" '
        f'data-node-from="{first + 1}" data-node-to="{second + 1}"></line>'
        for first, second in lines
    ]
    nodes = [
        f'<circle r="1" cx="{at}" cy="0" data-type="element node" data-element-id="{at + 1}" '
        f'data-node-id="{at + 1}"></circle>'
        for at in range(len(keypoints))
    ]
    return "".join([*edges, *nodes])


def _labels(meta: Element) -> Iterator[Element]:
    for name in _CONTAINERS:
        for container in meta.named(name):
            for labels in container.named("labels"):
                yield from labels.named("label")


def _lines_in(svg: str, keypoints: Sequence[str]) -> list[tuple[int, int]]:
    """The lines of the drawing, between positions of keypoints; those that lead nowhere not.

    Nodes name their label where CVAT wrote the name, else they stand in the order of labels.
    """
    positions: dict[str, int] = {}
    for number, circle in enumerate(_CIRCLE.findall(svg)):
        marks = dict(_MARK.findall(circle))
        name = marks.get("label-name")
        at = keypoints.index(name) if name in keypoints else number
        positions[marks.get("node-id", "")] = at
    lines = []
    for line in _LINE.findall(svg):
        marks = dict(_MARK.findall(line))
        first, second = (positions.get(marks.get(one, "")) for one in ("node-from", "node-to"))
        if first is not None and second is not None and max(first, second) < len(keypoints):
            lines.append((first, second))
    return lines
