"""`data status`: what a working copy's next commit would hold, and where its branch is.

The comparison itself needs no database: a status of 10,000 files takes less time than loading one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.datasets.working_copies.copies import (
    Copy,
    Wanted,
    find_copy,
    unfinished_switch,
)
from sightloop.datasets.working_copies.folder_changes import FolderChanges, changes_in
from sightloop.datasets.working_copies.layout import (
    has_own_labels,
    has_shared_labels,
    image_path_of,
    label_path_of,
)
from sightloop.kernel.digests import Digest


class CopyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A working copy against the commit it is of. Paths are below the folder."""

    folder: str
    format: str
    branch: str
    """Empty for a copy of a tag or digest."""
    base: Digest
    head: Digest | None
    """Where the branch is now."""
    wanted: Wanted
    n_files: int
    """Files that are tracked."""
    unfinished: Digest | None
    """The commit of a checkout that was interrupted; the lists below are no use then."""
    new: list[str]
    changed: list[str]
    """Files that hold another image now."""
    gone: list[str]
    renamed: list[tuple[str, str]]
    relabelled: list[str]
    """Images that are the same and whose labels differ."""
    orphaned: list[str] = []
    """Label files of images that are gone; a commit leaves them, and nothing needs them."""
    new_classes: list[str] = []
    """Names of classes that label files have and the copy's commit lacks."""
    problems: list[str] = []
    """What a commit would leave out, and why."""
    unlisted: list[str]
    """Image files of which no label file of the folder's format knows; a commit leaves them."""
    not_looked_at: list[str]
    """What is in the folder and can be no part of it, and why."""

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to commit."""
        return not (
            self.new
            or self.changed
            or self.gone
            or self.renamed
            or self.relabelled
            or self.problems
        )

    @property
    def has_moved_on(self) -> bool:
        """Whether the branch is elsewhere than the copy's commit."""
        return bool(self.branch) and self.head != self.base


def folder_status(state: Path, folder: str) -> CopyStatus:
    """The status without the branch's head; `state` is the workspace's state folder.

    Raises:
        NoWorkingCopy: the folder belongs to none.
        NotOneCopy: none was named and there are several.
        SightloopError: a changed label file as a whole cannot be read.
    """
    return look_at_folder(state, folder).status


class Look(NamedTuple):
    """A folder as it was seen."""

    copy: Copy
    found: FolderChanges
    status: CopyStatus

    @property
    def is_settled(self) -> bool:
        """Whether no file has to be read to know what a commit would take: there is none."""
        return self.status.is_clean and not self.found.labels


def look_at_folder(state: Path, folder: str) -> Look:
    """As `folder_status`, with what it follows from."""
    copy = find_copy(state, folder)
    unfinished = unfinished_switch(state, copy.facts.folder)
    found = changes_in(copy)
    unlisted: list[str] = []
    if not has_shared_labels(copy.facts):
        relabelled = _relabelled(copy, found)
    elif any(not copy.files[path].sample for path in found.blocked):
        # Label files that cannot be read: nothing is known of any image.
        relabelled, found = [], found._replace(new=[], changed=[], gone=[], renamed=[], labels=[])
    elif found.labels or found.changed or found.gone or found.renamed:
        # Only then are formats needed; loading them takes longer than the whole comparison.
        from sightloop.datasets.working_copies.shared_labels import relist

        appeared = found.new
        relisted = relist(copy, found)
        found, relabelled = relisted.changes, relisted.relabelled
        unlisted = [path for path in appeared if path not in relisted.images]
    else:
        relabelled, unlisted = [], found.new
        found = found._replace(new=[])
    facts = copy.facts
    status = CopyStatus(
        folder=facts.folder,
        format=facts.format,
        branch=facts.branch,
        base=facts.base,
        head=None,
        wanted=facts.wanted,
        n_files=len(copy.files),
        unfinished=None if unfinished is None else unfinished.base,
        new=found.new,
        changed=found.changed,
        gone=found.gone,
        renamed=found.renamed,
        relabelled=relabelled,
        orphaned=_orphaned(copy, found),
        problems=[f"{path}: {why}" for path, why in found.blocked.items()],
        unlisted=unlisted,
        not_looked_at=[f"{one.path}: {one.why}" for one in found.oddities],
    )
    return Look(copy, found, status)


def _orphaned(copy: Copy, found: FolderChanges) -> list[str]:
    if not has_own_labels(copy.facts):
        return []
    return [path for path in map(label_path_of, found.gone) if path in found.stamps]


def _relabelled(copy: Copy, found: FolderChanges) -> list[str]:
    """Images whose label file is not as it was."""
    if not has_own_labels(copy.facts):
        return []
    moved = {label_path_of(path) for pair in found.renamed for path in pair}
    images = (image_path_of(path) for path in found.labels if path not in moved)
    elsewhere = {*found.new, *found.changed, *found.gone}
    return [path for path in images if path not in elsewhere]
