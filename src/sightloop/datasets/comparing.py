"""Two commits compared: what became of samples and boxes, at a cost that follows the change."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from sightloop.datasets import tree
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.diff import (
    KINDS,
    DiffCounter,
    DiffSummary,
    SampleDiff,
    Side,
    diff_sample,
    kinds_in,
)
from sightloop.datasets.errors import BadFilter
from sightloop.datasets.index import Numbers
from sightloop.datasets.keys import key_at, row_after, sample_key, sample_of_key
from sightloop.datasets.prepared import Pending, Prepared
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import load_commit, load_samples
from sightloop.datasets.store import StoredNodes
from sightloop.datasets.values import Sample, SampleId
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace

MAX_PAGE = 200
N_IN_MEMORY = 8

_ROWS_AT_ONCE = 2_000


class DiffCommits(msgspec.Struct, frozen=True, kw_only=True):
    """From `before` to `after`: branches, tags, digests or beginnings of digests."""

    before: str
    after: str
    kind: str = ""
    """Only samples with this change, one of `diff.KINDS`."""
    beyond: SampleId | None = None
    """Go on after this sample."""
    limit: int = 20
    patience_s: float | None = None
    """How long to wait for the counts; None waits until they are there."""


class CommitDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the samples, counted, and a page of them."""

    before: Digest
    after: Digest
    before_record: CommitRecord
    after_record: CommitRecord
    pending: Pending | None = None
    """Set while it is being worked out; everything below is empty then."""
    summary: DiffSummary | None = None
    n_by_kind: dict[str, int] = {}
    """Samples with at least one such change."""
    samples: list[SampleDiff] = []
    n_fitting: int = 0
    next_beyond: SampleId | None = None
    """Where the next page begins; None after the last."""


class _Pair(NamedTuple):
    before: CommitRecord
    after: CommitRecord


class Comparison(NamedTuple):
    """What is remembered of a comparison: ids in order, a bit per kind of change, the counts."""

    ids: bytes
    kinds: Numbers
    """uint16, one per sample; bit i stands for `diff.KINDS[i]`."""
    summary: DiffSummary


def diff_commits(workspace: Workspace, call: Call, request: DiffCommits) -> CommitDiff:
    """What became of samples and boxes from one commit to another.

    Reads what differs only: equal parts of the two trees are skipped. The counts are worked out
    once and remembered while they are asked for.

    Raises:
        NoSuchRef: nothing has one of the names.
        AmbiguousRef: several commits begin like this.
        BadFilter: there is no such kind of change.
    """
    require(call.actor, Permission.READ)
    if request.kind and request.kind not in KINDS:
        raise BadFilter(what="kind of change", value=request.kind, known=KINDS)
    with workspace.db.read() as tx:
        before, after = (resolve_ref(tx, ref) for ref in (request.before, request.after))
        pair = _Pair(load_commit(tx, before), load_commit(tx, after))
    compared = _COMPARISONS.get(
        (workspace.state, before, after),
        lambda note: _compare(workspace, pair, note),
        patience_s=request.patience_s,
        progress=call.progress,
    )
    if isinstance(compared, Pending):
        return CommitDiff(
            before=before,
            after=after,
            before_record=pair.before,
            after_record=pair.after,
            pending=compared,
        )
    page = _page(compared, request)
    with workspace.db.read() as tx:
        samples = _diffs(tx, StoredNodes(tx), pair, page.ids)
    return CommitDiff(
        before=before,
        after=after,
        before_record=pair.before,
        after_record=pair.after,
        summary=compared.summary,
        n_by_kind=_n_by_kind(compared),
        samples=samples,
        n_fitting=page.n_fitting,
        next_beyond=page.next_beyond,
    )


def forget_comparisons() -> None:
    """Keep none in memory: what one counted may just have been erased."""
    _COMPARISONS.forget()


_COMPARISONS: Prepared[tuple[Path, Digest, Digest], Comparison] = Prepared(keep=N_IN_MEMORY)


class _Page(NamedTuple):
    ids: list[SampleId]
    n_fitting: int
    next_beyond: SampleId | None


def _compare(workspace: Workspace, pair: _Pair, progress: Progress) -> Comparison:
    """Read every row that differs and count; holds 18 bytes per sample, not the rows."""
    counter = DiffCounter(pair.before.taxonomy, pair.after.taxonomy)
    with workspace.db.read() as tx:
        nodes = StoredNodes(tx)
        found = tree.differences(nodes, pair.before.root, pair.after.root)
        ids = [one.sample for one in found]
        # A new split rule moves samples whose rows are the same; they are not looked for.
        keys: list[bytes] = []
        bits = array("H")
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            progress("comparing samples", start, len(ids))
            some = ids[start : start + _ROWS_AT_ONCE]
            for change in _diffs(tx, nodes, pair, some):
                counter.add(change)
                keys.append(sample_key(change.id))
                bits.append(sum(1 << KINDS.index(kind) for kind in kinds_in(change)))
    return Comparison(b"".join(keys), np.array(bits, np.uint16), counter.summary())


def _diffs(tx: Tx, nodes: StoredNodes, pair: _Pair, ids: Sequence[SampleId]) -> list[SampleDiff]:
    """The samples that differ, without those that were erased on every side that had them."""
    old = load_samples(tx, nodes, pair.before.root, ids)
    new = load_samples(tx, nodes, pair.after.root, ids)
    return [
        diff_sample(_side(old.get(one), pair.before), _side(new.get(one), pair.after))
        for one in ids
        if one in old or one in new
    ]


def _side(sample: Sample | None, record: CommitRecord) -> Side | None:
    return None if sample is None else Side(sample, record.split_rule)


def _page(compared: Comparison, request: DiffCommits) -> _Page:
    fits = np.ones(len(compared.kinds), bool)
    if request.kind:
        fits = compared.kinds & (1 << KINDS.index(request.kind)) != 0
    rows = np.flatnonzero(fits)
    start = 0 if request.beyond is None else row_after(compared.ids, request.beyond)
    limit = min(max(request.limit, 1), MAX_PAGE)
    ahead = rows[np.searchsorted(rows, start) :]
    ids = [sample_of_key(key_at(compared.ids, int(row))) for row in ahead[:limit]]
    return _Page(ids, len(rows), ids[-1] if len(ahead) > limit else None)


def _n_by_kind(compared: Comparison) -> dict[str, int]:
    counts = {
        kind: int(np.count_nonzero(compared.kinds & (1 << bit))) for bit, kind in enumerate(KINDS)
    }
    return {kind: count for kind, count in counts.items() if count}
