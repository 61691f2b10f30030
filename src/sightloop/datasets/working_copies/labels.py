"""The label file that stands beside an image in a checkout: JSON for people and programs.

Classes stand by their names, annotations with their ids, so that an edited file says exactly what
was changed. Specification: docs/formats/labels.md. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from sightloop.datasets.errors import EmptyBox, FarAway
from sightloop.datasets.geometry import Geometry, rounded
from sightloop.datasets.identities import with_known_ids
from sightloop.datasets.values import (
    Annotation,
    AnnotationId,
    AnnotationState,
    AttributeValue,
    ClassId,
    LabelledObject,
    Sample,
    Taxonomy,
    imported_annotations,
)

FORMAT: Literal["sightloop.labels/1"] = "sightloop.labels/1"
_ID_DIGITS = 32


class BadLabels(ValueError):
    """A label file that cannot be understood; the text says why, in words that go on "it ..."."""


class FileAnnotation(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One object as a label file has it."""

    class_: str = msgspec.field(name="class")
    """The class's name; a name that the data set does not know becomes a class."""
    geometry: Geometry
    id: AnnotationId | None = None
    """Left out in an object drawn by hand: it is found again by what it is, or is new."""
    source: str = "human"
    state: AnnotationState = "verified"
    attributes: dict[str, AttributeValue] = {}


class LabelFile(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Everything about one image that people edit."""

    format: Literal["sightloop.labels/1"] = msgspec.field(default_factory=lambda: FORMAT)
    labelled_for: list[str] = []
    """Names of the classes of which every object is here."""
    annotations: list[FileAnnotation] = []
    tags: list[str] = []
    slices: dict[str, str] = {}

    @property
    def class_names(self) -> Iterator[str]:
        """Every class it names."""
        yield from self.labelled_for
        yield from (one.class_ for one in self.annotations)


NO_LABELS = LabelFile()


def labels_of(sample: Sample, names: Mapping[ClassId, str]) -> bytes | None:
    """The label file of a sample; None of one that has nothing to say.

    An image without labels has no file: that halves the files of an unlabelled data set.
    """
    if not (sample.annotations or sample.labelled_for or sample.tags or sample.slices):
        return None
    found = LabelFile(
        labelled_for=[names[one] for one in sample.labelled_for],
        annotations=[
            FileAnnotation(
                id=one.id,
                class_=names[one.class_id],
                geometry=one.geometry,
                source=one.source,
                state=one.state,
                attributes=one.attributes,
            )
            for one in sample.annotations
        ],
        tags=sample.tags,
        slices=sample.slices,
    )
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def read_labels(content: bytes) -> LabelFile:
    """What the file says.

    Raises:
        BadLabels: it is no label file of this format, or says something impossible.
    """
    try:
        found = _DECODER.decode(content)
    except EmptyBox as error:
        raise BadLabels(f"has a geometry without area: {error.message}") from error
    except FarAway as error:
        raise BadLabels(f"has a geometry that lies on no image: {error.message}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadLabels(f"is no label file: {error}") from error
    ids = [one.id for one in found.annotations if one.id is not None]
    if len(set(ids)) < len(ids):
        raise BadLabels("has two annotations with the same id")
    for one in ids:
        if len(one) != _ID_DIGITS or set(one) - set("0123456789abcdef"):
            raise BadLabels(f"has the annotation id {one[:80]!r}; leave the id of a new one out")
    return found


def with_labels(sample: Sample, labels: LabelFile, taxonomy: Taxonomy) -> Sample:
    """The sample as its label file says; the taxonomy has every class that it names."""
    ids = {one.name: one.id for one in taxonomy.classes}
    return msgspec.structs.replace(
        sample,
        labelled_for=sorted({ids[name] for name in labels.labelled_for}),
        tags=sorted(set(labels.tags)),
        slices=labels.slices,
        annotations=_annotations(sample, labels, ids),
    )


def _annotations(sample: Sample, labels: LabelFile, ids: Mapping[str, ClassId]) -> list[Annotation]:
    named = [
        Annotation(
            id=one.id,
            class_id=ids[one.class_],
            geometry=rounded(one.geometry),
            source=one.source,
            state=one.state,
            attributes=one.attributes,
        )
        for one in labels.annotations
        if one.id is not None
    ]
    known = {one.id for one in named}
    drawn = imported_annotations(
        sample.id,
        [
            LabelledObject(ids[one.class_], one.geometry, one.attributes)
            for one in labels.annotations
            if one.id is None
        ],
        source="human",
    )
    # What the file names by id is settled; the rest may only be what is left.
    left = [one for one in sample.annotations if one.id not in known]
    found = with_known_ids(left, drawn, keep_proposals=False, taken=known)
    return sorted([*named, *found], key=lambda one: one.id)


_DECODER = msgspec.json.Decoder(LabelFile)
