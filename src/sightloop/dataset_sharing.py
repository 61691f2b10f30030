"""What several people do with one data set: branches, tags, merges, classes, remotes.

A part of `dataset.Dataset`, in a file of its own; each method is one call of one service.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sightloop.datasets.branches import (
    CreateBranch,
    DeleteBranch,
    ListMoves,
    RenameBranch,
    create_branch,
    delete_branch,
    list_branches,
    list_ref_moves,
    rename_branch,
)
from sightloop.datasets.classes import (
    Classes,
    EditClasses,
    EditedClasses,
    ListClasses,
    edit_classes,
    list_classes,
)
from sightloop.datasets.conflicts import FieldValue, Take
from sightloop.datasets.geometry import Geometry
from sightloop.datasets.merging import (
    AbortedMerge,
    ContinueMerge,
    MergeBranch,
    Merged,
    MergeName,
    abort_merge,
    continue_merge,
    merge_branch,
)
from sightloop.datasets.remotes.fetching import Fetch, Fetched, fetch
from sightloop.datasets.remotes.naming import (
    AddRemote,
    KnownRemote,
    RemoveRemote,
    add_remote,
    known_remotes,
    remove_remote,
)
from sightloop.datasets.remotes.pulling import Pull, Pulled, pull
from sightloop.datasets.remotes.pushing import Push, Pushed, push
from sightloop.datasets.resolving import (
    ConflictPage,
    ListConflicts,
    ListedConflict,
    ListMerges,
    MergeFacts,
    ResolveConflict,
    list_conflicts,
    list_open_merges,
    resolve_conflict,
)
from sightloop.datasets.store import Ref, RefMove
from sightloop.datasets.tags import (
    CreateTag,
    DeleteTag,
    ListTags,
    create_tag,
    delete_tag,
    list_tags,
)
from sightloop.datasets.taxonomy_edits import ClassEdit
from sightloop.kernel.workspace import Call, Workspace

Side = Literal["", "ours", "theirs"]


class Sharing:
    """Branches, tags, merges, classes and remotes of the data sets in a workspace."""

    workspace: Workspace
    _call: Call

    def branch(self, name: str, *, at: str = "main") -> Ref:
        """A new branch at an existing commit; see `datasets.branches.create_branch`."""
        return create_branch(self.workspace, self._call, CreateBranch(name=name, at=at))

    def branches(self) -> list[Ref]:
        """Every branch and the commit it is at, by name."""
        return list_branches(self.workspace, self._call)

    def rename_branch(self, name: str, new_name: str) -> Ref:
        """Call a branch otherwise; see `datasets.branches.rename_branch`."""
        request = RenameBranch(name=name, new_name=new_name)
        return rename_branch(self.workspace, self._call, request)

    def delete_branch(self, name: str) -> Ref:
        """Take a branch away; its commits stay until `gc`.

        See `datasets.branches.delete_branch` for what it raises.
        """
        return delete_branch(self.workspace, self._call, DeleteBranch(name=name))

    def reflog(self, name: str = "main", *, limit: int = 50) -> list[RefMove]:
        """Where a branch or tag has been, the latest move first."""
        request = ListMoves(name=name, limit=limit)
        return list_ref_moves(self.workspace, self._call, request)

    def tag(self, name: str, ref: str = "main") -> Ref:
        """Name a commit for good; see `datasets.tags.create_tag`."""
        return create_tag(self.workspace, self._call, CreateTag(name=name, at=ref))

    def tags(self) -> list[Ref]:
        """Every tag and its commit, by name."""
        return list_tags(self.workspace, self._call, ListTags())

    def delete_tag(self, name: str) -> Ref:
        """Take a tag away; its commit stays. See `datasets.tags.delete_tag`."""
        return delete_tag(self.workspace, self._call, DeleteTag(name=name))

    def classes(self, ref: str = "main") -> Classes:
        """The classes of a commit and what was done to them."""
        return list_classes(self.workspace, self._call, ListClasses(ref=ref))

    def edit_classes(
        self, edit: ClassEdit, *, branch: str = "main", message: str = ""
    ) -> EditedClasses:
        """Add, rename, merge, split or remove classes, labels included, in one commit.

        See `datasets.classes.edit_classes` for what it raises.
        """
        request = EditClasses(branch=branch, edit=edit, message=message)
        return edit_classes(self.workspace, self._call, request)

    def merge(
        self, source: str, *, into: str = "main", message: str = "", resolve: Side = ""
    ) -> Merged:
        """Bring the changes of a branch into another; with conflicts nothing moves.

        See `datasets.merging.merge_branch` for what it raises.
        """
        request = MergeBranch(source=source, into=into, message=message, resolve=resolve)
        return merge_branch(self.workspace, self._call, request)

    def merges(self) -> list[MergeFacts]:
        """Merges that wait for decisions, the oldest first."""
        return list_open_merges(self.workspace, self._call, ListMerges())

    def conflicts(
        self, merge: str = "", *, only_unresolved: bool = False, after: int = 0, limit: int = 50
    ) -> ConflictPage:
        """What the sides of an open merge contradict each other in.

        See `datasets.resolving.list_conflicts` for what it raises.
        """
        request = ListConflicts(
            merge=merge, only_unresolved=only_unresolved, after=after, limit=limit
        )
        return list_conflicts(self.workspace, self._call, request)

    def resolve(
        self,
        conflict: int,
        take: Take,
        *,
        merge: str = "",
        geometry: Geometry | None = None,
        class_name: str = "",
        remove: bool = False,
        value: FieldValue = None,
    ) -> ListedConflict:
        """Settle one conflict: a side is right, or with `by hand` what is given.

        See `datasets.resolving.resolve_conflict` for what it raises.
        """
        request = ResolveConflict(
            merge=merge,
            conflict=conflict,
            take=take,
            geometry=geometry,
            class_name=class_name,
            remove=remove,
            value=value,
        )
        return resolve_conflict(self.workspace, self._call, request)

    def continue_merge(self, merge: str = "", *, resolve: Side = "", message: str = "") -> Merged:
        """Commit an open merge that is settled; see `datasets.merging.continue_merge`."""
        request = ContinueMerge(merge=merge, resolve=resolve, message=message)
        return continue_merge(self.workspace, self._call, request)

    def abort_merge(self, merge: str = "") -> AbortedMerge:
        """Forget an open merge; see `datasets.merging.abort_merge`."""
        return abort_merge(self.workspace, self._call, MergeName(merge=merge))

    def remotes(self) -> list[KnownRemote]:
        """Every remote, by name; never with credentials."""
        return known_remotes(self.workspace, self._call)

    def remote(
        self, name: str, url: str | Path, *, endpoint: str = "", region: str = ""
    ) -> KnownRemote:
        """Add a remote: a folder, `s3://...`, `gs://...` or `az://...`.

        See `datasets.remotes.naming.add_remote` for what it raises.
        """
        address = str(url.resolve()) if isinstance(url, Path) else url
        request = AddRemote(name=name, url=address, endpoint=endpoint, region=region)
        return add_remote(self.workspace, self._call, request)

    def remove_remote(self, name: str) -> None:
        """Forget a remote; nothing there changes."""
        remove_remote(self.workspace, self._call, RemoveRemote(name=name))

    def push(self, ref: str = "main", *, to: str = "origin") -> Pushed:
        """Send a branch or tag; see `datasets.remotes.pushing.push`."""
        return push(self.workspace, self._call, Push(ref=ref, remote=to))

    def fetch(self, source: str = "origin") -> Fetched:
        """Bring commits and labels, no images; see `datasets.remotes.fetching.fetch`."""
        return fetch(self.workspace, self._call, Fetch(remote=source))

    def pull(
        self,
        ref: str = "main",
        *,
        source: str = "origin",
        class_name: str = "",
        split: str = "",
        slices: Sequence[str] = (),
        tag: str = "",
        lane: str = "",
    ) -> Pulled:
        """Bring a branch or tag; with a filter, only the images that fit.

        See `datasets.remotes.pulling.pull` for what it raises.
        """
        request = Pull(
            ref=ref,
            remote=source,
            class_name=class_name,
            split=split,
            slices=slices,
            tag=tag,
            lane=lane,
        )
        return pull(self.workspace, self._call, request)
