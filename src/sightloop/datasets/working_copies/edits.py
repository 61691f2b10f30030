"""From what became of a folder's files to what that means for samples.

New images are stored on the way; they are durable when `read_edits` returns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.datasets.commits import problem_with_labels
from sightloop.datasets.formats.listing import ListedImage
from sightloop.datasets.image_files import ImageFolder, KeptImage, keep_images, look_at_images
from sightloop.datasets.keys import SampleKey, object_key, sample_key, sample_of_key
from sightloop.datasets.problems import Problem
from sightloop.datasets.samples import find_samples, read_commit
from sightloop.datasets.tombstones import erased_images
from sightloop.datasets.values import Sample, SampleId, Taxonomy, sample_id
from sightloop.datasets.working_copies.copies import Copy, Tracked
from sightloop.datasets.working_copies.folder_changes import (
    FolderChanges,
)
from sightloop.datasets.working_copies.layout import (
    has_own_labels,
    has_shared_labels,
    is_label_file,
)
from sightloop.datasets.working_copies.said_labels import (
    KeptImages,
    NoLabels,
    OwnLabels,
    SaidLabels,
    SharedLabels,
    samples_by_digest,
)
from sightloop.datasets.working_copies.shared_labels import Relisted, relist
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
    labels: SaidLabels = NoLabels(taxonomy)
    if relisted is not None:
        labels = SharedLabels(copy, taxonomy, relisted, kept)
    elif has_own_labels(copy.facts):
        labels = OwnLabels(copy, taxonomy, found, kept)
    while True:
        edits, refused = _edits(workspace, copy, found, kept, labels)
        if not refused:
            known = set(taxonomy.class_names)
            names = [one for one in edits.taxonomy.class_names if one not in known]
            return edits._replace(new_classes=names)
        # Again without them: a class that only they name must not come in.
        for path, problem in refused.items():
            labels.refuse(path, problem)


def _keep(
    workspace: Workspace,
    copy: Copy,
    found: FolderChanges,
    relisted: Relisted | None,
    progress: Progress,
    *,
    is_kept: bool,
) -> KeptImages:
    """Read the images whose bytes are needed, and store them if they are to be kept."""
    paths = [*found.new, *found.changed]
    if relisted is None:
        listed = [_listed(path) for path in paths]
    else:
        paths += [*relisted.relabelled, *(new for _, new in found.renamed)]
        listed = [relisted.images[path]._replace(file_name=path) for path in paths]
    kept = KeptImages({}, {})
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
    workspace: Workspace, copy: Copy, found: FolderChanges, kept: KeptImages, labels: SaidLabels
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
    by_digest = samples_by_digest(files) if found.new or found.changed else {}
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
