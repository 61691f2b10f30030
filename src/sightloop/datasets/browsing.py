"""Looking around in a commit: its samples, filtered and page by page, its counts, one sample."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from sightloop.datasets import tree
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.errors import BadFilter, NoSuchSample
from sightloop.datasets.index import LANES, SIZES, SPLITS, BoxSize, Index, SampleFilter
from sightloop.datasets.indexes import index_of
from sightloop.datasets.keys import object_key
from sightloop.datasets.prepared import Pending
from sightloop.datasets.records import CommitRecord, StoredCommit
from sightloop.datasets.samples import load_commit, load_record, load_samples
from sightloop.datasets.splits import split_of
from sightloop.datasets.statistics import Statistics, count_all, n_true
from sightloop.datasets.store import (
    RefKind,
    StoredNodes,
    list_refs,
    read_rows,
)
from sightloop.datasets.values import ClassId, Sample, SampleId, Taxonomy, decode_row
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace

MAX_PAGE = 500
N_COMMITS_LOOKED_AT = 100

_SAMPLE_ID = re.compile(r"[0-9a-f]{32}")


class ListHeads(msgspec.Struct, frozen=True, kw_only=True):
    """Branches or tags by name, those after `after`."""

    kind: RefKind = "branch"
    after: str = ""
    limit: int = 50


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A branch or tag and the commit it is at."""

    kind: RefKind
    name: str
    moved_at_ms: int
    commit: Digest
    n_samples: int
    actor: str
    message: str
    committed_at_ms: int


class FindCommit(msgspec.Struct, frozen=True, kw_only=True):
    """A branch, tag, digest or the unique beginning of a digest."""

    ref: str


class FoundCommit(msgspec.Struct, frozen=True, kw_only=True):
    """What a name leads to."""

    commit: Digest
    record: CommitRecord


class ListSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of a commit in order of their ids; everything that is given must apply to them."""

    ref: str
    class_name: str = ""
    """A box of this class is on it; the class's id or name."""
    size: str = ""
    """A box of this COCO size (of the class, if one is given): small, medium or large."""
    slices: Sequence[str] = ()
    """`field=value`, all of them."""
    split: str = ""
    """train, val, test, audit or quarantined."""
    lane: str = ""
    """A lane, or none: no device kept it."""
    tag: str = ""
    without_boxes: bool = False
    after: SampleId | None = None
    limit: int = 60
    patience_s: float | None = None
    """How long to wait for the commit's index, which filters need; None waits for it."""


class ListedSample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample and where it stands."""

    sample: Sample
    split: str
    """One of `index.SPLITS`."""


class SamplePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some samples of a commit, and how many fit in all."""

    commit: Digest
    record: CommitRecord
    pending: Pending | None = None
    """Set while the index is being made: what fits the filter is not known yet."""
    total: int = 0
    n_before: int | None = None
    """How many of those that fit come before this page; None if it was not asked of an index."""
    samples: list[ListedSample] = []
    next_after: SampleId | None = None
    """Where the next page begins; None after the last."""


class ShowStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The commit, and how long to wait for its index; None waits for it."""

    ref: str
    with_tables: bool = True
    """Also count every class by split, box size and slice."""
    patience_s: float | None = None


class CommitStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A commit, counted; `pending` while its index is being made."""

    commit: Digest
    record: CommitRecord
    pending: Pending | None = None
    statistics: Statistics | None = None


