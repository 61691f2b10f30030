"""What the label files of a folder say of its images, in each format: what a commit takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

import msgspec

from sightloop.datasets.formats.labelled import LabelledImage, label_images, sample_of
from sightloop.datasets.identities import with_known_ids
from sightloop.datasets.image_files import KeptImage
from sightloop.datasets.keys import object_key
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.values import Sample, Taxonomy
from sightloop.datasets.working_copies.copies import Copy, Tracked
from sightloop.datasets.working_copies.folder_changes import (
    FolderChanges,
    hash_files,
    why_not_plain,
)
from sightloop.datasets.working_copies.label_files import read_label_file
from sightloop.datasets.working_copies.labels import (
    NO_LABELS,
    BadLabels,
    LabelFile,
    read_labels,
    with_labels,
)
from sightloop.datasets.working_copies.layout import (
    image_path_of,
    is_label_file,
    label_path_of,
)
from sightloop.datasets.working_copies.shared_labels import Relisted
from sightloop.kernel.digests import digest_of


class SaidLabels(Protocol):
    """What the folder's label files say."""

    taxonomy: Taxonomy
    relabelled: list[str]
    """Images that are the same and whose labels differ."""
    problems: dict[str, str]
    """By path of the image that cannot be committed because of its labels."""
    remarks: list[str]
    """What the files say that cannot be taken, and keeps no image from being committed."""
    are_of_images: bool
    """Whether one of the remarks is of an image, not of the data set as a whole."""

    def put_on(self, path: str, sample: Sample) -> Sample:
        """The sample, labelled as the files say of the image at that path."""
        ...

    def hash_of(self, path: str) -> bytes:
        """What `Tracked.listed` is to be."""
        ...

    def refuse(self, path: str, problem: str) -> None:
        """The image at that path cannot be committed as it is labelled."""
        ...

    def noted(self, problems: Collection[str]) -> dict[str, Tracked]:
        """The label files that were taken, when these images cannot be committed."""
        ...

    def moves(self, problems: Collection[str]) -> list[tuple[str, str]]:
        """Label files that follow a renamed image, except of these."""
        ...

    def forgotten(self, problems: Collection[str]) -> list[str]:
        """Label files that are there no more, and whose images are not among these."""
        ...


class KeptImages(NamedTuple):
    """Image files that were read, by path, and why others cannot be committed."""

    images: dict[str, KeptImage]
    problems: dict[str, str]


def samples_by_digest(files: Mapping[str, Tracked]) -> dict[bytes, bytes]:
    """Which sample an image with this digest is, both raw."""
    return {one.digest: one.sample for one in files.values() if one.sample}


