"""Merging: one branch takes in what another commit changed since both were one.

Nothing moves while a conflict is unresolved. The result is one commit with two parents, made by
compare-and-swap on the branch that is merged into; nothing but that branch ever moves.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.datasets.ancestry import History
from sightloop.datasets.branches import head_of, resolve_ref
from sightloop.datasets.conflicts import (
    Conflict,
    MergeNote,
    Resolution,
    Resolve,
    Side,
    always,
    sample_of,
    unresolved,
)
from sightloop.datasets.drafts import Draft, publish
from sightloop.datasets.errors import (
    HeadMoved,
    MergeOutdated,
    NoSuchMerge,
    NoSuchRef,
    UnresolvedConflicts,
    WhichMerge,
)
from sightloop.datasets.merge_drafts import Plan, fast_forward, load_plan, work_out
from sightloop.datasets.merges import (
    Decision,
    OpenMerge,
    delete_merge,
    find_merge,
    insert_merge,
    list_merges,
)
from sightloop.datasets.values import Taxonomy
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

MERGE_OPENED = EventKind("merge.opened")
MERGE_ABORTED = EventKind("merge.aborted")

_MAX_TRIES = 10

Outcome = Literal["up to date", "fast-forward", "merged", "conflicts"]


class MergeBranch(msgspec.Struct, frozen=True, kw_only=True):
    """Bring what `source` names into the branch `into`."""

    source: str
    """A branch, tag, digest or the unique beginning of a digest."""
    into: str = "main"
    message: str = ""
    """Without one, the commit says what was merged into what."""
    resolve: Literal["", "ours", "theirs"] = ""
    """Which side is right wherever the two contradict each other."""


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    outcome: Outcome
    branch: str
    commit: Digest
    """Where the branch is now; with conflicts, where it was."""
    base: Digest | None
    """The nearest commit that both sides follow; None when they have none in common."""
    n_added: int = 0
    n_changed: int = 0
    n_removed: int = 0
    """Samples, against the branch as it was."""
    n_conflicts: int = 0
    merge: str = ""
    """With conflicts: the id of the open merge."""
    notes: list[MergeNote] = []
    """What was settled without asking and may be worth a look."""


class MergeName(msgspec.Struct, frozen=True, kw_only=True):
    """An open merge; none need be named while there is only one."""

    merge: str = ""


class ContinueMerge(msgspec.Struct, frozen=True, kw_only=True):
    """Commit an open merge."""

    merge: str = ""
    resolve: Literal["", "ours", "theirs"] = ""
    """Which side is right about conflicts that nobody settled."""
    message: str = ""
    """Without one, what was said when the merge began."""


class AbortedMerge(msgspec.Struct, frozen=True, kw_only=True):
    """The merge that is no longer open; nothing else changed."""

    merge: str
    branch: str


def merge_branch(workspace: Workspace, call: Call, request: MergeBranch) -> Merged:
    """Merge, or open a merge that waits for decisions; the same request finds that one again.

    Raises:
        NoSuchRef: nothing has one of the names, or `into` is not a branch.
        AmbiguousRef: several commits begin like this.
        SplitRulesDiffer: the sides have nothing in common and split by different rules.
        TaxonomiesDiverge: both sides merged or split the same class, in different ways.
        ClassNamesCollide: two classes would have the same name.
        TooManyConflicts: more than `merge_drafts.MAX_CONFLICTS`.
        HeadMoved: the branch moved again and again meanwhile; nothing was changed.
    """
    require(call.actor, Permission.WRITE_DATA)
    for _ in range(_MAX_TRIES - 1):
        try:
            return _merge_once(workspace, call, request)
        except HeadMoved:
            continue
    return _merge_once(workspace, call, request)


def continue_merge(workspace: Workspace, call: Call, request: ContinueMerge) -> Merged:
    """Commit an open merge whose conflicts are settled; it is open no longer.

    Raises:
        NoSuchMerge: no merge of that id is open.
        WhichMerge: several are, and none is named.
        UnresolvedConflicts: some are not settled; nothing was changed.
        MergeOutdated: the branch has moved since the merge began; nothing was changed.
    """
    require(call.actor, Permission.WRITE_DATA)
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        merge = open_merge(tx, request.merge)
        if merge.unresolved and not request.resolve:
            raise UnresolvedConflicts(merge=merge.id, conflicts=merge.unresolved)
        resolve = _decided(merge, request.resolve or None)
        plan = load_plan(tx, merge.ours, merge.theirs, merge.base)
        message = request.message or merge.message
        work = work_out(tx, call, plan, resolve=resolve, message=message, now_ms=now_ms)
    assert not work.conflicts, "an open merge lists every conflict of its three commits"
    draft = work.draft(merge.branch)
    with workspace.db.write() as tx:
        found = head_of(tx, merge.branch)
        if found != merge.ours:
            raise MergeOutdated(
                merge=merge.id, branch=merge.branch, expected=merge.ours, found=found
            )
        if not delete_merge(tx, merge.id):
            raise NoSuchMerge(merge=merge.id)
        publish(tx, draft, by=call.actor, now_ms=now_ms)
    return _merged(draft, merge.base, work.notes)


def abort_merge(workspace: Workspace, call: Call, request: MergeName) -> AbortedMerge:
    """Forget an open merge and what was decided about it; no branch moves.

    Raises:
        NoSuchMerge: no merge of that id is open.
        WhichMerge: several are, and none is named.
    """
    require(call.actor, Permission.WRITE_DATA)
    with workspace.db.write() as tx:
        merge = open_merge(tx, request.merge)
        delete_merge(tx, merge.id)
        tell(
            tx,
            MERGE_ABORTED,
            merge.id,
            by=call.actor,
            at_ms=workspace.clock.now_ms(),
            data={"branch": merge.branch, "source": merge.source},
        )
    return AbortedMerge(merge=merge.id, branch=merge.branch)


def open_merge(tx: Tx, merge_id: str) -> OpenMerge:
    """The open merge of that id; without one, the only one there is.

    Raises:
        NoSuchMerge: no merge of that id is open.
        WhichMerge: several are, and none is named.
    """
    if merge_id:
        found = find_merge(tx, merge_id)
        if found is None:
            raise NoSuchMerge(merge=merge_id)
        return found
    merges = list_merges(tx)
    if len(merges) > 1:
        raise WhichMerge(merges=[one.id for one in merges])
    if not merges:
        raise NoSuchMerge(merge="")
    return merges[0]


def merged_classes(tx: Tx, merge: OpenMerge) -> Taxonomy:
    """The classes of the merge as far as they are decided."""
    plan = load_plan(tx, merge.ours, merge.theirs, merge.base)
    return plan.classes(_decided(merge, None)).taxonomy


def _merge_once(workspace: Workspace, call: Call, request: MergeBranch) -> Merged:
    now_ms = workspace.clock.now_ms()
    into = request.into
    resolve = always(request.resolve) if request.resolve else unresolved
    with workspace.db.read() as tx:
        ours = head_of(tx, into)
        if ours is None:
            raise NoSuchRef(name=into)
        theirs = resolve_ref(tx, request.source)
        base = History(tx).merge_base(ours, theirs)
        if base == theirs:
            return Merged(outcome="up to date", branch=into, commit=ours, base=base)
        plan = load_plan(tx, ours, theirs, base)
        if base == ours:
            draft, conflicts, notes = fast_forward(tx, plan, branch=into), [], []
        else:
            message = request.message or f"Merge {request.source} into {into}"
            work = work_out(tx, call, plan, resolve=resolve, message=message, now_ms=now_ms)
            draft, conflicts, notes = work.draft(into), work.conflicts, work.notes
    if conflicts:
        return _opened(workspace, call, request, plan, conflicts)
    with workspace.db.write() as tx:
        publish(tx, draft, by=call.actor, now_ms=now_ms)
    return _merged(draft, base, notes)


def _opened(
    workspace: Workspace,
    call: Call,
    request: MergeBranch,
    plan: Plan,
    conflicts: list[Conflict],
) -> Merged:
    """Keep the merge open; one of the same commits that is open already goes on being it."""
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        earlier = [
            one for one in list_merges(tx, branch=request.into) if one.source == request.source
        ]
        merge = OpenMerge(
            id=workspace.ids.new("merge"),
            branch=request.into,
            source=request.source,
            ours=plan.ours,
            theirs=plan.theirs,
            base=plan.base,
            message=request.message or f"Merge {request.source} into {request.into}",
            conflicts=conflicts,
            resolutions=_remembered(conflicts, earlier),
            opened_by=call.actor.id,
            opened_at_ms=now_ms,
        )
        same = next((one for one in earlier if _is_same(one, merge)), None)
        if same is None:
            for one in earlier:
                delete_merge(tx, one.id)
            insert_merge(tx, merge)
            tell(
                tx,
                MERGE_OPENED,
                merge.id,
                by=call.actor,
                at_ms=now_ms,
                data={
                    "branch": merge.branch,
                    "source": merge.source,
                    "n_conflicts": len(merge.conflicts),
                },
            )
    merge = same or merge
    return Merged(
        outcome="conflicts",
        branch=merge.branch,
        commit=merge.ours,
        base=merge.base,
        n_conflicts=len(merge.conflicts),
        merge=merge.id,
    )


def _is_same(one: OpenMerge, other: OpenMerge) -> bool:
    return (one.ours, one.theirs, one.base) == (other.ours, other.theirs, other.base)


def _remembered(conflicts: list[Conflict], earlier: list[OpenMerge]) -> dict[int, Decision]:
    """What was decided about these very conflicts in a merge that this one replaces."""
    decided = {
        msgspec.json.encode(one.conflicts[number - 1]): decision
        for one in earlier
        for number, decision in one.resolutions.items()
    }
    found = {n: decided.get(msgspec.json.encode(one)) for n, one in enumerate(conflicts, start=1)}
    return {number: decision for number, decision in found.items() if decision is not None}


def _decided(merge: OpenMerge, otherwise: Side | None) -> Resolve:
    """Settles what was decided in this open merge, and the rest by one side if one is given."""
    known = {
        (sample_of(conflict), conflict.key): merge.resolutions[number].resolution
        for number, conflict in enumerate(merge.conflicts, start=1)
        if number in merge.resolutions
    }
    default = None if otherwise is None else Resolution(take=otherwise)
    return lambda conflict: known.get((sample_of(conflict), conflict.key), default)


def _merged(draft: Draft, base: Digest | None, notes: list[MergeNote]) -> Merged:
    return Merged(
        outcome="merged" if draft.merged else "fast-forward",
        branch=draft.branch,
        commit=draft.commit,
        base=base,
        n_added=draft.n_added,
        n_changed=draft.n_changed,
        n_removed=draft.n_removed,
        notes=notes,
    )
