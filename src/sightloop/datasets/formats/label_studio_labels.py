"""Label Studio's labelling configuration: the XML that says which labels a project has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from sightloop.datasets.formats.xml_reading import Element, UnreadableXml, children_of
from sightloop.datasets.formats.xml_writing import attributes
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.values import TaxonomyClass

CONFIG_NAME = "label_config.xml"

_LABEL_TAGS = (
    "RectangleLabels",
    "PolygonLabels",
    "BrushLabels",
    "Labels",
    "EllipseLabels",
)
_KEYPOINT_TAG, _CHOICES_TAG = "KeyPointLabels", "Choices"


class _Points(msgspec.Struct, frozen=True):
    """What the hint of a label says of its keypoints."""

    keypoints: list[str]
    skeleton: list[tuple[int, int]] = []


def classes_in(path: Path) -> list[FoundClass]:
    """The classes of a configuration file, in its order; none where there is no such file."""
    try:
        controls = list(_all(children_of(path, "View", within=path.parent)))
    except UnreadableXml:
        return []
    found: dict[str, FoundClass] = {}
    for names, inner in ((_LABEL_TAGS, "Label"), ((_CHOICES_TAG,), "Choice")):
        for control in controls:
            if control.name not in names or control.attributes.get("perRegion") == "true":
                continue
            for one in _all(control.named(inner)):
                if name := one.attributes.get("value", ""):
                    found.setdefault(name, _class_in(name, one.attributes.get("hint", "")))
    return list(found.values())


def config_of(classes: Sequence[TaxonomyClass]) -> str:
    """A configuration with every kind of label that such data sets have, for these classes."""
    labels = "".join(_label(one) for one in classes)
    points = list(dict.fromkeys(point for one in classes for point in one.keypoints))
    point_labels = "".join(f"    <Label{attributes({'value': one})}/>\n" for one in points)
    if not points:
        point_labels = labels
    choices = "".join(f"    <Choice{attributes({'value': one.name})}/>\n" for one in classes)
    return (
        "<View>\n"
        '  <Image name="image" value="$image" zoom="true" rotateControl="true"/>\n'
        f'  <RectangleLabels name="box" toName="image" canRotate="true">\n{labels}'
        "  </RectangleLabels>\n"
        f'  <PolygonLabels name="polygon" toName="image">\n{labels}  </PolygonLabels>\n'
        f'  <BrushLabels name="mask" toName="image">\n{labels}  </BrushLabels>\n'
        f'  <KeyPointLabels name="keypoint" toName="image">\n{point_labels}  </KeyPointLabels>\n'
        f'  <Choices name="class" toName="image" choice="multiple">\n{choices}  </Choices>\n'
        "</View>\n"
    )


def _label(one: TaxonomyClass) -> str:
    fields = {"value": one.name}
    if one.keypoints:
        # A hint is shown beside the label: the order of its points helps people as well.
        fields["hint"] = json.dumps({"keypoints": one.keypoints, "skeleton": one.skeleton})
    return f"    <Label{attributes(fields)}/>\n"


def _class_in(name: str, hint: str) -> FoundClass:
    try:
        points = msgspec.json.decode(hint, type=_Points)
    except (msgspec.DecodeError, ValueError):
        return FoundClass(name)
    n = len(points.keypoints)
    lines = [one for one in points.skeleton if all(0 <= at < n for at in one)]
    return FoundClass(name, keypoints=tuple(points.keypoints), skeleton=lines)


def _all(elements: Iterable[Element]) -> Iterable[Element]:
    for one in elements:
        yield one
        yield from _all(one.children)
