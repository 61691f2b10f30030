"""From what became of a folder's files to what that means for samples.

New images are stored on the way; they are durable when `read_edits` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from sightloop.datasets.formats.labelled import LabelledImage, label_images, sample_of
from sightloop.datasets.formats.listing import ListedImage
from sightloop.datasets.identities import with_known_ids
from sightloop.datasets.image_files import ImageFolder, KeptImage, keep_images
from sightloop.datasets.keys import SampleKey, object_key, sample_key, sample_of_key
from sightloop.datasets.problems import Problem
from sightloop.datasets.samples import find_samples, read_commit
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.tombstones import erased_images
from sightloop.datasets.values import Sample, SampleId, Taxonomy, sample_id
from sightloop.datasets.working_copies.copies import Copy, Tracked
from sightloop.datasets.working_copies.folder_changes import FolderChanges, hash_files
from sightloop.datasets.working_copies.labels import (
    NO_LABELS,
    BadLabels,
    LabelFile,
    read_labels,
    with_labels,
)
from sightloop.datasets.working_copies.layout import (
    has_own_labels,
    has_shared_labels,
    image_path_of,
    label_path_of,
)
from sightloop.datasets.working_copies.shared_labels import Relisted, relist
from sightloop.kernel.digests import digest_of
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Workspace


class Edits(NamedTuple):
    """What a commit of the folder would do, and how the folder is remembered afterwards."""

    taxonomy: Taxonomy
    upserts: Sequence[Sample] = ()
    removals: Sequence[SampleId] = ()
    files: Mapping[str, Tracked] = {}
    """Files that are new or differ, as they are to be remembered."""
    forgotten: Sequence[str] = ()
    """Files that are there no more."""
    problems: Sequence[str] = ()
    """What cannot be committed; it stays as it was remembered, and so stays a change."""


def read_edits(
    workspace: Workspace, copy: Copy, found: FolderChanges, *, progress: Progress
) -> Edits:
    """What the changes come to; new images are in the store when it returns.

    Raises:
        SightloopError: a shared label file as a whole cannot be read.
        DiskFull: no room; nothing was stored.
    """
    taxonomy = read_commit(workspace, copy.facts.base).taxonomy
    relisted = None
    if has_shared_labels(copy.facts):
        relisted = relist(copy, found, progress=progress)
        found = relisted.changes
    kept = _keep(workspace, copy, found, relisted, progress)
    labels: _Labels = _NoLabels(taxonomy)
    if relisted is not None:
        labels = _SharedLabels(copy, taxonomy, relisted, kept)
    elif has_own_labels(copy.facts):
        labels = _OwnLabels(copy, taxonomy, found, kept)
    return _edits(workspace, copy, found, kept, labels)


class _Labels(Protocol):
    """What the folder's label files say."""

    taxonomy: Taxonomy
    relabelled: list[str]
    """Images that are the same and whose labels differ."""
    files: dict[str, Tracked]
    """The label files that were read, as they are to be remembered."""
    problems: dict[str, str]
    """By path of the image that cannot be committed because of its labels."""
    remarks: list[str]
    """What the files say that cannot be taken, and keeps no image from being committed."""

    def put_on(self, path: str, sample: Sample) -> Sample:
        """The sample, labelled as the files say of the image at that path."""
        ...

    def hash_of(self, path: str) -> bytes:
        """What `Tracked.listed` is to be."""
        ...


class _Kept(NamedTuple):
    images: dict[str, KeptImage]
    problems: dict[str, str]


def _keep(
    workspace: Workspace,
    copy: Copy,
    found: FolderChanges,
    relisted: Relisted | None,
    progress: Progress,
) -> _Kept:
    """Store the images whose bytes are needed."""
    paths = [*found.new, *found.changed]
    if relisted is None:
        listed = [_listed(path) for path in paths]
    else:
        paths += [*relisted.relabelled, *(new for _, new in found.renamed)]
        listed = [relisted.images[path]._replace(file_name=path) for path in paths]
    kept = _Kept({}, {})
    if listed:
        folder = ImageFolder(Path(copy.facts.folder))
        with workspace.db.read() as tx:
            erased = erased_images(tx)
        with keep_images(workspace.blobs, folder, listed, progress, erased=erased) as images:
            for path, one in zip(paths, images, strict=True):
                if isinstance(one, Problem):
                    kept.problems[path] = str(one)
                else:
                    kept.images[path] = one
    return kept


def _listed(path: str) -> ListedImage:
    return ListedImage(id=path, file_name=path, declared=None, split_key=None, slices={})


