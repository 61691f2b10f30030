"""Importing a data set: all that is wrong with it is found first, then it goes in whole."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sightloop.datasets.changes import Change
from sightloop.datasets.drafts import Target, check_target, commit_change
from sightloop.datasets.errors import BadFieldName, BadImport
from sightloop.datasets.formats.archives import is_archive, unpacked
from sightloop.datasets.formats.labelled import label_images, sample_of
from sightloop.datasets.formats.listing import Listing, Source, WantedFields
from sightloop.datasets.formats.readers import format_of, reader_for
from sightloop.datasets.image_files import ImageFolder, keep_images
from sightloop.datasets.problems import Note, Problem
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.scratch import scratch_folder
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.taxonomy import with_classes
from sightloop.datasets.tombstones import erased_images
from sightloop.datasets.values import Taxonomy
from sightloop.datasets.working_copies.beginning import Beginning, look_before, remember
from sightloop.datasets.working_copies.copies import CopyFacts
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.collector import collector_paused
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace


class ImportDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A data set in files, to be put onto a branch."""

    source: str
    """Its folder, the file that describes it, or an archive (zip, tar, tar.gz) of the folder."""
    format: str = "auto"
    """One of `readers.READERS`; `auto` takes the first that fits."""
    images: str = ""
    """The image folder, where it is not the one the format expects."""
    branch: str = "main"
    message: str = ""
    split_key: str | None = None
    """The field of images that keeps them together in a split; without it each stands alone."""
    slice_fields: list[str] = []
    split_rule: SplitRule | None = None
    ignore_splits: bool = False
    """Deal images out by the split rule even where the data set says which split they are in."""
    strict: bool = False
    """One problem refuses all; otherwise everything that can be imported is."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Without any change there is no new commit and `commit` is the old head."""

    commit: Digest
    is_new: bool
    n_samples: int
    """Samples the file has, new or not."""
    n_new: int
    n_changed: int
    n_annotations: int
    problems: list[Problem]
    """What was left out."""
    notes: list[Note]
    """What was imported otherwise than it stands in the file."""


def import_dataset(workspace: Workspace, call: Call, request: ImportDataset) -> Imported:
    """Put the data set's samples onto the branch in one commit; those already there are replaced.

    Raises:
        NotFound: the source or its image folder is not there.
        BadArchive: the source is an archive that must not be unpacked.
        UnknownFormat: there is no such format, or none fits.
        WrongFormat: the files as a whole are not of the format.
        BadFieldName: a field with that name cannot be a slice or split key.
        BadImport: records cannot be imported, and `strict` is set or no image is left; nothing
            was imported.
        BadRefName: no branch can have that name.
        NothingToCommit: no record can be imported and the branch does not exist.
        SplitRuleDiffers: the branch splits by another rule.
        DiskFull: no room; nothing was imported.
    """
    require(call.actor, Permission.WRITE_DATA)
    check_target(workspace, branch=request.branch, split_rule=request.split_rule)
    _check_fields(request)
    path = Path(request.source)
    with collector_paused(), scratch_folder(workspace.state) as scratch:
        if not is_archive(path):
            return _import(workspace, call, request, path, scratch)
        with unpacked(path, call.progress) as folder:
            return _import(workspace, call, request, folder, scratch)


def _import(
    workspace: Workspace, call: Call, request: ImportDataset, path: Path, scratch: Path
) -> Imported:
    beginning = _beginning(request)
    listing = _read(request, path, call.progress, scratch)
    folder = ImageFolder(listing.folder)
    with workspace.db.read() as tx:
        erased = erased_images(tx)
    with keep_images(workspace.blobs, folder, listing.images, call.progress, erased=erased) as kept:
        found = label_images(listing, kept)
        if found.problems and request.strict:
            lines = [str(problem) for problem in found.problems]
            raise BadImport(source=request.source, problems=lines)
        if found.problems and not found.images:
            lines = [str(problem) for problem in found.problems]
            raise BadImport(source=request.source, problems=lines, is_all=True)

    def change_on(head: CommitRecord | None) -> Change:
        old = Taxonomy() if head is None else head.taxonomy
        taxonomy = with_classes(old, listing.classes.values())
        ids = {one.name: one.id for one in taxonomy.classes}
        class_ids = {key: ids[one.name] for key, one in listing.classes.items()}
        samples = [sample_of(one, class_ids) for one in found.images]
        return Change(
            samples,
            taxonomy,
            split_rule=request.split_rule,
            ids_are_new=True,
            # A folder without labels says nothing of what people have labelled since.
            only_new=not listing.classes,
        )

    message = request.message or f"import {Path(request.source).name}"
    target = Target(request.branch, message)
    draft = commit_change(workspace, call, target=target, change_on=change_on)
    if beginning is not None:
        remember(workspace, beginning, listing, kept, commit=draft.commit)
    return Imported(
        commit=draft.commit,
        is_new=draft.is_new,
        n_samples=len(found.images),
        n_new=draft.n_added,
        n_changed=draft.n_changed,
        n_annotations=sum(len(one.labels.objects) for one in found.images),
        problems=found.problems,
        notes=found.notes,
    )


def _check_fields(request: ImportDataset) -> None:
    for field in filter(None, [request.split_key, *request.slice_fields]):
        if "=" in field:
            raise BadFieldName(field=field)
    if not Path(request.source).exists():
        raise NotFound(what="file or folder", name=request.source)


def _beginning(request: ImportDataset) -> Beginning | None:
    """A folder becomes a working copy; a single file, or images elsewhere, cannot."""
    folder = Path(request.source).resolve()
    images = Path(request.images).resolve() if request.images else folder
    if not folder.is_dir() or not images.is_relative_to(folder):
        return None
    fmt = format_of(folder, request.format)
    if fmt == "dvc":  # its files lie in the cache, under other names
        return None
    facts = CopyFacts(
        folder=str(folder),
        format=fmt,
        base=Digest(""),
        branch=request.branch,
        images_option="" if images == folder else images.relative_to(folder).as_posix(),
        split_key=request.split_key or "",
        slice_fields=request.slice_fields,
        is_imported=True,
    )
    return look_before(facts)


def _read(request: ImportDataset, path: Path, progress: Progress, scratch: Path) -> Listing:
    source = Source(
        path,
        Path(request.images) if request.images else None,
        WantedFields(request.split_key, request.slice_fields),
        progress,
        scratch,
    )
    listing = reader_for(path, request.format).read(source)
    if request.ignore_splits:
        return listing._replace(images=[one._replace(split=None) for one in listing.images])
    return listing