class ShowSample(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a commit."""

    ref: str
    sample: SampleId


class SampleStep(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that brought the sample in or changed it."""

    commit: Digest
    parent: Digest | None
    kind: str
    """`added` or `changed`."""
    actor: str
    message: str
    committed_at_ms: int


class ShownSample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample with everything that is known of it."""

    commit: Digest
    taxonomy: Taxonomy
    sample: Sample
    split: str
    history: list[SampleStep]
    """Newest first, along first parents."""
    is_whole_history: bool
    """False when there are more than `N_COMMITS_LOOKED_AT` commits to look at."""


def list_heads(workspace: Workspace, call: Call, request: ListHeads) -> list[Head]:
    """Where branches or tags are, by name, with the commit they are at."""
    require(call.actor, Permission.READ)
    limit = min(max(request.limit, 1), MAX_PAGE)
    with workspace.db.read() as tx:
        refs = list_refs(tx, request.kind, after=request.after, limit=limit)
        records = {ref.commit: load_record(tx, ref.commit) for ref in refs}
    return [
        Head(
            kind=ref.kind,
            name=ref.name,
            moved_at_ms=ref.moved_at_ms,
            commit=ref.commit,
            n_samples=records[ref.commit].n_samples,
            actor=records[ref.commit].actor,
            message=records[ref.commit].message,
            committed_at_ms=records[ref.commit].committed_at_ms,
        )
        for ref in refs
    ]


def find_commit(workspace: Workspace, call: Call, request: FindCommit) -> FoundCommit:
    """The commit that a branch, a tag or a digest names, without looking at its samples.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.ref)
        return FoundCommit(commit=commit, record=load_commit(tx, commit))


def list_samples(workspace: Workspace, call: Call, request: ListSamples) -> SamplePage:
    """A page of the samples that fit, with their annotations.

    Without a filter the page comes straight from the tree; with one it takes the commit's index,
    which is made the first time.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        BadFilter: a filter's value is none that a sample can have.
    """
    require(call.actor, Permission.READ)
    found = find_commit(workspace, call, FindCommit(ref=request.ref))
    wanted = filter_of(request, found.record.taxonomy)
    limit = min(max(request.limit, 1), MAX_PAGE)
    if wanted.is_empty:
        return _page_of_tree(workspace, found, after=request.after, limit=limit)
    index = index_of(workspace, found.commit, patience_s=request.patience_s, progress=call.progress)
    if isinstance(index, Pending):
        return SamplePage(commit=found.commit, record=found.record, pending=index)
    return _page_of_index(workspace, found, index, wanted, after=request.after, limit=limit)


def show_statistics(workspace: Workspace, call: Call, request: ShowStatistics) -> CommitStatistics:
    """What the commit holds, counted.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
    """
    found = find_commit(workspace, call, FindCommit(ref=request.ref))
    index = index_of(workspace, found.commit, patience_s=request.patience_s, progress=call.progress)
    if isinstance(index, Pending):
        return CommitStatistics(commit=found.commit, record=found.record, pending=index)
    counted = count_all(index, found.record.taxonomy, with_tables=request.with_tables)
    return CommitStatistics(commit=found.commit, record=found.record, statistics=counted)


