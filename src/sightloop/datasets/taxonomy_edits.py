"""What can be done to classes: add, rename, merge, split, remove. Pure.

Each edit gives a new taxonomy that records what was done, so that labels can be followed; see
`following`. Ids stay: a renamed class is the same class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sightloop.datasets.errors import BadClassEdit, ClassNamesCollide, NoSuchClass
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.values import ClassId, Taxonomy, TaxonomyChange, TaxonomyClass

MAX_NAME = 200


class AddClass(msgspec.Struct, frozen=True, tag="add"):
    """A new class; no sample is labelled for it yet."""

    name: str


class RenameClass(msgspec.Struct, frozen=True, tag="rename"):
    """Another name for a class, given by name or id; its id stays."""

    old: str
    name: str


class MergeClasses(msgspec.Struct, frozen=True, tag="merge"):
    """Several classes, by name or id, become one: one of them, another, or a new one."""

    classes: list[str]
    into: str


class SplitClass(msgspec.Struct, frozen=True, tag="split"):
    """A class, by name or id, becomes several new ones.

    The value of an annotation's attribute names its new class (`true` and `false` for truth
    values). An annotation without such a value stays what it is.
    """

    old: str
    into: list[str]
    attribute: str


class RemoveClass(msgspec.Struct, frozen=True, tag="remove"):
    """A class without annotations, by name or id, goes."""

    name: str


ClassEdit = AddClass | RenameClass | MergeClasses | SplitClass | RemoveClass


def edited(taxonomy: Taxonomy, edit: ClassEdit) -> Taxonomy:
    """The classes after the edit. A split class stays; see `without_split_class`.

    Raises:
        NoSuchClass: the taxonomy lacks one of the classes.
        ClassNamesCollide: two classes would have the same name.
        BadClassEdit: a name is empty or too long, a merge names one class, or a split is into
            classes that exist.
    """
    if isinstance(edit, AddClass):
        return _added(taxonomy, edit)
    if isinstance(edit, RenameClass):
        return _renamed(taxonomy, edit)
    if isinstance(edit, MergeClasses):
        return _merged(taxonomy, edit)
    if isinstance(edit, SplitClass):
        return _split(taxonomy, edit)
    return _removed(taxonomy, edit)


def touched_classes(taxonomy: Taxonomy, edit: ClassEdit) -> list[ClassId]:
    """The classes whose annotations or claims the edit may change.

    Raises:
        NoSuchClass: the taxonomy lacks one of them.
    """
    if isinstance(edit, MergeClasses):
        change = edited(taxonomy, edit).changes[-1]
        return change.classes
    if isinstance(edit, SplitClass):
        return [named(taxonomy, edit.old).id]
    return [named(taxonomy, edit.name).id] if isinstance(edit, RemoveClass) else []


def without_split_class(taxonomy: Taxonomy) -> Taxonomy:
    """The taxonomy, whose last change is a split, when every annotation found a new class."""
    *earlier, split = taxonomy.changes
    [old] = split.classes
    change = msgspec.structs.replace(split, into=split.into[:-1], names=split.names[:-1])
    return Taxonomy([one for one in taxonomy.classes if one.id != old], [*earlier, change])


def named(taxonomy: Taxonomy, name: str) -> TaxonomyClass:
    """The class of that name, or else of that id.

    Raises:
        NoSuchClass: there is none.
    """
    for one in sorted(taxonomy.classes, key=lambda one: one.name != name):
        if name in (one.name, one.id):
            return one
    raise NoSuchClass(name=name, known=taxonomy.class_names)


def _added(taxonomy: Taxonomy, edit: AddClass) -> Taxonomy:
    new = _new(taxonomy, [edit.name])
    change = TaxonomyChange(kind="add", into=[one.id for one in new], names=[edit.name])
    return Taxonomy([*taxonomy.classes, *new], [*taxonomy.changes, change])


def _renamed(taxonomy: Taxonomy, edit: RenameClass) -> Taxonomy:
    old = named(taxonomy, edit.old)
    _check_name(edit.name)
    for one in taxonomy.classes:
        if one.name == edit.name and one is not old:
            raise ClassNamesCollide(name=edit.name, classes=[old.id, one.id])
    change = TaxonomyChange(kind="rename", classes=[old.id], into=[old.id], names=[edit.name])
    renamed = msgspec.structs.replace(old, name=edit.name)
    return Taxonomy(_replaced(taxonomy.classes, old, [renamed]), [*taxonomy.changes, change])


def _merged(taxonomy: Taxonomy, edit: MergeClasses) -> Taxonomy:
    merged = {one.id: one for one in (named(taxonomy, name) for name in edit.classes)}
    known = [one for one in taxonomy.classes if edit.into in (one.name, one.id)]
    into = known[0] if known else _new_like(taxonomy, next(iter(merged.values())), edit.into)
    if known:
        merged[into.id] = into
    if len(merged) < 2:
        raise BadClassEdit(problem="a merge needs at least two classes; to rename one, rename it")
    shapes = {(tuple(one.keypoints), tuple(one.skeleton)) for one in merged.values()}
    if len(shapes) > 1:
        raise BadClassEdit(problem="the classes have different keypoints")
    first = into if known else next(one for one in taxonomy.classes if one.id in merged)
    classes = _replaced(taxonomy.classes, first, [into])
    kept = [one for one in classes if one.id == into.id or one.id not in merged]
    change = TaxonomyChange(kind="merge", classes=sorted(merged), into=[into.id], names=[into.name])
    return Taxonomy(kept, [*taxonomy.changes, change])


def _split(taxonomy: Taxonomy, edit: SplitClass) -> Taxonomy:
    old = named(taxonomy, edit.old)
    if len(set(edit.into)) < 2:
        raise BadClassEdit(problem="a split needs at least two new classes")
    if not edit.attribute:
        raise BadClassEdit(problem="a split goes by an attribute; name it")
    new = [
        msgspec.structs.replace(one, keypoints=old.keypoints, skeleton=old.skeleton)
        for one in _new(taxonomy, edit.into)
    ]
    change = TaxonomyChange(
        kind="split",
        classes=[old.id],
        into=[*(one.id for one in new), old.id],
        names=[*edit.into, old.name],
        attribute=edit.attribute,
    )
    return Taxonomy(_replaced(taxonomy.classes, old, [old, *new]), [*taxonomy.changes, change])


def _removed(taxonomy: Taxonomy, edit: RemoveClass) -> Taxonomy:
    old = named(taxonomy, edit.name)
    change = TaxonomyChange(kind="remove", classes=[old.id])
    return Taxonomy(_replaced(taxonomy.classes, old, []), [*taxonomy.changes, change])


def _new(taxonomy: Taxonomy, names: Sequence[str]) -> list[TaxonomyClass]:
    known = {one.name: one.id for one in taxonomy.classes}
    for name in names:
        _check_name(name)
        if name in known:
            raise BadClassEdit(problem=f"there is a class {name!r} already; choose a new name")
    grown = with_classes(taxonomy, [FoundClass(name) for name in names])
    return grown.classes[len(taxonomy.classes) :]


def _new_like(taxonomy: Taxonomy, first: TaxonomyClass, name: str) -> TaxonomyClass:
    [new] = _new(taxonomy, [name])
    return msgspec.structs.replace(
        new,
        supercategory=first.supercategory,
        keypoints=first.keypoints,
        skeleton=first.skeleton,
    )


def _replaced(
    classes: Iterable[TaxonomyClass], old: TaxonomyClass, new: Sequence[TaxonomyClass]
) -> list[TaxonomyClass]:
    return [each for one in classes for each in (new if one.id == old.id else [one])]


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME:
        raise BadClassEdit(problem=f"{name[:80]!r} is no name; give 1 to {MAX_NAME} characters")