def _edits(
    workspace: Workspace, copy: Copy, found: FolderChanges, kept: _Kept, labels: _Labels
) -> Edits:
    files = copy.files
    problems = {**kept.problems, **labels.problems}
    renamed = {new: old for old, new in found.renamed}
    digests: dict[str, bytes] = {path: object_key(one.digest) for path, one in kept.images.items()}
    digests |= {new: files[old].digest for new, old in renamed.items()}
    touched = [
        path
        for path in dict.fromkeys([*found.new, *found.changed, *renamed, *labels.relabelled])
        if path not in problems
    ]
    by_digest = _samples_by_digest(files) if found.new or found.changed else {}
    known: dict[str, SampleId] = {}
    for path in touched:
        before = files.get(renamed.get(path, path))
        if before is not None and before.sample and path not in found.changed:
            known[path] = SampleId(before.sample.hex())
        elif (same := by_digest.get(digests.get(path, b""))) is not None:
            known[path] = SampleId(same.hex())
    old = find_samples(workspace, copy.facts.base, set(known.values()))
    upserts: dict[SampleId, Sample] = {}
    noted: dict[str, Tracked] = dict(labels.files)
    for path in touched:
        sample = old.get(known[path]) if path in known else None
        if sample is None:
            sample = _new_sample(kept.images[path], path.removeprefix(copy.facts.images))
        elif path in renamed:
            name = path.removeprefix(copy.facts.images)
            sample = msgspec.structs.replace(sample, file_name=name)
        # Of two files with one image the first says what the sample is.
        upserts.setdefault(sample.id, labels.put_on(path, sample))
        digest = digests.get(path) or files[path].digest
        noted[path] = found.tracked(
            path, digest, sample=sample_key(sample.id), listed=labels.hash_of(path)
        )
    forgotten = [*found.gone, *(old_path for old_path, _ in found.renamed)]
    forgotten += [path for path in found.labels if path not in found.stamps]
    return Edits(
        taxonomy=labels.taxonomy,
        upserts=list(upserts.values()),
        removals=_removals(files, noted, forgotten),
        files=noted,
        forgotten=forgotten,
        problems=[*(problems[path] for path in sorted(problems)), *labels.remarks],
    )


def _removals(
    files: Mapping[str, Tracked], noted: Mapping[str, Tracked], forgotten: Iterable[str]
) -> list[SampleId]:
    """Samples that no file is the image of any more."""
    gone = set(forgotten)
    lost = {
        one.sample
        for path in (*gone, *noted)
        if (one := files.get(path)) is not None and one.sample
    }
    lost -= {one.sample for one in noted.values()}
    if lost:
        lost -= {
            one.sample for path, one in files.items() if path not in gone and path not in noted
        }
    return [sample_of_key(SampleKey(one)) for one in sorted(lost)]


def _samples_by_digest(files: Mapping[str, Tracked]) -> dict[bytes, bytes]:
    return {one.digest: one.sample for one in files.values() if one.sample}


def _new_sample(kept: KeptImage, name: str) -> Sample:
    size = kept.facts.size.upright
    return Sample(
        id=sample_id(kept.digest, None),
        image=kept.digest,
        width_px=size.width_px,
        height_px=size.height_px,
        media_type=kept.facts.media_type,
        file_name=name,
        split_key=kept.image.split_key or kept.digest,
        slices=kept.image.slices,
        tags=sorted(set(kept.image.tags)),
        reserved=kept.image.split,
    )


class _NoLabels:
    """A folder of images and nothing else."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.relabelled: list[str] = []
        self.files: dict[str, Tracked] = {}
        self.problems: dict[str, str] = {}
        self.remarks: list[str] = []

    def put_on(self, path: str, sample: Sample) -> Sample:  # noqa: ARG002
        """As it is."""
        return sample

    def hash_of(self, path: str) -> bytes:  # noqa: ARG002
        """Nothing is said."""
        return b""


class _OwnLabels(_NoLabels):
    """A label file beside each image that has labels."""

    def __init__(self, copy: Copy, taxonomy: Taxonomy, found: FolderChanges, kept: _Kept) -> None:
        super().__init__(taxonomy)
        self._root, self._found = copy.facts.folder, found
        self._said: dict[str, LabelFile] = {}
        news = [*kept.images, *(new for _, new in found.renamed)]
        moved = {label_path_of(path) for pair in found.renamed for path in pair}
        gone = {label_path_of(path) for path in found.gone}
        for path in sorted({*found.labels, *map(label_path_of, news)} - gone):
            image = image_path_of(path)
            try:
                self._read(path, image, is_optional=path in moved)
            except BadLabels as error:
                self.problems[image] = f"{path}: it {error}"
        self.relabelled = [
            path for path in self._said if path in copy.files and path not in kept.images
        ]
        names = {name: None for one in self._said.values() for name in one.class_names}
        self.taxonomy = with_classes(taxonomy, [FoundClass(name) for name in names])

    def put_on(self, path: str, sample: Sample) -> Sample:
        """With everything that its file says instead of what was."""
        said = self._said.get(path)
        return sample if said is None else with_labels(sample, said, self.taxonomy)

    def _read(self, path: str, image: str, *, is_optional: bool) -> None:
        if image not in self._found.stamps:
            if is_optional:
                return
            raise BadLabels(f"is about {image}, which is not there")
        try:
            content = Path(self._root, path).read_bytes()
        except FileNotFoundError:
            self._said[image] = NO_LABELS
            return
        self._said[image] = read_labels(content)
        if path in self._found.stamps:
            self.files[path] = self._found.tracked(path, object_key(digest_of(content)))


class _SharedLabels(_NoLabels):
    """Label files of another format."""

    def __init__(self, copy: Copy, taxonomy: Taxonomy, relisted: Relisted, kept: _Kept) -> None:
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
        self.remarks = [str(one) for one in (*relisted.listing.problems, *found.problems)]
        changed = [path for path in relisted.changes.labels if path in relisted.changes.stamps]
        for path, digest in hash_files(copy.facts.folder, changed).items():
            self.files[path] = relisted.changes.tracked(path, digest)

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
