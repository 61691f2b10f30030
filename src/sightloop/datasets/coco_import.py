"""Importing a COCO data set: all that is wrong with it is found first, then it goes in whole."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sightloop.datasets.changes import Change
from sightloop.datasets.coco import CocoFile, WantedFields, read_coco
from sightloop.datasets.coco_samples import label_images, sample_of
from sightloop.datasets.drafts import Target, check_target, commit_change
from sightloop.datasets.errors import BadFieldName, BadImport
from sightloop.datasets.image_files import ImageFolder, keep_images
from sightloop.datasets.problems import Note, Problem
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.taxonomy import with_classes
from sightloop.datasets.values import Taxonomy
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Call, Workspace


class ImportCoco(msgspec.Struct, frozen=True, kw_only=True):
    """A COCO detection file and the folder its file names are relative to."""

    annotations: str
    images: str
    branch: str = "main"
    message: str = ""
    split_key: str | None = None
    """The field of images that keeps them together in a split; without it each stands alone."""
    slice_fields: list[str] = []
    split_rule: SplitRule | None = None
    skip_bad: bool = False
    """Import everything that can be; otherwise one problem refuses all."""


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


def import_coco(workspace: Workspace, call: Call, request: ImportCoco) -> Imported:
    """Put the data set's samples onto the branch in one commit; those already there are replaced.

    Raises:
        NotFound: the annotation file or the image folder is not there.
        NotCoco: the file as a whole is something else.
        BadFieldName: a field with that name cannot be a slice or split key.
        BadImport: records cannot be imported, and `skip_bad` is not set; nothing was imported.
        BadRefName: no branch can have that name.
        NothingToCommit: no record can be imported and the branch does not exist.
        SplitRuleDiffers: the branch splits by another rule.
        DiskFull: no room; nothing was imported.
    """
    require(call.actor, Permission.WRITE_DATA)
    check_target(workspace, branch=request.branch, split_rule=request.split_rule)
    coco = _read(request)
    folder = ImageFolder(_image_folder(request))
    with keep_images(workspace.blobs, folder, coco.images, call.progress) as kept:
        found = label_images(coco, kept)
        if found.problems and not request.skip_bad:
            lines = [str(problem) for problem in found.problems]
            raise BadImport(source=request.annotations, problems=lines)

    def change_on(head: CommitRecord | None) -> Change:
        old = Taxonomy() if head is None else head.taxonomy
        taxonomy = with_classes(old, coco.categories.values())
        ids = {one.name: one.id for one in taxonomy.classes}
        class_ids = {key: ids[one.name] for key, one in coco.categories.items()}
        samples = [sample_of(one, class_ids) for one in found.images]
        return Change(samples, taxonomy, split_rule=request.split_rule)

    message = request.message or f"import {Path(request.annotations).name}"
    target = Target(request.branch, message)
    draft = commit_change(workspace, call, target=target, change_on=change_on)
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


def _read(request: ImportCoco) -> CocoFile:
    for field in filter(None, [request.split_key, *request.slice_fields]):
        if "=" in field:
            raise BadFieldName(field=field)
    try:
        content = Path(request.annotations).read_bytes()
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise NotFound(what="annotation file", name=request.annotations, hint=why) from error
    wanted = WantedFields(request.split_key, request.slice_fields)
    return read_coco(content, wanted, name=request.annotations)


def _image_folder(request: ImportCoco) -> Path:
    folder = Path(request.images)
    if not folder.is_dir():
        raise NotFound(what="image folder", name=request.images)
    return folder
