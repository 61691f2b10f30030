"""Reading what a commit holds. Samples that were erased are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

import msgspec

from sightloop.datasets import tree
from sightloop.datasets.keys import object_key
from sightloop.datasets.records import CommitRecord, StoredCommit, decode_commit, with_taxonomy
from sightloop.datasets.store import StoredNodes, read_object, read_rows
from sightloop.datasets.values import Sample, SampleId, Taxonomy, decode_row
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, parse_digest
from sightloop.kernel.workspace import Workspace

_ROWS_AT_ONCE = 5_000


def read_commit(workspace: Workspace, commit: Digest) -> CommitRecord:
    """The commit's record with its classes.

    Raises:
        MalformedDigest: `commit` is a name, not a digest; see `branches.resolve_ref`.
        ObjectMissing: there is no such commit here.
    """
    with workspace.db.read() as tx:
        return load_commit(tx, commit)


def read_samples(workspace: Workspace, commit: Digest) -> list[Sample]:
    """Every sample of the commit, in order of the ids.

    Raises:
        ObjectMissing: there is no such commit here.
    """
    with workspace.db.read() as tx:
        return list(iterate_samples(tx, commit))


def find_samples(
    workspace: Workspace, commit: Digest, ids: Collection[SampleId]
) -> dict[SampleId, Sample]:
    """Those of the samples that the commit holds, at a cost that follows their number.

    Raises:
        ObjectMissing: there is no such commit here.
    """
    with workspace.db.read() as tx:
        return load_samples(tx, StoredNodes(tx), load_commit(tx, commit).root, ids)


def load_commit(tx: Tx, commit: Digest) -> CommitRecord:
    """As `read_commit`, within a transaction."""
    stored = load_record(tx, commit)
    taxonomy = msgspec.json.decode(read_object(tx, stored.taxonomy), type=Taxonomy)
    return with_taxonomy(stored, taxonomy)


def load_record(tx: Tx, commit: Digest) -> StoredCommit:
    """As `load_commit`, without the classes, which a history does not need.

    Raises:
        MalformedDigest: `commit` is a name, not a digest.
        ObjectMissing: there is no such commit here.
    """
    return decode_commit(read_object(tx, parse_digest(commit)), what=f"commit {commit}")


def load_samples(
    tx: Tx, nodes: StoredNodes, root: Digest, ids: Collection[SampleId]
) -> dict[SampleId, Sample]:
    """As `find_samples`, of a tree, within a transaction."""
    keys = {one: object_key(row) for one, row in tree.find(nodes, root, ids).items()}
    content = read_rows(tx, keys.values())
    return {one: decode_row(content[key]) for one, key in keys.items() if key in content}


def iterate_samples(tx: Tx, commit: Digest) -> Iterator[Sample]:
    """As `read_samples`, some at a time: for data sets that should not be held in memory whole."""
    rows = tree.entries(StoredNodes(tx), load_commit(tx, commit).root)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        keys = [object_key(row) for _, row in some]
        content = read_rows(tx, keys)
        yield from (decode_row(content[key]) for key in keys if key in content)
