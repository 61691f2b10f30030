"""From what became of a folder's files to what that means for samples.

New images are stored on the way; they are durable when `read_edits` returns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from sightloop.datasets.commits import problem_with_labels
from sightloop.datasets.formats.labelled import LabelledImage, label_images, sample_of
from sightloop.datasets.formats.listing import ListedImage
from sightloop.datasets.identities import with_known_ids
from sightloop.datasets.image_files import ImageFolder, KeptImage, keep_images, look_at_images
from sightloop.datasets.keys import SampleKey, object_key, sample_key, sample_of_key
from sightloop.datasets.problems import Problem
from sightloop.datasets.samples import find_samples, read_commit
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.tombstones import erased_images
from sightloop.datasets.values import Sample, SampleId, Taxonomy, sample_id
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
    has_own_labels,
    has_shared_labels,
    image_path_of,
    is_label_file,
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
    moves: Sequence[tuple[str, str]] = ()
    """Label files that follow their image once it is committed: old path, new path."""
    problems: Sequence[str] = ()
    """What cannot be committed; it stays as it was remembered, and so stays a change."""
    is_held: bool = False
    """Whether one of the problems is of an image: something that changed is left out."""
    new_classes: Sequence[str] = ()
    """Names of classes that the copy's commit lacks."""

    @property
    def is_nothing(self) -> bool:
        """Whether no sample and no class comes, changes or goes."""
        return not (self.upserts or self.removals or self.new_classes)


def read_edits(
    workspace: Workspace,
    copy: Copy,
    found: FolderChanges,
    *,
    progress: Progress,
    is_kept: bool = True,
) -> Edits:
    """What the changes come to; new images are in the store when it returns, if `is_kept`.

    Raises:
        SightloopError: a shared label file as a whole cannot be read.
        DiskFull: no room; nothing was stored.
    """
    taxonomy = read_commit(workspace, copy.facts.base).taxonomy
    relisted = None
    if has_shared_labels(copy.facts) and blocks_labels(copy, found):
        # What one of these files would say is unknown, and so is what all of them say together.
        problems = [f"{path}: {why}" for path, why in found.blocked.items()]
        return Edits(taxonomy, problems=problems, is_held=True)
    if has_shared_labels(copy.facts):
        relisted = relist(copy, found, progress=progress)
        found = relisted.changes
    kept = _keep(workspace, copy, found, relisted, progress, is_kept=is_kept)
    labels: _Labels = _NoLabels(taxonomy)
    if relisted is not None:
        labels = _SharedLabels(copy, taxonomy, relisted, kept)
    elif has_own_labels(copy.facts):
        labels = _OwnLabels(copy, taxonomy, found, kept)
    while True:
        edits, refused = _edits(workspace, copy, found, kept, labels)
        if not refused:
            known = set(taxonomy.class_names)
            names = [one for one in edits.taxonomy.class_names if one not in known]
            return edits._replace(new_classes=names)
        # Again without them: a class that only they name must not come in.
        for path, problem in refused.items():
            labels.refuse(path, problem)


class _Labels(Protocol):
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


class _Kept(NamedTuple):
    images: dict[str, KeptImage]
    problems: dict[str, str]


def _keep(
    workspace: Workspace,
    copy: Copy,
    found: FolderChanges,
    relisted: Relisted | None,
    progress: Progress,
    *,
    is_kept: bool,
) -> _Kept:
    """Read the images whose bytes are needed, and store them if they are to be kept."""
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
        with (
            keep_images(workspace.blobs, folder, listed, progress, erased=erased)
            if is_kept
            else nullcontext(look_at_images(folder, listed, erased=erased))
        ) as images:
            for path, one in zip(paths, images, strict=True):
                if isinstance(one, Problem):
                    kept.problems[path] = str(one)
                else:
                    kept.images[path] = one
    return kept


def blocks_labels(copy: Copy, found: FolderChanges) -> bool:
    """Whether a label file is no plain file any more."""
    return any(is_label_file(copy.facts, path) for path in found.blocked)


def _listed(path: str) -> ListedImage:
    return ListedImage(id=path, file_name=path, declared=None, split_key=None, slices={})


def _edits(
    workspace: Workspace, copy: Copy, found: FolderChanges, kept: _Kept, labels: _Labels
) -> tuple[Edits, dict[str, str]]:
    """What the changes come to, and images that cannot be labelled as they are, and why."""
    files = copy.files
    blocked = {path: f"{path}: {why}" for path, why in found.blocked.items() if files[path].sample}
    problems = {**labels.problems, **kept.problems, **blocked}
    class_ids = set(labels.taxonomy.class_ids)
    refused: dict[str, str] = {}
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
    noted: dict[str, Tracked] = labels.noted(problems)
    for path in touched:
        sample = old.get(known[path]) if path in known else None
        if sample is None:
            sample = _new_sample(kept.images[path], path.removeprefix(copy.facts.images))
        elif path in renamed:
            name = path.removeprefix(copy.facts.images)
            sample = msgspec.structs.replace(sample, file_name=name)
        # Of two files with one image the first says what the sample is.
        labelled = upserts.setdefault(sample.id, labels.put_on(path, sample))
        if problem := problem_with_labels(labelled, class_ids):
            refused[path] = problem
        digest = digests.get(path) or files[path].digest
        noted[path] = found.tracked(
            path, digest, sample=sample_key(sample.id), listed=labels.hash_of(path)
        )
    held = {by_digest.get(digests.get(path, b""), b"") for path in problems}
    moves = labels.moves(problems)
    forgotten = [*found.gone, *(before for now, before in renamed.items() if now not in problems)]
    forgotten += [*labels.forgotten(problems), *(before for before, _ in moves)]
    edits = Edits(
        taxonomy=labels.taxonomy,
        upserts=list(upserts.values()),
        removals=_removals(files, noted, forgotten, held),
        files=noted,
        forgotten=forgotten,
        moves=moves,
        problems=[*(problems[path] for path in sorted(problems)), *labels.remarks],
        is_held=bool(problems) or labels.are_of_images,
    )
    return edits, refused


def _removals(
    files: Mapping[str, Tracked],
    noted: Mapping[str, Tracked],
    forgotten: Iterable[str],
    held: Collection[bytes],
) -> list[SampleId]:
    """Samples that no file is the image of any more, not even one that is held back."""
    gone = set(forgotten)
    lost = {
        one.sample
        for path in (*gone, *noted)
        if (one := files.get(path)) is not None and one.sample
    }
    lost -= {one.sample for one in noted.values()} | set(held)
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


class _OwnLabels(_NoLabels):
    """A label file beside each image that has labels."""

    def __init__(self, copy: Copy, taxonomy: Taxonomy, found: FolderChanges, kept: _Kept) -> None:
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


def _mixed_up(copy: Copy, found: FolderChanges, kept: _Kept) -> dict[str, str]:
    """Images in another's place whose label file still is the other's: whose labels are they?"""
    if not found.changed:
        return {}
    samples = _samples_by_digest(copy.files)
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
