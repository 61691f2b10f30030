"""From a listing and its images to samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import PurePosixPath
from typing import NamedTuple

from sightloop.datasets.formats.listing import ClassKey, Listing
from sightloop.datasets.formats.placing import Labels, read_labels
from sightloop.datasets.image_files import KeptImage
from sightloop.datasets.media import media_type_of
from sightloop.datasets.problems import Note, Problem
from sightloop.datasets.values import (
    ClassId,
    LabelledObject,
    Sample,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.digests import Digest


class LabelledImage(NamedTuple):
    """An image in the store and its labels: all that a sample needs but class ids."""

    kept: KeptImage
    labels: Labels

    @property
    def file_name(self) -> str:
        """As the data set gives it."""
        return self.kept.image.file_name


class Found(NamedTuple):
    """What a listing comes to."""

    images: list[LabelledImage]
    problems: list[Problem]
    notes: list[Note]


def label_images(listing: Listing, kept: Sequence[KeptImage | Problem]) -> Found:
    """The images that can be imported with their labels, and everything there is to say.

    Equal images are one sample. The first by file name gives its split key and slices; when one
    is labelled otherwise than the first, nobody can know who is right, and it is a problem.
    """
    found = Found([], [*listing.problems], [*listing.notes])
    first: dict[Digest, LabelledImage] = {}
    found.problems.extend(one for one in kept if isinstance(one, Problem))
    whole = [one for one in kept if isinstance(one, KeptImage)]
    for labelled in sorted(_labelled(listing, whole), key=attrgetter("file_name")):
        found.problems.extend(labelled.labels.problems)
        found.notes.extend(_misnamed(labelled.kept))
        found.notes.extend(labelled.labels.notes)
        twin = first.setdefault(labelled.kept.digest, labelled)
        if twin is labelled:
            found.images.append(labelled)
        elif _has_equal_labels(labelled, twin):
            found.notes.append(_same_image_note(labelled, twin))
        else:
            found.problems.append(_same_image_problem(labelled, twin))
    return found


def sample_of(labelled: LabelledImage, class_ids: Mapping[ClassKey, ClassId]) -> Sample:
    """The image as a sample; `class_ids` says which class each key is."""
    kept = labelled.kept
    size = kept.facts.size.upright
    new_id = sample_id(kept.digest, None)
    return Sample(
        id=new_id,
        image=kept.digest,
        width_px=size.width_px,
        height_px=size.height_px,
        media_type=kept.facts.media_type,
        file_name=labelled.file_name,
        split_key=kept.image.split_key or kept.digest,
        slices=kept.image.slices,
        tags=sorted(set(kept.image.tags)),
        reserved=kept.image.split,
        labelled_for=_labelled_for(class_ids, labelled.labels.unlabelled),
        annotations=imported_annotations(
            new_id,
            [
                LabelledObject(class_ids[one.class_key], one.geometry, one.attributes)
                for one in labelled.labels.objects
            ],
        ),
    )


def _labelled(listing: Listing, kept: Sequence[KeptImage]) -> list[LabelledImage]:
    return [
        LabelledImage(
            one,
            read_labels(
                one.image,
                listing.objects.get(one.image.id, ()),
                size=one.facts.size,
                class_keys=listing.classes.keys(),
            ),
        )
        for one in kept
    ]


def _labelled_for(
    class_ids: Mapping[ClassKey, ClassId], unlabelled: Collection[ClassKey]
) -> list[ClassId]:
    # Two keys may mean one class, which then needs both of them.
    partly = {class_ids[key] for key in unlabelled if key in class_ids}
    return sorted(set(class_ids.values()) - partly)


def _has_equal_labels(one: LabelledImage, other: LabelledImage) -> bool:
    first, second = (sorted(each.labels.objects, key=repr) for each in (one, other))
    return first == second and one.labels.unlabelled == other.labels.unlabelled


def _misnamed(kept: KeptImage) -> Iterator[Note]:
    """That a file's name tells of another kind of image than its bytes."""
    ending = PurePosixPath(kept.image.file_name).suffix.lower()
    told = media_type_of(ending)
    if told is not None and told != kept.facts.media_type:
        text = f"its name ends in {ending}, but it is {kept.facts.media_type}; kept as what it is"
        image = kept.image
        yield Note(kind="misnamed_file", text=text, file=image.file_name, image_id=image.id)


def _same_image_note(one: LabelledImage, first: LabelledImage) -> Note:
    image, its_split = one.kept.image, first.kept.image.split
    text = f"its bytes and labels are those of {first.file_name}: one sample, under that name"
    if image.split != its_split:
        text += f", in {its_split or 'the split of the rule'} and not in {image.split}"
    return Note(
        kind="same_image_twice",
        text=text,
        file=image.file_name,
        image_id=image.id,
    )


def _same_image_problem(one: LabelledImage, first: LabelledImage) -> Problem:
    image = one.kept.image
    return Problem(
        kind="same_image_twice",
        text=f"its bytes are those of {first.file_name}, but it is labelled otherwise",
        file=image.file_name,
        image_id=image.id,
    )