def show_sample(workspace: Workspace, call: Call, request: ShowSample) -> ShownSample:
    """One sample, and the commits that brought it in or changed it.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        NoSuchSample: the commit does not hold it.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.ref)
        if not _SAMPLE_ID.fullmatch(request.sample):
            raise NoSuchSample(sample=request.sample, commit=commit)
        record, nodes = load_commit(tx, commit), StoredNodes(tx)
        samples = load_samples(tx, nodes, record.root, [request.sample])
        if not samples:
            raise NoSuchSample(sample=request.sample, commit=commit)
        history, is_whole = _history(tx, nodes, commit, request.sample)
    sample = samples[request.sample]
    return ShownSample(
        commit=commit,
        taxonomy=record.taxonomy,
        sample=sample,
        split=split_of(sample, record.split_rule) or SPLITS[-1],
        history=history,
        is_whole_history=is_whole,
    )


def filter_of(request: ListSamples, taxonomy: Taxonomy) -> SampleFilter:
    """What the request asks for.

    Raises:
        BadFilter: a filter's value is none that a sample can have.
    """
    for what, value, known in (
        ("split", request.split, SPLITS),
        ("lane", request.lane, LANES),
        ("size", request.size, SIZES),
    ):
        if value and value not in known:
            raise BadFilter(what=what, value=value, known=known)
    for stratum in request.slices:
        if "=" not in stratum:
            raise BadFilter(what="slice", value=stratum, known=["FIELD=VALUE"])
    size: BoxSize | None = next((one for one in SIZES if one == request.size), None)
    return SampleFilter(
        class_id=_class_id(request.class_name, taxonomy) if request.class_name else None,
        size=size,
        strata=tuple(request.slices),
        split=request.split or None,
        lane=request.lane or None,
        tag=request.tag or None,
        without_boxes=request.without_boxes,
    )


def _class_id(named: str, taxonomy: Taxonomy) -> ClassId:
    by_name = {one.name: one.id for one in taxonomy.classes}
    return ClassId(named) if named in taxonomy.class_ids else by_name.get(named, ClassId(named))


def _page_of_tree(
    workspace: Workspace, found: FoundCommit, *, after: SampleId | None, limit: int
) -> SamplePage:
    record = found.record
    _check_sample_id(after)
    with workspace.db.read() as tx:
        rows = tree.first_entries(StoredNodes(tx), record.root, after=after, limit=limit + 1)
        keys = [object_key(row) for _, row in rows[:limit]]
        content = read_rows(tx, keys)
    samples = [decode_row(content[key]) for key in keys if key in content]
    return SamplePage(
        commit=found.commit,
        record=record,
        total=record.n_samples,
        n_before=0 if after is None else None,
        samples=_listed(samples, record),
        next_after=rows[limit - 1][0] if len(rows) > limit else None,
    )


def _page_of_index(
    workspace: Workspace,
    found: FoundCommit,
    index: Index,
    wanted: SampleFilter,
    *,
    after: SampleId | None,
    limit: int,
) -> SamplePage:
    _check_sample_id(after)
    fits = index.matching(wanted)
    start = 0 if after is None else index.row_after(after)
    ahead = np.flatnonzero(fits[start:]) + start
    ids = index.ids_of(ahead[:limit])
    with workspace.db.read() as tx:
        by_id = load_samples(tx, StoredNodes(tx), found.record.root, ids)
    return SamplePage(
        commit=found.commit,
        record=found.record,
        total=n_true(fits),
        n_before=n_true(fits) - len(ahead),
        samples=_listed([by_id[one] for one in ids if one in by_id], found.record),
        next_after=ids[-1] if len(ahead) > limit else None,
    )


def _listed(samples: list[Sample], record: CommitRecord) -> list[ListedSample]:
    return [
        ListedSample(sample=one, split=split_of(one, record.split_rule) or SPLITS[-1])
        for one in samples
    ]


def _check_sample_id(sample: SampleId | None) -> None:
    if sample is not None and not _SAMPLE_ID.fullmatch(sample):
        raise BadFilter(what="sample id", value=sample, known=["32 hexadecimal digits"])


def _history(
    tx: Tx, nodes: StoredNodes, commit: Digest, sample: SampleId
) -> tuple[list[SampleStep], bool]:
    """The steps, and whether every ancestor was looked at; a node is read once for all of them."""
    steps: list[SampleStep] = []
    record = load_record(tx, commit)
    row = tree.find(nodes, record.root, [sample]).get(sample)
    for _ in range(N_COMMITS_LOOKED_AT):
        parent = record.parents[0] if record.parents else None
        before = None if parent is None else load_record(tx, parent)
        old_row = row
        if before is None:
            old_row = None
        elif before.root != record.root:
            old_row = tree.find(nodes, before.root, [sample]).get(sample)
        if row is not None and row != old_row:
            steps.append(_step(commit, record, "added" if old_row is None else "changed"))
        if before is None or parent is None:
            return steps, True
        commit, record, row = parent, before, old_row
    return steps, False


def _step(commit: Digest, record: StoredCommit, kind: str) -> SampleStep:
    return SampleStep(
        commit=commit,
        parent=record.parents[0] if record.parents else None,
        kind=kind,
        actor=record.actor,
        message=record.message,
        committed_at_ms=record.committed_at_ms,
    )
