"""Checking the boxes and slices somebody sends for a task. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from sightloop.datasets.boxes import clipped, overshoot_px
from sightloop.datasets.errors import EmptyBox, FarAway
from sightloop.datasets.geometry import BoxPx, SizePx, rounded_box
from sightloop.datasets.values import ClassId, Taxonomy
from sightloop.review.values import LabelBox

OVERHANG_PX = 1.0
"""Boxes may reach this far beyond the image and are cut there: tools that store percentages, or
count pixels from 1, round them over the edge. Further out, the box is of another image."""


class TaskBox(msgspec.Struct, frozen=True, kw_only=True):
    """A box as it is sent: corners in pixels of the upright image, the class by id or by name."""

    x1: float
    y1: float
    x2: float
    y2: float
    class_id: str | None = None
    class_name: str | None = None


class Checked(NamedTuple):
    """Boxes that hold, and what is wrong with the others."""

    boxes: list[LabelBox]
    problems: list[str]


def check_boxes(boxes: Iterable[TaskBox], *, size: SizePx, taxonomy: Taxonomy) -> Checked:
    """The boxes in their order, with class ids, cut at the image's edge; problems name the box."""
    checked = Checked([], [])
    for position, sent in enumerate(boxes, start=1):
        class_id = _class_of(sent, taxonomy)
        inside = _inside(sent, size)
        problems = [found for found in (class_id, inside) if isinstance(found, _Problem)]
        checked.problems.extend(f"box {position}: {problem.text}" for problem in problems)
        if not isinstance(class_id, _Problem) and not isinstance(inside, _Problem):
            checked.boxes.append(LabelBox(class_id, inside))
    return checked


def slice_problems(slices: Mapping[str, str]) -> list[str]:
    """What keeps these from being slices: a stratum reads `field=value`."""
    return [
        f"slice {field!r}={value!r}: both sides need a text, and the field none with '='"
        for field, value in slices.items()
        if not field or not value or "=" in field
    ]


def unknown_class(name: str, known: Sequence[str]) -> str:
    """That there is no such class, and which one may be meant.

    >>> unknown_class("Scrach", ["dent", "scratch"])
    "there is no class 'Scrach' in the taxonomy; did you mean 'scratch'?"
    """
    by_folded = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=3)
    if near:
        hint = "did you mean " + " or ".join(repr(by_folded[each]) for each in near) + "?"
    else:
        hint = "it has " + ", ".join(known[:20])
    return f"there is no class {name!r} in the taxonomy; {hint}"


class _Problem(NamedTuple):
    text: str


def _class_of(sent: TaskBox, taxonomy: Taxonomy) -> ClassId | _Problem:
    if (sent.class_id is None) == (sent.class_name is None):
        return _Problem("give either class_id or class_name")
    if sent.class_id is not None:
        if sent.class_id in taxonomy.class_ids:
            return ClassId(sent.class_id)
        return _Problem(unknown_class(sent.class_id, taxonomy.class_ids))
    by_name = dict(zip(taxonomy.class_names, taxonomy.class_ids, strict=True))
    assert sent.class_name is not None, "one of the two was given"
    if sent.class_name in by_name:
        return by_name[sent.class_name]
    return _Problem(unknown_class(sent.class_name, taxonomy.class_names))


def _inside(sent: TaskBox, size: SizePx) -> BoxPx | _Problem:
    """The box cut at the image's edge, on the grid of thousandths that data sets use."""
    corners = (sent.x1, sent.y1, sent.x2, sent.y2)
    outside = f"{corners} px does not lie on the image of {size.width_px} x {size.height_px} px"
    try:
        box = BoxPx(*corners)
        if overshoot_px(box, size) > OVERHANG_PX:
            return _Problem(outside)
        if (inside := clipped(box, size)) is not None:
            return rounded_box(inside)
    except EmptyBox:
        pass  # said below, as for a box of which nothing lies on the image
    except FarAway:
        return _Problem(outside)
    return _Problem(f"{corners} px has no area; corners are x1 < x2 and y1 < y2")
