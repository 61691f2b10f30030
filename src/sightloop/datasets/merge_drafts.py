"""A merge in the making: worked out on a read view, published like any commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sightloop.datasets import tree
from sightloop.datasets.conflicts import Conflict, MergeNote, Resolve
from sightloop.datasets.drafts import Draft, objects_of, split_keys_of
from sightloop.datasets.errors import SplitRulesDiffer, TooManyConflicts
from sightloop.datasets.merged_rows import MergedRows, Three, merge_rows
from sightloop.datasets.records import CommitRecord, encode_commit
from sightloop.datasets.samples import load_commit
from sightloop.datasets.store import StoredNodes
from sightloop.datasets.taxonomy_merge import MergedTaxonomy, merge_taxonomies, with_used_classes
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.workspace import Call

MAX_CONFLICTS = 10_000
"""More are not settled one by one, and would make the open merge itself large."""


class Plan(NamedTuple):
    """The commits of a merge and their records."""

    ours: Digest
    theirs: Digest
    base: Digest | None
    records: Three

    def classes(self, resolve: Resolve) -> MergedTaxonomy:
        """The classes of the merge; see `merge_taxonomies`."""
        base, ours, theirs = self.records
        old = None if base is None else base.taxonomy
        return merge_taxonomies(old, ours.taxonomy, theirs.taxonomy, resolve)


class Counts(NamedTuple):
    """Samples of the merge against our side."""

    n_added: int
    n_changed: int
    n_removed: int


class Worked(NamedTuple):
    """A merge worked out; while there are conflicts, it must not be published."""

    plan: Plan
    record: CommitRecord
    grown: tree.Grown
    rows: MergedRows
    counts: Counts
    conflicts: list[Conflict]
    notes: list[MergeNote]

    def draft(self, branch: str) -> Draft:
        """The merge as a commit to be published on the branch."""
        return Draft(
            branch=branch,
            commit=digest_of(encode_commit(self.record)),
            parent=self.plan.ours,
            objects=objects_of(self.record, self.grown, self.rows.written),
            split_keys=split_keys_of(self.rows.written),
            merged=self.plan.theirs,
            images=[row.sample.image for row in self.rows.written],
            **self.counts._asdict(),
        )


def load_plan(tx: Tx, ours: Digest, theirs: Digest, base: Digest | None) -> Plan:
    """The records of these commits; without a base the sides have nothing in common.

    Raises:
        ObjectMissing: one of them is not here.
        SplitRulesDiffer: the sides split by different rules.
    """
    records = Three(
        None if base is None else load_commit(tx, base),
        load_commit(tx, ours),
        load_commit(tx, theirs),
    )
    if records.ours.split_rule != records.theirs.split_rule:
        raise SplitRulesDiffer(
            ours=str(records.ours.split_rule), theirs=str(records.theirs.split_rule)
        )
    return Plan(ours, theirs, base, records)


def work_out(
    tx: Tx, call: Call, plan: Plan, *, resolve: Resolve, message: str, now_ms: int
) -> Worked:
    """The merge of the plan's commits, as far as conflicts are settled.

    Raises:
        TaxonomiesDiverge: both sides merged or split the same class, in different ways.
        ClassNamesCollide: two classes would have the same name.
        TooManyConflicts: more than `MAX_CONFLICTS`.
    """
    nodes = StoredNodes(tx)
    ours, theirs = plan.records.ours, plan.records.theirs
    classes = plan.classes(resolve)
    merged = merge_rows(tx, nodes, plan.records, classes, resolve=resolve, progress=call.progress)
    conflicts = [*classes.conflicts, *merged.conflicts]
    if len(conflicts) > MAX_CONFLICTS:
        raise TooManyConflicts(n_conflicts=len(conflicts), limit=MAX_CONFLICTS)
    taxonomy, kept = with_used_classes(
        classes.taxonomy, merged.used_classes, ours.taxonomy, theirs.taxonomy
    )
    grown = tree.apply(nodes, ours.root, merged.rows)
    present = tree.find(nodes, ours.root, merged.rows)
    record = CommitRecord(
        root=grown.root,
        n_samples=grown.n_entries,
        taxonomy=taxonomy,
        split_rule=ours.split_rule,
        parents=[plan.ours, plan.theirs],
        actor=call.actor.id,
        message=message,
        committed_at_ms=now_ms,
    )
    return Worked(
        plan=plan,
        record=record,
        grown=grown,
        rows=merged,
        counts=_counts((present.get(one), row) for one, row in merged.rows.items()),
        conflicts=conflicts,
        notes=[*kept, *merged.notes],
    )


def fast_forward(tx: Tx, plan: Plan, *, branch: str) -> Draft:
    """Our side did nothing since: the branch goes where theirs is, and nothing is made."""
    roots = (plan.records.ours.root, plan.records.theirs.root)
    changes = tree.differences(StoredNodes(tx), *roots)
    counts = _counts((one.old, one.new) for one in changes)
    return Draft(
        branch=branch,
        commit=plan.theirs,
        parent=plan.ours,
        objects=[],
        split_keys=[],
        **counts._asdict(),
    )


def _counts(changes: Iterable[tuple[Digest | None, Digest | None]]) -> Counts:
    pairs = list(changes)
    n_added = sum(old is None for old, _ in pairs)
    n_removed = sum(new is None for _, new in pairs)
    return Counts(n_added, len(pairs) - n_added - n_removed, n_removed)
