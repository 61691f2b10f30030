"""Which commits hold certain rows, nodes or images: every distinct node is looked at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from sightloop.datasets import tree
from sightloop.datasets.keys import ObjectKey, digest_of_key, object_key
from sightloop.datasets.records import StoredCommit, decode_commit
from sightloop.datasets.upkeep import store
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of

_NONE: frozenset[ObjectKey] = frozenset()


class Place(NamedTuple):
    """A commit and what it holds of what was looked for."""

    commit: Digest
    record: StoredCommit
    found: frozenset[ObjectKey]


def places_of(
    tx: Tx, wanted: Collection[ObjectKey], commits: Collection[ObjectKey]
) -> Iterator[Place]:
    """Those of the commits that hold any of the wanted rows or nodes.

    What cannot be read is passed over: it is for others to say that it is damaged.
    """
    search = _Search(tx, frozenset(wanted))
    for one in store.find_objects(tx, commits):
        if digest_of(one.content) != digest_of_key(one.key):
            continue
        record = decode_commit(one.content, what=f"commit {digest_of_key(one.key)}")
        found = search.below(object_key(record.root))
        found |= search.wanted & {one.key, object_key(record.taxonomy)}
        if found:
            yield Place(digest_of_key(one.key), record, found)


class _Search:
    """Remembers of each node what lies below it."""

    def __init__(self, tx: Tx, wanted: frozenset[ObjectKey]) -> None:
        self.wanted = wanted
        self._tx = tx
        self._below: dict[ObjectKey, frozenset[ObjectKey]] = {}

    def below(self, root: ObjectKey) -> frozenset[ObjectKey]:
        """The wanted keys in the subtree, its root included."""
        levels = []
        level = {root}
        while level := {key for key in level if key not in self._below}:
            links = self._links(level)
            levels.append(links)
            level = {key for each in links.values() for key in each.nodes}
        for links in reversed(levels):
            for key, each in links.items():
                self._below[key] = self._sum(key, each)
        return self._below[root]

    def _sum(self, key: ObjectKey, links: tree.Links) -> frozenset[ObjectKey]:
        mine = self.wanted & {key, *(row for _, row in links.rows)}
        return mine.union(*(self._below[node] for node in links.nodes)) or _NONE

    def _links(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, tree.Links]:
        links = dict.fromkeys(keys, tree.Links([], []))
        for one in store.find_objects(self._tx, keys):
            if digest_of(one.content) == digest_of_key(one.key):
                links[one.key] = tree.links(one.content)
        return links
