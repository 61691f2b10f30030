"""What a commit does to the rows of its parent, worked out against a read view.

Costs follow the change: only rows named by it are compared, and only samples that share a split
key with a newcomer are looked at for reservations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from sightloop.datasets import tree
from sightloop.datasets.identities import with_known_ids
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import load_samples
from sightloop.datasets.splits import SplitRule, admit_all
from sightloop.datasets.store import StoredNodes, samples_with_keys
from sightloop.datasets.values import Sample, SampleId, Taxonomy, encode_row
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for."""

    upserts: Sequence[Sample]
    taxonomy: Taxonomy
    removals: Collection[SampleId] = ()
    retired_keys: Collection[str] = ()
    """Split keys whose audit reservation ends: from now on their hash decides."""
    split_rule: SplitRule | None = None
    """None keeps the parent's rule; a first commit then has the default rule."""
    ids_are_new: bool = False
    """The annotations come from files without ids: those the parent has keep theirs."""
    only_new: bool = False
    """Samples that the parent has stay as they are: the files say nothing of their labels."""


@dataclass(frozen=True, slots=True)
class Row:
    """A sample and its bytes."""

    sample: Sample
    content: bytes
    digest: Digest


@dataclass(frozen=True, slots=True)
class RowChanges:
    """What the change comes to: rows that were not there, or not like this, and rows to go."""

    added: list[Row]
    changed: list[Row]
    removed: list[SampleId]

    @property
    def written(self) -> list[Row]:
        """Rows to be stored."""
        return [*self.added, *self.changed]


class Parent:
    """The samples of the commit that is changed; none when there is no commit yet."""

    def __init__(self, tx: Tx, head: CommitRecord | None) -> None:
        self._tx = tx
        self._nodes = StoredNodes(tx)
        self._root = None if head is None else head.root

    def compare(self, change: Change, rule: SplitRule) -> RowChanges:
        """What the change comes to here, with reservations respected."""
        retired = self._retired(change.retired_keys)
        upserts = list({one.id: one for one in [*retired, *change.upserts]}.values())
        present = self._find([*(one.id for one in upserts), *change.removals])
        if change.only_new:
            upserts = [one for one in upserts if one.id not in present]
        asked = _differing([row_of(one) for one in upserts], present)
        if change.ids_are_new:
            asked = _differing(self._with_known_ids(asked), present)
        # A reservation may turn what was asked for back into what is there already.
        rows = _differing(self._admitted(asked, rule, free=change.retired_keys), present)
        return RowChanges(
            added=[row for row in rows if row.sample.id not in present],
            changed=[row for row in rows if row.sample.id in present],
            removed=sorted({one for one in change.removals if one in present}),
        )

    def grow(self, rows: RowChanges) -> tree.Grown:
        """The tree after these changes."""
        written = {row.sample.id: row.digest for row in rows.written}
        if self._root is None:
            return tree.build(written)
        return tree.apply(self._nodes, self._root, {**written, **dict.fromkeys(rows.removed)})

    def _retired(self, split_keys: Collection[str]) -> list[Sample]:
        """All samples of these keys without their reservation, so that no key stands on two sides.

        A quarantined sample stays what it is: something like it was learned from.
        """
        held = self._load_by_split_key(split_keys) if split_keys else {}
        return [
            msgspec.structs.replace(one, reserved=None)
            for samples in held.values()
            for one in samples
            if one.reserved == "audit" and not one.quarantined
        ]

    def _with_known_ids(self, rows: list[Row]) -> list[Row]:
        before = self._load([row.sample.id for row in rows])
        return [
            row
            if (old := before.get(row.sample.id)) is None
            else row_of(
                msgspec.structs.replace(
                    row.sample,
                    annotations=with_known_ids(old.annotations, row.sample.annotations),
                )
            )
            for row in rows
        ]

    def _admitted(self, rows: list[Row], rule: SplitRule, *, free: Collection[str]) -> list[Row]:
        """The rows as reservations allow them; see `splits.admit`.

        A sample that stays where it stood was admitted before and needs no look at others; nor
        does one of a key whose reservation ends.
        """
        before = self._load([row.sample.id for row in rows])
        newcomers = [
            row.sample
            for row in rows
            if row.sample.split_key not in free
            and (row.sample.id not in before or _stand(row.sample) != _stand(before[row.sample.id]))
        ]
        present = self._load_by_split_key({one.split_key for one in newcomers})
        admitted = {one.id: one for one in admit_all(newcomers, present, rule)}
        allowed = [(row, admitted.get(row.sample.id, row.sample)) for row in rows]
        return [row if one is row.sample else row_of(one) for row, one in allowed]

    def _find(self, ids: Collection[SampleId]) -> dict[SampleId, Digest]:
        return {} if self._root is None else tree.find(self._nodes, self._root, ids)

    def _load(self, ids: Collection[SampleId]) -> dict[SampleId, Sample]:
        if self._root is None:
            return {}
        return load_samples(self._tx, self._nodes, self._root, ids)

    def _load_by_split_key(self, split_keys: Collection[str]) -> dict[str, list[Sample]]:
        if self._root is None:
            return {}
        found = defaultdict(list)
        for one in self._load(samples_with_keys(self._tx, split_keys)).values():
            found[one.split_key].append(one)
        return found


def _differing(rows: list[Row], present: Mapping[SampleId, Digest]) -> list[Row]:
    return [row for row in rows if row.digest != present.get(row.sample.id)]


def row_of(sample: Sample) -> Row:
    """The sample with its bytes."""
    content = encode_row(sample)
    return Row(sample, content, digest_of(content))


def _stand(sample: Sample) -> tuple[str, str | None, bool]:
    """What decides which side of a split a sample is on."""
    return (sample.split_key, sample.reserved, sample.quarantined)
