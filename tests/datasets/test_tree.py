"""The tree: a function of its content alone, at a cost that follows the change."""

from collections.abc import Collection, Mapping

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sightloop.datasets import tree
from sightloop.datasets.keys import ObjectKey
from sightloop.datasets.values import SampleId
from sightloop.kernel.digests import Digest, digest_of

Rows = dict[SampleId, Digest]


class MemoryNodes:
    """Nodes in a dictionary; remembers which were asked for."""

    def __init__(self, *grown: tree.Grown) -> None:
        self.content: dict[ObjectKey, bytes] = {}
        self.n_read = 0
        for one in grown:
            self.content |= one.new_nodes

    def read(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, bytes]:
        self.n_read += len(keys)
        return {key: self.content[key] for key in keys}


def sample(number: int) -> SampleId:
    return SampleId(digest_of(b"%d" % number)[7:39])


def many(n: int, *, start: int = 0) -> Rows:
    return {sample(number): digest_of(b"row %d" % number) for number in range(start, start + n)}


def leaning(digits: str, n: int) -> Rows:
    """Rows whose ids share their first digits, as chance or an adversary may have it."""
    return {SampleId(digits + one[len(digits) :]): row for one, row in many(n).items()}


row_digests = st.integers(0, 3).map(lambda number: digest_of(b"row %d" % number))
some_rows = st.one_of(
    st.dictionaries(st.integers(0, 400).map(sample), row_digests, max_size=200),
    st.integers(0, 150).map(lambda n: leaning("abc", n)),
    st.integers(60, 70).map(many),
)


@given(some_rows, st.randoms())
def test_a_root_ignores_the_order_rows_arrive_in(rows, rng):
    items = list(rows.items())
    rng.shuffle(items)
    assert tree.build(dict(items)) == tree.build(rows)


@given(some_rows, some_rows)
def test_a_changed_tree_is_the_tree_built_anew(before, after):
    old = tree.build(before)
    changes = {one: after.get(one) for one in before.keys() | after.keys()}
    changed = tree.apply(MemoryNodes(old), old.root, changes)
    rebuilt = tree.build(after)
    assert (changed.root, changed.n_entries) == (rebuilt.root, rebuilt.n_entries)
    assert changed.new_nodes.items() <= rebuilt.new_nodes.items()
    assert rebuilt.new_nodes.keys() <= changed.new_nodes.keys() | old.new_nodes.keys()


@given(some_rows, some_rows)
def test_rows_added_and_removed_again_were_never_there(rows, passing):
    added = {one: row for one, row in passing.items() if one not in rows}
    old = tree.build(rows)
    grown = tree.apply(MemoryNodes(old), old.root, added)
    back = tree.apply(MemoryNodes(old, grown), grown.root, dict.fromkeys(added))
    assert back.root == old.root


@given(some_rows)
def test_writing_what_is_there_writes_no_node(rows):
    old = tree.build(rows)
    assert tree.apply(MemoryNodes(old), old.root, {**rows, sample(9999): None}).new_nodes == {}


@given(some_rows)
def test_a_tree_lists_its_rows_in_order_of_the_ids(rows):
    built = tree.build(rows)
    assert list(tree.entries(MemoryNodes(built), built.root)) == sorted(rows.items())


@given(some_rows, st.sets(st.integers(0, 400).map(sample)))
def test_a_tree_finds_what_it_holds_and_nothing_else(rows, wanted):
    built = tree.build(rows)
    found = tree.find(MemoryNodes(built), built.root, wanted)
    assert found == {one: rows[one] for one in wanted if one in rows}


@given(some_rows, some_rows)
def test_differences_are_complete_and_turn_round(first, second):
    old, new = tree.build(first), tree.build(second)
    nodes = MemoryNodes(old, new)
    found = tree.differences(nodes, old.root, new.root)
    assert found == sorted(
        tree.Difference(one, first.get(one), second.get(one))
        for one in first.keys() | second.keys()
        if first.get(one) != second.get(one)
    )
    assert tree.differences(nodes, new.root, old.root) == [
        tree.Difference(one.sample, one.new, one.old) for one in found
    ]


def test_equal_trees_are_compared_without_reading_a_node():
    built = tree.build(many(1000))
    nodes = MemoryNodes(built)
    assert tree.differences(nodes, built.root, built.root) == []
    assert nodes.n_read == 0


@pytest.mark.parametrize("n_changed", [1, 10, 100])
def test_a_change_reads_and_writes_only_its_paths(n_changed):
    old = tree.build(many(20_000))
    nodes = MemoryNodes(old)
    changed = tree.apply(nodes, old.root, {sample(k): digest_of(b"new") for k in range(n_changed)})
    path_length = 4  # 20,000 / 16^3 is below 64: three levels of children and a leaf
    assert len(changed.new_nodes) <= n_changed * path_length
    assert nodes.n_read == len(changed.new_nodes)


@pytest.mark.parametrize("n_changed", [1, 10, 100])
def test_comparing_reads_only_nodes_that_differ(n_changed):
    old = tree.build(many(20_000))
    new = tree.apply(
        MemoryNodes(old), old.root, {sample(k): digest_of(b"new") for k in range(n_changed)}
    )
    nodes = MemoryNodes(old, new)
    assert len(tree.differences(nodes, old.root, new.root)) == n_changed
    assert nodes.n_read == 2 * len(new.new_nodes)


def test_a_node_splits_only_above_its_limit():
    full, above = tree.build(many(tree.SPLIT_ABOVE)), tree.build(many(tree.SPLIT_ABOVE + 1))
    assert len(full.new_nodes) == 1
    assert len(above.new_nodes) > 1


def test_the_empty_tree_has_a_root_and_no_rows():
    empty = tree.build({})
    assert empty.n_entries == 0
    assert list(tree.entries(MemoryNodes(empty), empty.root)) == []


@given(some_rows, st.integers(1, 40))
def test_pages_of_a_tree_are_its_entries_in_order(rows, limit: int):
    built = tree.build(rows)
    nodes, found, after = MemoryNodes(built), [], None
    while page := tree.first_entries(nodes, built.root, limit=limit, after=after):
        found += page
        after = page[-1][0]
    assert found == sorted(rows.items())


def test_a_page_of_a_tree_reads_its_own_leaves_and_the_nodes_above():
    built = tree.build(many(20_000))
    nodes = MemoryNodes(built)
    middle = sorted(many(20_000))[10_000]
    assert len(tree.first_entries(nodes, built.root, limit=60, after=middle)) == 60
    assert nodes.n_read < 30
