"""What two sides of a merge cannot both have, and how a person or a rule settles it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from sightloop.datasets.values import Annotation, ClassId, SampleId

Side = Literal["ours", "theirs"]
"""`ours` is the branch that is merged into, `theirs` what is merged into it."""

Take = Literal["ours", "theirs", "both", "by hand"]

FieldValue = str | int | float | bool | None

AnnotationConflictKind = Literal[
    "both moved", "both relabelled", "both edited", "deleted and edited", "both added"
]


class AnnotationConflict(msgspec.Struct, frozen=True, kw_only=True, tag="annotation"):
    """One annotation that both sides changed, not in the same way; or two that may be one object.

    `both added` is the second: each side drew a box of the class there, under an id of its own.
    """

    key: str
    """Tells it from others of the same sample."""
    kind: AnnotationConflictKind
    sample: SampleId
    aspects: list[str]
    """What differs: `geometry`, `class_id`, `source`, `state`, `attribute NAME`."""
    base: Annotation | None
    ours: Annotation | None
    """None where our side deleted it."""
    theirs: Annotation | None
    iou: float | None
    """Of ours and theirs by their bounding boxes, in [0, 1]; None where one has no place."""


class FieldConflict(msgspec.Struct, frozen=True, kw_only=True, tag="field"):
    """A fact of a sample that both sides set, to different values."""

    key: str
    sample: SampleId
    field: str
    """As in the row; `slice NAME` for the slice `NAME`."""
    base: FieldValue
    ours: FieldValue
    theirs: FieldValue
    kind: Literal["field set twice"] = "field set twice"


class SampleConflict(msgspec.Struct, frozen=True, kw_only=True, tag="sample"):
    """A sample that one side removed and the other changed."""

    key: str
    sample: SampleId
    file_name: str
    removed_by: Side
    kind: Literal["removed and changed"] = "removed and changed"


class ClassConflict(msgspec.Struct, frozen=True, kw_only=True, tag="class"):
    """A class that both sides changed, not in the same way; None where it is not given."""

    key: str
    class_id: ClassId
    field: str
    base: str | None
    ours: str | None
    theirs: str | None
    kind: Literal["class changed twice"] = "class changed twice"


Conflict = AnnotationConflict | FieldConflict | SampleConflict | ClassConflict


class Resolution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which side is right about a conflict, or what is right instead."""

    take: Take
    """`both` settles `both added` only: they are two objects."""
    annotation: Annotation | None = None
    """By hand, of an annotation: what to have; None has none."""
    value: FieldValue = None
    """By hand, of a field."""


Resolve = Callable[[Conflict], Resolution | None]
"""Settles a conflict, or does not."""


class MergeNote(msgspec.Struct, frozen=True):
    """Something a merge settled by itself that people may want to look at."""

    sample: SampleId | None
    text: str


def unresolved(_conflict: Conflict) -> Resolution | None:
    """Settles nothing."""
    return None


def always(side: Side) -> Resolve:
    """Settles every conflict in favour of one side."""
    resolution = Resolution(take=side)
    return lambda _conflict: resolution


def sample_of(conflict: Conflict) -> SampleId | None:
    """The sample it is about; None of a class."""
    return None if isinstance(conflict, ClassConflict) else conflict.sample


def takes_of(conflict: Conflict) -> tuple[Take, ...]:
    """The ways in which it can be settled."""
    if isinstance(conflict, AnnotationConflict) and conflict.kind == "both added":
        return ("ours", "theirs", "both", "by hand")
    if isinstance(conflict, AnnotationConflict | FieldConflict):
        return ("ours", "theirs", "by hand")
    return ("ours", "theirs")
