"""The rows of a merge: what the other side's changes come to on our side's tree.

Cost follows what theirs changed since the base. A row that only they changed is taken by its
digest: of its content nothing but the split key is looked at, because a reservation for audit
must hold whichever branch it comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from sightloop.datasets import tree
from sightloop.datasets.changes import Row, row_of
from sightloop.datasets.conflicts import Conflict, MergeNote, Resolve, unresolved
from sightloop.datasets.following import followed_sample
from sightloop.datasets.keys import object_key
from sightloop.datasets.merge import merge_sample, settled
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.splits import SplitRule, admit_all
from sightloop.datasets.store import StoredNodes, read_rows, samples_with_keys
from sightloop.datasets.taxonomy_merge import MergedTaxonomy
from sightloop.datasets.values import ClassId, Sample, SampleId, Split, TaxonomyChange, decode_row
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress, silent

_ROWS_AT_ONCE = 2_000


class Three(NamedTuple):
    """The commits of a merge; without a base the two sides have nothing in common."""

    base: CommitRecord | None
    ours: CommitRecord
    theirs: CommitRecord


class MergedRows(NamedTuple):
    """What the merge changes on our side, and what it leaves to settle."""

    rows: dict[SampleId, Digest | None]
    """The row of each sample that is not as on our side; None takes the sample out."""
    written: list[Row]
    """Those of the rows that may not be stored yet."""
    conflicts: list[Conflict]
    notes: list[MergeNote]
    used_classes: set[ClassId]
    """Classes of every annotation that was looked at: of all whose class a side removed."""


class _Digests(NamedTuple):
    base: Digest | None
    ours: Digest | None
    theirs: Digest | None


class _Stand(msgspec.Struct, frozen=True, gc=False):
    """What decides which side of a split a sample is on; the rest of its row is skipped."""

    split_key: str
    reserved: Split | None = None
    quarantined: bool = False


_STANDS = msgspec.json.Decoder(_Stand)


def merge_rows(
    tx: Tx,
    nodes: StoredNodes,
    sides: Three,
    classes: MergedTaxonomy,
    *,
    resolve: Resolve = unresolved,
    progress: Progress = silent,
) -> MergedRows:
    """Bring what theirs changed since the base onto our rows.

    Raises:
        ObjectMissing: the database lacks a node or a row.
        ObjectDamaged: the bytes of one have changed.
    """
    merger = _Merger(tx, nodes, sides, classes, resolve)
    digests = merger.to_look_at()
    ids = list(digests)
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        progress("merging samples", start, len(ids))
        merger.merge({one: digests[one] for one in ids[start : start + _ROWS_AT_ONCE]})
    merger.admit()
    return merger.result()


class _Merger:
    """The merge of two trees; holds the rows it has to write, and digests of the others."""

    def __init__(
        self,
        tx: Tx,
        nodes: StoredNodes,
        sides: Three,
        classes: MergedTaxonomy,
        resolve: Resolve,
    ) -> None:
        self._tx, self._nodes = tx, nodes
        self._sides, self._classes, self._resolve = sides, classes, resolve
        self._rows: dict[SampleId, Digest | None] = {}
        self._written: dict[SampleId, Row] = {}
        self._conflicts: list[Conflict] = []
        self._notes: list[MergeNote] = []
        self._used: set[ClassId] = set()
        self._newcomers: dict[SampleId, _Stand] = {}
        """Samples that stand elsewhere than on our side, or are not on it."""
        self._retired: set[str] = set()
        """Split keys whose reservation ended on their side."""

    def to_look_at(self) -> dict[SampleId, _Digests]:
        """The samples that may come out other than on our side, with their three rows."""
        base, ours, theirs = self._sides
        start = (base or ours).root
        changed = {one.sample: one for one in tree.differences(self._nodes, start, theirs.root)}
        if base is None:  # nothing in common: what only our side has is no change of theirs
            return {
                one.sample: _Digests(None, one.old, one.new)
                for one in changed.values()
                if one.new is not None
            }
        old = {one: change.old for one, change in changed.items()}
        new = {one: change.new for one, change in changed.items()}
        if self._classes.done_there:  # what they did to classes is to be done to our new labels
            for one in tree.differences(self._nodes, start, ours.root):
                old.setdefault(one.sample, one.old)
                new.setdefault(one.sample, one.old)
        mine = tree.find(self._nodes, ours.root, old)
        return {one: _Digests(old[one], mine.get(one), new[one]) for one in sorted(old)}

    def merge(self, digests: Mapping[SampleId, _Digests]) -> None:
        """Merge some samples."""
        if self._classes.done_here or self._classes.done_there:
            self._merge_content(digests)
            return
        taken = {one: each for one, each in digests.items() if each.ours == each.base}
        changed = {
            one: each
            for one, each in digests.items()
            if one not in taken and each.ours != each.theirs
        }
        self._merge_content(changed)
        stands = self._stands(each for one in taken.values() for each in (one.ours, one.theirs))
        for sample, each in taken.items():
            self._rows[sample] = each.theirs
            new = stands.get(each.theirs)
            if new is not None:
                self._note_stand(sample, stands.get(each.ours), new)

    def admit(self) -> None:
        """Let no reservation for audit meet what was learned from; see `splits.admit_all`.

        Their newcomers are admitted to our rows as by a commit. Where a reservation ended on
        their side, it is our newcomers that are admitted to what was learned from since.
        """
        if not self._newcomers:
            return
        rule = self._sides.ours.split_rule
        held = self._held({one.split_key for one in self._newcomers.values()})
        audited = {
            one.split_key
            for one in (*self._newcomers.values(), *held.values())
            if one.reserved == "audit"
        }
        at_stake = [one for one, stand in self._newcomers.items() if stand.split_key in audited]
        coming = self._merged_samples(at_stake)
        present = self._our_samples([one for one, at in held.items() if at.split_key in audited])
        free = [one for one in coming if one.split_key in self._retired]
        bound = [one for one in coming if one.split_key not in self._retired]
        challenged = [
            one for one in present if one.split_key in self._retired and one.reserved == "audit"
        ]
        self._put_admitted(bound, present, rule)
        self._put_admitted(challenged, free, rule)

    def result(self) -> MergedRows:
        """What was worked out."""
        ours = tree.find(self._nodes, self._sides.ours.root, self._rows)
        rows = {one: row for one, row in self._rows.items() if row != ours.get(one)}
        self._conflicts.sort(key=lambda one: (getattr(one, "sample", ""), one.key))
        written = [row for one, row in self._written.items() if one in rows]
        return MergedRows(rows, written, self._conflicts, self._notes, self._used)

    def _merge_content(self, digests: Mapping[SampleId, _Digests]) -> None:
        samples = self._decoded(each for three in digests.values() for each in three)
        for sample, three in digests.items():
            if any(row is not None and row not in samples for row in three):
                # Erased, here and on every branch: its digest is all there is to merge.
                self._rows[sample] = settled(*three)[1]
                continue
            base, ours, theirs = (samples.get(one) if one else None for one in three)
            here, there = self._classes.done_here, self._classes.done_there
            merged = merge_sample(
                _followed(_followed(base, here), there),
                _followed(ours, there),
                _followed(theirs, here),
                self._resolve,
            )
            self._conflicts += merged.conflicts
            self._notes += merged.notes
            self._put(sample, merged.sample)
            if merged.sample is not None:
                self._note_stand(sample, _stand(ours), _stand_of(merged.sample), base=base)
                self._used |= {one.class_id for one in merged.sample.annotations}

    def _put(self, sample: SampleId, merged: Sample | None) -> None:
        if merged is None:
            self._rows[sample] = None
            return
        row = row_of(merged)
        self._rows[sample] = row.digest
        self._written[sample] = row

    def _note_stand(
        self, sample: SampleId, ours: _Stand | None, new: _Stand, *, base: Sample | None = None
    ) -> None:
        """Remember a sample whose stand on our side is another, and a reservation that ended."""
        if new == ours:
            return
        self._newcomers[sample] = new
        before = _stand(base) or ours
        if before is not None and before.reserved == "audit" != new.reserved:
            self._retired.add(new.split_key)

    def _put_admitted(
        self, coming: Sequence[Sample], present: Iterable[Sample], rule: SplitRule
    ) -> None:
        by_key: dict[str, list[Sample]] = {}
        for one in present:
            by_key.setdefault(one.split_key, []).append(one)
        for asked, admitted in zip(coming, admit_all(coming, by_key, rule), strict=True):
            if admitted is not asked:
                self._put(asked.id, admitted)
                text = "quarantined" if admitted.quarantined else "reserved for audit"
                self._notes.append(MergeNote(asked.id, f"{text}, as others of its split key"))

    def _held(self, split_keys: Collection[str]) -> dict[SampleId, _Stand]:
        """Our samples of these keys that the merge leaves as they are."""
        known = [one for one in samples_with_keys(self._tx, split_keys) if one not in self._rows]
        rows = tree.find(self._nodes, self._sides.ours.root, known)
        stands = self._stands(rows.values())
        known_stands = {one: stands[row] for one, row in rows.items() if row in stands}
        return {one: at for one, at in known_stands.items() if at.split_key in split_keys}

    def _our_samples(self, ids: Collection[SampleId]) -> list[Sample]:
        rows = tree.find(self._nodes, self._sides.ours.root, ids)
        return list(self._decoded(rows.values()).values())

    def _merged_samples(self, ids: Iterable[SampleId]) -> list[Sample]:
        digests = {one: self._rows[one] for one in ids if one not in self._written}
        decoded = self._decoded(digests.values())
        return [
            self._written[one].sample if one in self._written else decoded[self._rows[one]]
            for one in ids
        ]

    def _decoded(self, rows: Iterable[Digest | None]) -> dict[Digest | None, Sample]:
        keys = {one: object_key(one) for one in rows if one is not None}
        content = read_rows(self._tx, list(keys.values()))
        return {one: decode_row(content[key]) for one, key in keys.items() if key in content}

    def _stands(self, rows: Iterable[Digest | None]) -> dict[Digest | None, _Stand]:
        keys = {one: object_key(one) for one in rows if one is not None}
        content = read_rows(self._tx, list(keys.values()))
        return {one: _STANDS.decode(content[key]) for one, key in keys.items() if key in content}


def _followed(sample: Sample | None, changes: Sequence[TaxonomyChange]) -> Sample | None:
    return sample if sample is None or not changes else followed_sample(sample, changes)


def _stand(sample: Sample | None) -> _Stand | None:
    return None if sample is None else _stand_of(sample)


def _stand_of(sample: Sample) -> _Stand:
    return _Stand(sample.split_key, sample.reserved, sample.quarantined)
