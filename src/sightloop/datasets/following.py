"""Classes followed through what was done to them: an old commit's label in the words of a new one.

Pure. Labels are rewritten, never dropped: an annotation that a split has no class for stays what it
was, and so may keep a class alive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from sightloop.datasets.values import (
    Annotation,
    AttributeValue,
    ClassId,
    Sample,
    Taxonomy,
    TaxonomyChange,
)
from sightloop.kernel.digests import canonical_json


def changes_since(old: Taxonomy | None, new: Taxonomy) -> list[TaxonomyChange]:
    """What was done to classes that the old taxonomy does not know of, oldest first."""
    known = Counter(_content(one) for one in old.changes) if old else Counter()
    found = []
    for one in new.changes:
        content = _content(one)
        if known[content]:
            known[content] -= 1
        else:
            found.append(one)
    return found


def relabels(changes: Iterable[TaxonomyChange]) -> list[TaxonomyChange]:
    """Those of the changes that can change a sample."""
    return [one for one in changes if one.kind in ("merge", "split", "remove")]


def followed_class(class_id: ClassId, changes: Iterable[TaxonomyChange]) -> list[ClassId]:
    """What became of a class: itself, another, several after a split, none when it was removed."""
    now = [class_id]
    for one in relabels(changes):
        after = [into for old in now for into in (one.into if old in one.classes else [old])]
        now = list(dict.fromkeys(after))
    return now


def followed_sample(sample: Sample, changes: Iterable[TaxonomyChange]) -> Sample:
    """The sample as it is labelled after these changes."""
    for one in relabels(changes):
        sample = _after(sample, one)
    return sample


def attribute_text(value: AttributeValue) -> str:
    """The value as a split of classes compares it with names.

    >>> attribute_text(True), attribute_text(2)
    ('true', '2')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def _after(sample: Sample, change: TaxonomyChange) -> Sample:
    annotations = [_relabelled(one, change) for one in sample.annotations]
    labelled_for = _labelled_for(sample, annotations, change)
    if labelled_for == sample.labelled_for and annotations == sample.annotations:
        return sample
    return msgspec.structs.replace(sample, labelled_for=labelled_for, annotations=annotations)


def _relabelled(annotation: Annotation, change: TaxonomyChange) -> Annotation:
    if annotation.class_id not in change.classes:
        return annotation
    if change.kind == "merge":
        return msgspec.structs.replace(annotation, class_id=change.into[0])
    value = annotation.attributes.get(change.attribute)
    text = None if value is None else attribute_text(value)
    if change.kind == "split" and text in change.names:
        into = change.into[change.names.index(text)]
        return msgspec.structs.replace(annotation, class_id=into)
    return annotation


def _labelled_for(
    sample: Sample, annotations: Sequence[Annotation], change: TaxonomyChange
) -> list[ClassId]:
    """The classes of which every object is annotated: what is known of the old ones decides."""
    known, touched = set(sample.labelled_for), set(change.classes)
    if not known & touched:
        return sample.labelled_for
    if not touched <= known:  # of a part of what was merged, objects may be missing
        return sorted(known - touched)
    left = touched & {one.class_id for one in annotations}
    if change.kind == "split" and left:  # one that has no new class may belong to any of them
        return sorted(known)
    return sorted((known - touched) | set(change.into))


def _content(change: TaxonomyChange) -> bytes:
    return canonical_json(change)
