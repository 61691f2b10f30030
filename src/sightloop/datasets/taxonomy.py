"""The classes of a data set: ids that stay, whatever the classes are called later."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sightloop.datasets.errors import BadClassEdit
from sightloop.datasets.values import ClassId, Taxonomy, TaxonomyClass


class FoundClass(NamedTuple):
    """A class as a file or a person names it."""

    name: str
    coco_id: int | None = None
    supercategory: str = ""
    keypoints: Sequence[str] = ()
    skeleton: Sequence[tuple[int, int]] = ()


def class_id_of(name: str) -> ClassId:
    """The id a class of that name gets: the name in lower case, words joined by dashes.

    >>> class_id_of("Pin hole")
    'pin-hole'
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    return ClassId("-".join(re.findall(r"\w+", plain)) or f"class-{_mark(name)}")


def with_classes(taxonomy: Taxonomy, found: Iterable[FoundClass]) -> Taxonomy:
    """The taxonomy with the classes of unknown names added at the end; known ones stay.

    Raises:
        BadClassEdit: a new class has an empty name.
    """
    classes = list(taxonomy.classes)
    names = {one.name for one in classes}
    ids = {one.id for one in classes}
    for one in found:
        if one.name in names:
            continue
        if not one.name.strip():
            raise BadClassEdit(problem=f"{one.name!r} names no class; give it a name")
        new_id = class_id_of(one.name)
        if new_id in ids:  # two names that differ only in case, dashes or spaces
            new_id = ClassId(f"{new_id}-{_mark(one.name)}")
        classes.append(
            TaxonomyClass(
                id=new_id,
                name=one.name,
                coco_id=one.coco_id,
                supercategory=one.supercategory,
                keypoints=list(one.keypoints),
                skeleton=list(one.skeleton),
            )
        )
        names.add(one.name)
        ids.add(new_id)
    return Taxonomy(classes, taxonomy.changes)


def _mark(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
