"""Which commits, nodes and rows one side has and the other lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from sightloop.datasets import tree
from sightloop.datasets.ancestry import History
from sightloop.datasets.keys import ObjectKey, object_key
from sightloop.datasets.records import StoredCommit
from sightloop.datasets.samples import load_record
from sightloop.datasets.store import present_objects, read_objects
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest

_ROWS_AT_ONCE = 4_000


class Nodes:
    """Tree nodes out of the database, none kept: a walk over millions of rows stays small."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def read(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, bytes]:
        """The nodes' bytes; see `tree.Nodes`."""
        return read_objects(self._tx, keys)


class NewCommit(NamedTuple):
    """A commit that is not known on the other side, and the roots of its parents, which are."""

    commit: Digest
    record: StoredCommit
    parent_roots: list[Digest]
    parent_taxonomies: list[Digest]


class NewNodes(NamedTuple):
    """Some of the nodes a commit brings, in order, and all rows in them that it brings."""

    nodes: list[tree.NewNode]
    n_rows: int


def is_here(tx: Tx, commit: Digest) -> bool:
    """Whether the commit's record is in this workspace."""
    key = object_key(commit)
    return key in present_objects(tx, [key])


def ancestors(tx: Tx, heads: Collection[Digest]) -> set[Digest]:
    """The heads and every commit before them, as far as they are here."""
    found: set[Digest] = set()
    level = set(heads)
    while level:
        present = present_objects(tx, [object_key(one) for one in level])
        level = {one for one in level if object_key(one) in present}
        found |= level
        parents = (load_record(tx, one).parents for one in level)
        level = {parent for some in parents for parent in some} - found
    return found


def commits_beyond(tx: Tx, head: Digest, known: set[Digest]) -> list[NewCommit]:
    """The commits that lead to `head` and are not known, parents first.

    Raises:
        ObjectMissing: one of them is not here.
    """
    history = History(tx)
    done: dict[Digest, None] = {}
    ahead = [head]
    while ahead:
        commit = ahead[-1]
        if commit in done or commit in known:
            ahead.pop()
            continue
        parents = history.record(commit).parents
        missing = [one for one in parents if one not in done and one not in known]
        if missing:
            ahead += missing
        else:
            done[commit] = None
            ahead.pop()
    found = []
    for commit in done:
        record = history.record(commit)
        before = [history.record(one) for one in record.parents]
        roots, taxonomies = [one.root for one in before], [one.taxonomy for one in before]
        found.append(NewCommit(commit, record, roots, taxonomies))
    return found


def new_nodes(tx: Tx, new: NewCommit) -> Iterator[NewNodes]:
    """What the commit's tree has beyond those of its parents, some thousand rows at a time."""
    some: list[tree.NewNode] = []
    n_rows = 0
    for node in tree.beyond(Nodes(tx), new.parent_roots, new.record.root):
        some.append(node)
        n_rows += len(node.rows)
        if n_rows >= _ROWS_AT_ONCE:
            yield NewNodes(some, n_rows)
            some, n_rows = [], 0
    if some:
        yield NewNodes(some, n_rows)