class NoLabels:
    """A folder of images and nothing else."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.relabelled: list[str] = []
        self.files: dict[str, Tracked] = {}
        self.problems: dict[str, str] = {}
        self.remarks: list[str] = []
        self.are_of_images = False
        self.missing: list[str] = []

    def put_on(self, path: str, sample: Sample) -> Sample:  # noqa: ARG002
        """As it is."""
        return sample

    def hash_of(self, path: str) -> bytes:  # noqa: ARG002
        """Nothing is said."""
        return b""

    def refuse(self, path: str, problem: str) -> None:
        """The image at that path cannot be committed as it is labelled."""
        self.problems[path] = f"{path}: {problem}"

    def noted(self, problems: Collection[str]) -> dict[str, Tracked]:
        """Every label file, unless an image stays a change: then they have to be read again."""
        return {} if problems else dict(self.files)

    def moves(self, problems: Collection[str]) -> list[tuple[str, str]]:  # noqa: ARG002
        """Nothing moves."""
        return []

    def forgotten(self, problems: Collection[str]) -> list[str]:  # noqa: ARG002
        """Those of the folder that are gone."""
        return self.missing


class OwnLabels(NoLabels):
    """A label file beside each image that has labels."""

    def __init__(
        self, copy: Copy, taxonomy: Taxonomy, found: FolderChanges, kept: KeptImages
    ) -> None:
        super().__init__(taxonomy)
        self._base, self._copy, self._found, self._kept = taxonomy, copy, found, kept
        self._oddities = {one.path: one for one in found.oddities}
        self._said: dict[str, LabelFile] = {}
        self._moves: dict[str, tuple[str, str]] = {}
        renamed = dict(found.renamed)
        self.problems |= _mixed_up(copy, found, kept)
        for path, why in found.blocked.items():
            image = image_path_of(path)
            if is_label_file(copy.facts, path) and image not in found.gone:
                self.problems[renamed.get(image, image)] = f"{path}: {why}"
        for image, path in sorted(self._label_files(renamed).items()):
            if image in self.problems or image in kept.problems:
                continue
            try:
                self._read(path, image)
            except BadLabels as error:
                self.problems[image] = f"{path}: it {error}"
        self._take_classes()

    @property
    def _names(self) -> dict[str, None]:
        return {name: None for one in self._said.values() for name in one.class_names}

    def put_on(self, path: str, sample: Sample) -> Sample:
        """With everything that its file says instead of what was."""
        said = self._said.get(path)
        return sample if said is None else with_labels(sample, said, self.taxonomy)

    def refuse(self, path: str, problem: str) -> None:
        """Its file says nothing, not even a class."""
        here = label_path_of(path)
        self.problems[path] = f"{self._moves.get(path, (here, ''))[0]}: {problem}"
        self._said.pop(path, None)
        self._take_classes()

    def noted(self, problems: Collection[str]) -> dict[str, Tracked]:
        """The label files of all other images."""
        return {
            path: one for path, one in self.files.items() if image_path_of(path) not in problems
        }

    def moves(self, problems: Collection[str]) -> list[tuple[str, str]]:
        """A label file that stayed under the old name goes to the new one."""
        return [move for image, move in self._moves.items() if image not in problems]

    def forgotten(self, problems: Collection[str]) -> list[str]:
        """Each one whose image is not held back."""
        gone = [path for path in self._found.labels if path not in self._found.stamps]
        return [path for path in gone if image_path_of(path) not in problems]

    def _take_classes(self) -> None:
        self.relabelled = [
            path
            for path in self._said
            if path in self._copy.files and path not in self._kept.images
        ]
        self.taxonomy = with_classes(self._base, [FoundClass(name) for name in self._names])

    def _label_files(self, renamed: Mapping[str, str]) -> dict[str, str]:
        """Which label file to read of which image."""
        found = self._found
        moved = {label_path_of(path) for pair in renamed.items() for path in pair}
        gone = {label_path_of(path) for path in found.gone}
        paths = {*found.labels, *map(label_path_of, self._kept.images)} - moved - gone
        files = {image_path_of(path): path for path in paths}
        for old, new in renamed.items():
            before, after = label_path_of(old), label_path_of(new)
            is_left = before in found.stamps and after not in found.stamps
            if is_left and self._why_not_plain(after) is None:
                self._moves[new] = (before, after)
                files[new] = before
            else:
                files[new] = after
        return files

    def _read(self, path: str, image: str) -> None:
        if image not in self._found.stamps:
            raise BadLabels(f"is about {image}, which is not there")
        if (why := self._why_not_plain(path)) is not None:
            raise BadLabels(f"cannot be read: {why}")
        content = read_label_file(f"{self._copy.facts.folder}/{path}")
        if content is not None:
            self._said[image] = read_labels(content)
            if path in self._found.stamps:
                seen = self._found.tracked(path, object_key(digest_of(content)))
                self.files[label_path_of(image)] = seen
        elif path in self._copy.files:
            # Somebody removed it. Where none ever was it says nothing: the image may be a second
            # file of a labelled one, or a renamed one whose label file is lost.
            self._said[image] = NO_LABELS

    def _why_not_plain(self, path: str) -> str | None:
        return why_not_plain(self._copy.facts.folder, path, self._oddities)


def _mixed_up(copy: Copy, found: FolderChanges, kept: KeptImages) -> dict[str, str]:
    """Images in another's place whose label file still is the other's: whose labels are they?"""
    if not found.changed:
        return {}
    samples = samples_by_digest(copy.files)
    problems: dict[str, str] = {}
    for image in found.changed:
        path = label_path_of(image)
        one = kept.images.get(image)
        sample = samples.get(object_key(one.digest)) if one is not None else None
        is_as_it_was = path in found.stamps and path not in found.labels
        if is_as_it_was and sample not in (None, copy.files[image].sample):
            problems[image] = (
                f"{image}: it holds another known image now, and {path} still has the labels of "
                "the one that was there; move the label files as the images, or remove this one"
            )
    return problems


class SharedLabels(NoLabels):
    """Label files of another format."""

    def __init__(
        self, copy: Copy, taxonomy: Taxonomy, relisted: Relisted, kept: KeptImages
    ) -> None:
        classes = relisted.listing.classes
        super().__init__(with_classes(taxonomy, classes.values()))
        ids = {one.name: one.id for one in self.taxonomy.classes}
        self._class_ids = {key: ids[one.name] for key, one in classes.items()}
        self._hashes = relisted.hashes
        self._is_known = set(taxonomy.class_ids)
        listing = relisted.listing._replace(problems=[])
        found = label_images(listing, list(kept.images.values()))
        self._said: dict[str, LabelledImage] = {one.file_name: one for one in found.images}
        self.relabelled = [path for path in relisted.relabelled if path in kept.images]
        # Of an unchanged folder everything was said when it was imported.
        said = () if relisted.changes.is_empty else relisted.listing.problems
        self.remarks = [str(one) for one in (*said, *found.problems)]
        self.are_of_images = any(one.file for one in (*said, *found.problems))
        changed = [path for path in relisted.changes.labels if path in relisted.changes.stamps]
        for path, digest in hash_files(copy.facts.folder, changed).items():
            self.files[path] = relisted.changes.tracked(path, digest)
        self.missing = [
            one for one in relisted.changes.labels if one not in relisted.changes.stamps
        ]

    def put_on(self, path: str, sample: Sample) -> Sample:
        """With the listed objects; what the format has no place for stays as it was."""
        said = self._said.get(path)
        if said is None:
            return sample
        listed = sample_of(said, self._class_ids)
        hidden = {self._class_ids[key] for key in said.labels.unlabelled}
        # Only of classes that are new can the files say more than was known.
        new = {one for one in listed.labelled_for if one not in self._is_known}
        is_new = not sample.annotations and not sample.labelled_for
        labelled_for = listed.labelled_for if is_new else {*sample.labelled_for, *new} - hidden
        return msgspec.structs.replace(
            sample,
            slices={**sample.slices, **listed.slices},
            labelled_for=sorted(labelled_for),
            annotations=with_known_ids(sample.annotations, listed.annotations),
        )

    def hash_of(self, path: str) -> bytes:
        """What the files say of it now."""
        return self._hashes.get(path, b"")
