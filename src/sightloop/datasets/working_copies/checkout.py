"""`data checkout`: a commit, or the samples of it that a query fits, as a folder to work in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.errors import FolderInUse
from sightloop.datasets.formats.writers import writer_for
from sightloop.datasets.keys import object_key, sample_key
from sightloop.datasets.links import PROBE, LinkKind, editable_link
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import load_commit
from sightloop.datasets.store import find_ref
from sightloop.datasets.working_copies.copies import (
    IMAGES_ONLY,
    NATIVE,
    Copy,
    CopyFacts,
    Wanted,
    begin_switching,
    end_switching,
    labels_aside,
    one_at_a_time,
    read_copy,
    unfinished_switch,
    write_copy,
)
from sightloop.datasets.working_copies.errors import OtherFormat
from sightloop.datasets.working_copies.folder_changes import hash_file
from sightloop.datasets.working_copies.layout import IMAGES, has_shared_labels
from sightloop.datasets.working_copies.plans import Plan, Wish, plan_turn, plan_whole
from sightloop.datasets.working_copies.restoring import (
    NOTHING,
    given_up,
    whole_restored,
    with_restored,
)
from sightloop.datasets.working_copies.shared_labels import with_hashes
from sightloop.datasets.working_copies.switching import apply_plan, remove_leftovers
from sightloop.datasets.working_copies.turns import matching, turn_of
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import silent
from sightloop.kernel.workspace import Call, Workspace


class CheckoutCopy(msgspec.Struct, frozen=True, kw_only=True):
    """Make a folder the copy of what `ref` names; a folder that is a copy already is switched."""

    ref: str
    folder: str
    """Absolute; not there yet, empty, or a working copy."""
    format: str = ""
    """`sightloop`, `images` or one of `writers.WRITERS`; empty: what the copy has, or sightloop."""
    class_name: str = ""
    split: str = ""
    slices: list[str] = []
    """`field=value`; all of them."""
    tag: str = ""
    lane: str = ""
    everything: bool = False
    """Make a sparse copy full."""
    force: bool = False
    """Give up local changes: every tracked file becomes what the commit has."""
    link: bool = False
    """Hard links to the stored images: costs no room, and nobody may write to them."""


class CheckedOut(msgspec.Struct, frozen=True, kw_only=True):
    """The folder, and what it took."""

    folder: str
    commit: Digest
    branch: str
    """Empty for a copy of a tag or digest."""
    format: str
    n_samples: int
    n_written: int
    n_removed: int
    links: LinkKind
    not_kept: dict[str, int]
    """How many samples or annotations have something that the format has no place for."""


def checkout_copy(workspace: Workspace, call: Call, request: CheckoutCopy) -> CheckedOut:
    """Write what differs, remove what is gone, leave everything else alone.

    Costs follow the difference of the two commits, except in formats whose label files speak of
    all images at once. Files that nobody tracks stay. After a crash the same command goes on;
    another one first ends what was interrupted.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        BadFilter: there is no such class, split or lane.
        UnknownFormat: there is no such format.
        OtherFormat: the folder is a copy in another format.
        FolderInUse: the folder holds something and is no working copy.
        LocalChanges: files in the way were changed; nothing was written.
        BlobMissing: an image is not in the store.
        BlobDamaged: an image's bytes have changed.
        CopyBusy: another process is committing or switching it.
        DiskFull: no room; repeat it with room.
    """
    require(call.actor, Permission.WRITE_DATA)
    folder = str(Path(request.folder).resolve())
    with one_at_a_time(workspace.state, folder):
        return _Checkout(workspace, call, request).run()


class _Whole(NamedTuple):
    """A data set in a format whose label files speak of all images at once."""

    wishes: dict[str, Wish]
    facts: CopyFacts
    not_kept: dict[str, int]


class _Checkout:
    def __init__(self, workspace: Workspace, call: Call, request: CheckoutCopy) -> None:
        self._workspace, self._call, self._request = workspace, call, request
        self._root = str(Path(request.folder).resolve())
        self._before = read_copy(workspace.state, self._root)
        self._unfinished = unfinished_switch(workspace.state, self._root)

    def run(self) -> CheckedOut:
        state = self._workspace.state
        with self._workspace.db.read() as tx:
            commit = resolve_ref(tx, self._request.ref)
            is_branch = find_ref(tx, "branch", self._request.ref) is not None
            record = load_commit(tx, commit)
        if self._unfinished is not None and self._unfinished.base != commit:
            self._finish(self._unfinished)
        facts = self._facts(commit, self._request.ref if is_branch else "")
        ids = matching(self._workspace, commit, record, facts.wanted, self._call.progress)
        self._check_folder()
        os.makedirs(self._root, exist_ok=True)
        files = self._before.files if self._before else {}
        not_kept: dict[str, int] = {}
        before = self._before
        changes = NOTHING
        if before is not None and self._request.force:
            changes = given_up(before)
        if has_shared_labels(facts):
            partial = labels_aside(state, self._root)
            try:
                whole = self._whole(facts, record, ids, partial)
                facts, not_kept = whole.facts, whole.not_kept
                plan = whole_restored(whole.wishes, plan_whole(files, whole.wishes), changes)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        else:
            with self._workspace.db.read() as tx:
                turn = turn_of(tx, self._before, record, ids, self._call.progress)
            names = {one.id: one.name for one in record.taxonomy.classes}
            plan = plan_turn(facts, files, turn, names)
            if before is not None and changes != NOTHING:
                with self._workspace.db.read() as tx:
                    plan = with_restored(tx, before, record, plan, changes)
        links = self._links(plan)
        switched = apply_plan(
            self._root,
            files,
            plan,
            self._workspace.blobs,
            links=links,
            force=self._request.force,
            begin=lambda: begin_switching(state, facts),
            progress=self._call.progress,
        )
        after = switched.files
        if has_shared_labels(facts):
            after = with_hashes(facts, after)
        write_copy(state, Copy(facts, after))
        end_switching(state, self._root)
        return CheckedOut(
            folder=self._root,
            commit=commit,
            branch=facts.branch,
            format=facts.format,
            n_samples=plan.n_samples,
            n_written=switched.n_written,
            n_removed=switched.n_removed,
            links=links,
            not_kept=not_kept,
        )

    def _finish(self, unfinished: CopyFacts) -> None:
        """End a checkout that was interrupted: one can only go on from a whole commit."""
        wanted = unfinished.wanted
        request = CheckoutCopy(
            ref=unfinished.base,
            folder=self._root,
            class_name=wanted.class_name,
            split=wanted.split,
            slices=wanted.slices,
            tag=wanted.tag,
            lane=wanted.lane,
            everything=wanted.is_everything,
            force=self._request.force,
            link=unfinished.read_only,
        )
        _Checkout(self._workspace, self._call, request).run()
        self._before = read_copy(self._workspace.state, self._root)
        self._unfinished = None

    def _facts(self, commit: Digest, branch: str) -> CopyFacts:
        request = self._request
        asked = Wanted(
            class_name=request.class_name,
            split=request.split,
            slices=request.slices,
            tag=request.tag,
            lane=request.lane,
        )
        known = self._before.facts if self._before else self._unfinished
        if known is None:
            name = request.format or NATIVE
            if name not in (NATIVE, IMAGES_ONLY):
                writer_for(name)
            prefix = IMAGES if name == NATIVE else ""
            known = CopyFacts(
                folder=self._root, format=name, base=commit, images=prefix, read_only=request.link
            )
        elif request.format not in ("", known.format):
            raise OtherFormat(folder=self._root, has=known.format, wanted=request.format)
        is_same = asked.is_everything and not request.everything
        wanted = known.wanted if is_same else asked
        return msgspec.structs.replace(
            known, base=commit, branch=branch, wanted=wanted, is_imported=False
        )

    def _check_folder(self) -> None:
        if self._unfinished is not None:
            remove_leftovers(self._root)
            return
        if self._before is not None:
            return
        path = Path(self._root)
        if not path.exists():
            return
        if not path.is_dir() or any(one.name != PROBE for one in path.iterdir()):
            raise FolderInUse(folder=self._root)
        (path / PROBE).unlink(missing_ok=True)

    def _whole(
        self,
        facts: CopyFacts,
        record: CommitRecord,
        ids: set[bytes] | None,
        partial: Path,
    ) -> _Whole:
        """Write the label files aside, and list every file that the folder shall have."""
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        kind = writer_for(facts.format)
        wishes: dict[str, Wish] = {}
        with self._workspace.db.read() as tx:
            opened = kind.open
            if kind.look is not None:
                opened = kind.look(turn_of(tx, None, record, ids, silent).written)
            writer = opened(record, partial)
            turn = turn_of(tx, None, record, ids, self._call.progress)
            for sample in turn.written:
                if (path := writer.add(sample)) is not None:
                    wishes[path] = Wish(
                        object_key(sample.image), sample.image, b"", sample_key(sample.id)
                    )
        writer.finish()
        for file in partial.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                digest = hash_file(str(file))
                assert digest is not None, "it was just written"
                wishes[file.relative_to(partial).as_posix()] = Wish(digest, None, content, b"")
        source = writer.source().relative_to(partial).as_posix()
        images = writer.images_folder().relative_to(partial).as_posix()
        facts = msgspec.structs.replace(
            facts,
            source="" if source == "." else source,
            images="" if images == "." else f"{images}/",
        )
        return _Whole(wishes, facts, dict(sorted(writer.not_kept.items())))

    def _links(self, plan: Plan) -> LinkKind:
        image = next((one.image for one in plan.writes.values() if one.image), None)
        facts = self._before.facts if self._before else None
        if self._request.link or (facts is not None and facts.read_only):
            return "hard link"
        if image is None:
            return "copy"
        return editable_link(self._workspace.blobs, image, Path(self._root))
