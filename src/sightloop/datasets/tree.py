"""A set of rows as a Merkle tree that is a function of the set alone, not of its history.

The tree is a radix tree over sample ids, which are hashes and so spread evenly. A node with at
most 64 entries is a leaf and lists them; one with more has sixteen children, one per next
hexadecimal digit. Equal sets have equal roots, trees share the nodes they have in common, and
changing or comparing trees costs what changed. Specification: docs/formats/commit.md.

Nothing here reads or writes: nodes come from a `Nodes`, new ones are returned to be stored.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

from sightloop.datasets.keys import (
    ObjectKey,
    SampleKey,
    digest_of_key,
    object_key,
    sample_key,
    sample_of_key,
)
from sightloop.datasets.values import SampleId
from sightloop.kernel.digests import Digest

SPLIT_ABOVE = 64
"""A node with more entries than this has children."""

FAN_OUT = 16
_LEAF, _INNER = b"\x00", b"\x01"
_KEY_BYTES, _RECORD_BYTES = 16, 48
_CHILD = struct.Struct(">Q32s")

_Bytes = TypeVar("_Bytes", bound=bytes)
_Record = bytes
"""A sample's key and its row's key, 16 + 32 bytes."""


class Nodes(Protocol):
    """Where nodes are read from, many at a time."""

    def read(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, bytes]:
        """The bytes of all these nodes, checked against their keys."""
        ...


class Grown(NamedTuple):
    """A tree and the nodes it needs that were not there before."""

    root: Digest
    n_entries: int
    new_nodes: dict[ObjectKey, bytes]


class Links(NamedTuple):
    """What a node leads to: other nodes, or samples and their rows."""

    nodes: list[ObjectKey]
    rows: list[tuple[SampleKey, ObjectKey]]


class Difference(NamedTuple):
    """One id whose row is not the same in two trees; None where a tree lacks it."""

    sample: SampleId
    old: Digest | None
    new: Digest | None


def build(rows: Mapping[SampleId, Digest]) -> Grown:
    """The tree of these rows, from nothing."""
    new_nodes: dict[ObjectKey, bytes] = {}
    records = sorted(sample_key(one) + object_key(row) for one, row in rows.items())
    root = _write(records, 0, new_nodes)
    return Grown(digest_of_key(root.key), root.n_entries, new_nodes)


def apply(nodes: Nodes, root: Digest, changes: Mapping[SampleId, Digest | None]) -> Grown:
    """The tree with these rows put in, or taken out where the row is None.

    Reads and returns only nodes between the root and the changed rows. Taking out a row that is
    not there changes nothing.
    """
    edits = {
        sample_key(one): None if row is None else object_key(row) for one, row in changes.items()
    }
    keys = sorted(edits)
    editor = _Editor(nodes, _descend(nodes, object_key(root), keys).content, edits)
    new_root = editor.settled(editor.edited(object_key(root), keys, 0), 0)
    return Grown(digest_of_key(new_root.key), new_root.n_entries, editor.really_new())


def find(nodes: Nodes, root: Digest, samples: Collection[SampleId]) -> dict[SampleId, Digest]:
    """The rows of those of the samples that the tree holds."""
    keys = sorted({sample_key(one) for one in samples})
    found: dict[SampleKey, ObjectKey] = {}
    for leaf, wanted in _descend(nodes, object_key(root), keys).leaves:
        rows = _rows(_records(leaf))
        found.update((key, rows[key]) for key in wanted if key in rows)
    return {sample_of_key(key): digest_of_key(row) for key, row in found.items()}


def links(node: bytes) -> Links:
    """What a node, whose bytes were checked, leads to."""
    if _is_inner(node):
        return Links(_keys_below(node), [])
    return Links([], list(_rows(_records(node)).items()))


def entries(nodes: Nodes, root: Digest) -> Iterator[tuple[SampleId, Digest]]:
    """Every sample and its row, in order of the ids. Holds about 50 bytes per sample."""
    level = [nodes.read([object_key(root)])[object_key(root)]]
    while any(_is_inner(node) for node in level):
        below = [_keys_below(node) if _is_inner(node) else [] for node in level]
        content = nodes.read([key for keys in below for key in keys])
        level = [
            deeper
            for node, keys in zip(level, below, strict=True)
            for deeper in ([content[key] for key in keys] if keys else [node])
        ]
    for leaf in level:
        for key, row in _rows(_records(leaf)).items():
            yield sample_of_key(key), digest_of_key(row)


def first_entries(
    nodes: Nodes, root: Digest, *, limit: int, after: SampleId | None = None
) -> list[tuple[SampleId, Digest]]:
    """The first samples and their rows in order of the ids, or the first beyond `after`.

    Reads only the leaves that these stand in, and the nodes above them.
    """
    bound = b"" if after is None else sample_key(after)
    found: list[tuple[SampleKey, ObjectKey]] = []
    # The nodes still to be read, the next one last, and whether `after` may be below it.
    ahead = [(object_key(root), 0, after is not None)]
    while ahead and len(found) < limit:
        key, depth, is_on_edge = ahead.pop()
        node = nodes.read([key])[key]
        if _is_inner(node):
            edge = _digit(bound, depth) if is_on_edge else -1
            below = enumerate(_children(node))
            ahead += reversed(
                [
                    (child.key, depth + 1, digit == edge)
                    for digit, child in below
                    if child.n_entries and digit >= edge
                ]
            )
        else:
            found += [(one, row) for one, row in _rows(_records(node)).items() if one > bound]
    return [(sample_of_key(one), digest_of_key(row)) for one, row in found[:limit]]


def differences(nodes: Nodes, old: Digest, new: Digest) -> list[Difference]:
    """What became of which id from one tree to the other, in order of the ids.

    Reads only nodes that differ, one level of both trees at a time.
    """
    found: list[Difference] = []
    level: list[tuple[_Side, _Side]] = [(object_key(old), object_key(new))]
    depth = 0
    while level := [pair for pair in level if pair[0] != pair[1]]:
        content = nodes.read({side for pair in level for side in pair if isinstance(side, bytes)})
        deeper: list[tuple[_Side, _Side]] = []
        for pair in level:
            first, second = (_opened(side, content) for side in pair)
            if isinstance(first, list) and isinstance(second, list):
                found += _compared(first, second)
            else:
                deeper += zip(_divided(first, depth), _divided(second, depth), strict=True)
        level, depth = deeper, depth + 1
    return sorted(found)


class NewNode(NamedTuple):
    """A node that a tree has and some others lack, and the rows in it that they lack too."""

    key: ObjectKey
    content: bytes
    rows: list[tuple[SampleId, ObjectKey]]


def beyond(nodes: Nodes, known: Collection[Digest], root: Digest) -> Iterator[NewNode]:
    """What the tree has that none of the known ones has: leaves in order of ids, then parents.

    A row counts as new where a known tree has another row for its sample, or none. Reads only
    nodes that differ, and holds no more than the way down to the present one.
    """
    return _beyond(nodes, [object_key(one) for one in known], object_key(root))


def _beyond(nodes: Nodes, known: list[ObjectKey], key: ObjectKey) -> Iterator[NewNode]:
    if key in known:
        return
    content = nodes.read({key, *known})
    node = content[key]
    others = [content[one] for one in known]
    if not _is_inner(node):
        old = {row for one in others for row in _records_below(nodes, one)}
        rows = _rows([record for record in _records(node) if record not in old])
        yield NewNode(key, node, [(sample_of_key(one), row) for one, row in rows.items()])
        return
    for digit, child in enumerate(_children(node)):
        if child.n_entries:
            below = [_children(one)[digit] for one in others if _is_inner(one)]
            # A leaf among the known stands for all its children: hand it down as it is.
            leaves = [one for one, other in zip(known, others, strict=True) if not _is_inner(other)]
            yield from _beyond(
                nodes, [*(one.key for one in below if one.n_entries), *leaves], child.key
            )
    yield NewNode(key, node, [])


def _records_below(nodes: Nodes, node: bytes) -> Iterator[_Record]:
    """Every record of the subtree; an inner one that became a leaf has few."""
    if not _is_inner(node):
        yield from _records(node)
        return
    for below in nodes.read(_keys_below(node)).values():
        yield from _records_below(nodes, below)


class _Child(NamedTuple):
    """A node as its parent knows it; without entries there is no node."""

    n_entries: int
    key: ObjectKey


_NO_CHILD = _Child(0, ObjectKey(bytes(32)))
_Children = tuple[_Child, ...]

_Side = ObjectKey | list[_Record]
"""One of two compared subtrees: a node still to be read, or records of a leaf above it."""


def _opened(side: _Side, content: Mapping[ObjectKey, bytes]) -> list[_Record] | _Children:
    if isinstance(side, list):
        return side
    node = content[side]
    return _children(node) if _is_inner(node) else _records(node)


def _divided(opened: list[_Record] | _Children, depth: int) -> list[_Side]:
    """The sixteen subtrees below; a leaf takes part as if it had children too."""
    if isinstance(opened, list):
        return list(_parts(opened, depth))
    return [child.key if child.n_entries else [] for child in opened]


def _compared(first: list[_Record], second: list[_Record]) -> list[Difference]:
    old, new = _rows(first), _rows(second)
    return [
        Difference(
            sample_of_key(key),
            digest_of_key(old[key]) if key in old else None,
            digest_of_key(new[key]) if key in new else None,
        )
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
    ]


class _Paths(NamedTuple):
    """The nodes between the root and some ids, and at the end of each path a leaf."""

    content: dict[ObjectKey, bytes]
    leaves: list[tuple[bytes, list[SampleKey]]]


def _descend(nodes: Nodes, root: ObjectKey, keys: list[SampleKey]) -> _Paths:
    """Read the paths to these sorted keys, level by level."""
    paths = _Paths({}, [])
    level = [(root, keys)]
    depth = 0
    while level:
        content = nodes.read([key for key, _ in level])
        paths.content.update(content)
        deeper = []
        for key, wanted in level:
            node = content[key]
            if _is_inner(node):
                below = zip(_children(node), _parts(wanted, depth), strict=True)
                deeper += [(child.key, part) for child, part in below if child.n_entries and part]
            else:
                paths.leaves.append((node, wanted))
        level, depth = deeper, depth + 1
    return paths


_Draft = _Child | list[_Record]
"""An edited subtree: a written node, or records so few that its parent may absorb them."""


class _Editor:
    """Rewrites the paths to changed rows and keeps every other node as it is."""

    def __init__(
        self,
        nodes: Nodes,
        content: Mapping[ObjectKey, bytes],
        edits: Mapping[SampleKey, ObjectKey | None],
    ) -> None:
        self._nodes = nodes
        self._content = content
        self._edits = edits
        self._written: dict[ObjectKey, bytes] = {}

    def really_new(self) -> dict[ObjectKey, bytes]:
        """What was written and not read: an edit without effect writes what it read."""
        return {key: node for key, node in self._written.items() if key not in self._content}

    def edited(self, key: ObjectKey, keys: list[SampleKey], depth: int) -> _Draft:
        """The node with the edits of these sample keys."""
        node = self._content[key]
        if not _is_inner(node):
            return self._edited_leaf(_records(node), keys, depth)
        below = zip(_children(node), _parts(keys, depth), strict=True)
        drafts = [self._edited_child(child, part, depth + 1) for child, part in below]
        if sum(_size(draft) for draft in drafts) <= SPLIT_ABOVE:
            return [record for draft in drafts for record in self._absorbed(draft)]
        children = [self.settled(draft, depth + 1) for draft in drafts]
        return _write_inner(children, self._written)

    def settled(self, draft: _Draft, depth: int) -> _Child:
        """The draft as a written node."""
        if isinstance(draft, _Child):
            return draft
        is_root = depth == 0
        return _write(draft, depth, self._written) if draft or is_root else _NO_CHILD

    def _edited_child(self, child: _Child, keys: list[SampleKey], depth: int) -> _Draft:
        if not keys:
            return child
        if child.n_entries:
            return self.edited(child.key, keys, depth)
        return self._edited_leaf([], keys, depth)

    def _edited_leaf(self, records: list[_Record], keys: list[SampleKey], depth: int) -> _Draft:
        rows: dict[SampleKey, ObjectKey | None] = {**_rows(records)}
        rows.update((key, self._edits[key]) for key in keys)
        left = sorted(key + row for key, row in rows.items() if row is not None)
        return left if len(left) <= SPLIT_ABOVE else _write(left, depth, self._written)

    def _absorbed(self, draft: _Draft) -> list[_Record]:
        if isinstance(draft, list):
            return draft
        return _records(self._nodes.read([draft.key])[draft.key]) if draft.n_entries else []


def _size(draft: _Draft) -> int:
    return draft.n_entries if isinstance(draft, _Child) else len(draft)


def _write(records: list[_Record], depth: int, written: dict[ObjectKey, bytes]) -> _Child:
    """Write the subtree of these sorted records, whose keys agree in the first `depth` digits."""
    if len(records) <= SPLIT_ABOVE:
        return _Child(len(records), _put(_LEAF + b"".join(records), written))
    parts = _parts(records, depth)
    children = [_write(part, depth + 1, written) if part else _NO_CHILD for part in parts]
    return _write_inner(children, written)


def _write_inner(children: list[_Child], written: dict[ObjectKey, bytes]) -> _Child:
    node = _INNER + b"".join(_CHILD.pack(*child) for child in children)
    return _Child(sum(child.n_entries for child in children), _put(node, written))


def _put(node: bytes, written: dict[ObjectKey, bytes]) -> ObjectKey:
    key = ObjectKey(hashlib.sha256(node).digest())
    written[key] = node
    return key


def _parts(ordered: list[_Bytes], depth: int) -> list[list[_Bytes]]:
    """Sorted keys or records, divided by their digit at `depth`."""
    starts = [
        bisect_left(ordered, value, key=lambda key: _digit(key, depth)) for value in range(FAN_OUT)
    ]
    ends = [*starts[1:], len(ordered)]
    return [ordered[start:end] for start, end in zip(starts, ends, strict=True)]


def _digit(key: bytes, depth: int) -> int:
    byte = key[depth // 2]
    return byte & 15 if depth % 2 else byte >> 4


def _is_inner(node: bytes) -> bool:
    assert node[:1] in (_LEAF, _INNER), "a checked node has a known kind"
    return node[:1] == _INNER


def _children(node: bytes) -> _Children:
    return tuple(_Child(n, ObjectKey(key)) for n, key in _CHILD.iter_unpack(node[1:]))


def _keys_below(node: bytes) -> list[ObjectKey]:
    return [child.key for child in _children(node) if child.n_entries]


def _records(leaf: bytes) -> list[_Record]:
    return [leaf[at : at + _RECORD_BYTES] for at in range(1, len(leaf), _RECORD_BYTES)]


def _rows(records: list[_Record]) -> dict[SampleKey, ObjectKey]:
    return {SampleKey(record[:_KEY_BYTES]): ObjectKey(record[_KEY_BYTES:]) for record in records}
