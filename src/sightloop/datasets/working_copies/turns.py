"""Which samples come into a copy, change in it or leave it when it becomes another commit's.

Reads only rows that have to be written, unless the copy is not all of its commit.
"""

from __future__ import annotations

from collections.abc import Collection

from sightloop.datasets import tree
from sightloop.datasets.errors import BadFilter
from sightloop.datasets.index import LANES, SPLITS, SampleFilter
from sightloop.datasets.indexes import index_of
from sightloop.datasets.keys import SampleKey, sample_key, sample_of_key
from sightloop.datasets.prepared import Pending
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import load_commit, load_samples
from sightloop.datasets.store import StoredNodes
from sightloop.datasets.values import Sample
from sightloop.datasets.working_copies.copies import Copy, Wanted
from sightloop.datasets.working_copies.plans import Turn
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Workspace

_ROWS_AT_ONCE = 5_000


def matching(
    workspace: Workspace, commit: Digest, record: CommitRecord, wanted: Wanted, progress: Progress
) -> set[bytes] | None:
    """The samples that the copy shall have, as raw ids; None for all.

    Raises:
        BadFilter: there is no such class, split or lane.
    """
    if wanted.is_everything:
        return None
    fits = _filter(record, wanted)
    index = index_of(workspace, commit, progress=progress)
    assert not isinstance(index, Pending), "without a limit to its patience it is there"
    return {sample_key(one) for one in index.ids_of(index.matching(fits).nonzero()[0])}


def turn_of(
    tx: Tx,
    before: Copy | None,
    record: CommitRecord,
    ids: set[bytes] | None,
    progress: Progress,
) -> Turn:
    """What becomes of the copy's samples.

    Args:
        tx: to read with.
        before: the copy as it is; None for a new one.
        record: the commit that it shall be of.
        ids: the samples that it shall have; None for all.
        progress: told as rows are read.
    """
    nodes = StoredNodes(tx)
    written: set[bytes]
    if before is None:
        written = ids if ids is not None else _all_ids(nodes, record)
        return Turn(_rows(tx, nodes, record, written, progress), [])
    base = load_commit(tx, before.facts.base)
    have: set[bytes] = {one.sample for one in before.files.values() if one.sample}
    found = tree.differences(nodes, base.root, record.root)
    differing: set[bytes] = {sample_key(one.sample) for one in found}
    if ids is None and len(have) == base.n_samples:
        # The copy is whole: what it needs is the difference and nothing else.
        gone: set[bytes] = {sample_key(one.sample) for one in found if one.new is None}
        written = differing - gone
        stays = have - gone
    else:
        shall = _all_ids(nodes, record) if ids is None else ids
        gone = have - shall
        written = (shall - have) | (shall & differing)
        stays = have & shall
    if _has_renamed(base, record):
        written |= stays  # label files have classes by their names
    return Turn(_rows(tx, nodes, record, written, progress), gone)


def _all_ids(nodes: StoredNodes, record: CommitRecord) -> set[bytes]:
    return {sample_key(one) for one, _ in tree.entries(nodes, record.root)}


def _has_renamed(base: CommitRecord, record: CommitRecord) -> bool:
    names = {one.id: one.name for one in record.taxonomy.classes}
    return any(names.get(one.id, one.name) != one.name for one in base.taxonomy.classes)


def _rows(
    tx: Tx,
    nodes: StoredNodes,
    record: CommitRecord,
    wanted: Collection[bytes],
    progress: Progress,
) -> list[Sample]:
    ordered = sorted(wanted)
    rows: list[Sample] = []
    for at in range(0, len(ordered), _ROWS_AT_ONCE):
        some = [sample_of_key(SampleKey(one)) for one in ordered[at : at + _ROWS_AT_ONCE]]
        found = load_samples(tx, nodes, record.root, some)
        rows += [found[one] for one in some if one in found]
        progress("reading samples", at + len(some), len(ordered))
    return rows


def _filter(record: CommitRecord, wanted: Wanted) -> SampleFilter:
    classes = {one.name: one.id for one in record.taxonomy.classes}
    for what, value, known in (
        ("class", wanted.class_name, list(classes)),
        ("split", wanted.split, SPLITS),
        ("lane", wanted.lane, LANES),
    ):
        if value and value not in known:
            raise BadFilter(what=what, value=value, known=known)
    for one in wanted.slices:
        if "=" not in one:
            raise BadFilter(what="slice", value=one, known=["FIELD=VALUE"])
    return SampleFilter(
        class_id=classes[wanted.class_name] if wanted.class_name else None,
        strata=wanted.slices,
        split=wanted.split or None,
        lane=wanted.lane or None,
        tag=wanted.tag or None,
    )
