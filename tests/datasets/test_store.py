"""Objects and refs: what is stored stays, what moves moves once."""

import hashlib
from itertools import product

import pytest
from sqlalchemy import text

from sightloop.datasets import store
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.errors import (
    AmbiguousRef,
    HeadMoved,
    NoSuchRef,
    ObjectDamaged,
    ObjectMissing,
    RefExists,
)
from sightloop.datasets.keys import ObjectKey, digest_of_key
from sightloop.kernel.digests import digest_of

pytestmark = pytest.mark.both_databases

FIRST, SECOND, THIRD = digest_of(b"1"), digest_of(b"2"), digest_of(b"3")


def an_object(content: bytes, kind="row"):
    return store.StoredObject(ObjectKey(hashlib.sha256(content).digest()), kind, content)


def commits_with_equal_beginnings(n_digits=2):
    """Two contents whose digests begin alike."""
    seen = {}
    for number in range(10_000):
        one = an_object(b"%d" % number, "commit")
        beginning = one.key.hex()[:n_digits]
        if beginning in seen:
            return seen[beginning], one
        seen[beginning] = one
    raise AssertionError("a beginning repeats long before")


def test_objects_come_back_however_often_they_are_written(workspace):
    objects = [an_object(b"%d" % number) for number in range(12_000)]
    for some in (objects[:100], objects):
        with workspace.db.write() as tx:
            store.write_objects(tx, some)
    with workspace.db.read() as tx:
        found = store.read_objects(tx, [one.key for one in objects])
    assert found == {one.key: one.content for one in objects}


def test_a_missing_object_is_named(workspace):
    with workspace.db.read() as tx, pytest.raises(ObjectMissing, match=FIRST) as caught:
        store.read_object(tx, FIRST)
    assert caught.value.code == "DATA-030"


def test_a_changed_object_is_refused(workspace):
    one = an_object(b"content")
    with workspace.db.write() as tx:
        store.write_objects(tx, [one])
        tx.execute(text("UPDATE dataset_objects SET content = :other"), {"other": b"\0"})
    with workspace.db.read() as tx, pytest.raises(ObjectDamaged, match="no longer") as caught:
        store.read_objects(tx, [one.key])
    assert caught.value.code == "DATA-031"


@pytest.mark.parametrize(("at", "expected"), list(product([None, FIRST], [None, FIRST, SECOND])))
def test_a_branch_moves_only_from_where_it_is_expected(workspace, at, expected):
    with workspace.db.write() as tx:
        if at is not None:
            store.create_ref(tx, store.Ref("branch", "main", at, 1))
        if at == expected:
            store.advance_branch(tx, "main", expected=expected, to=SECOND, now_ms=2)
            assert store.find_ref(tx, "branch", "main") == store.Ref("branch", "main", SECOND, 2)
        else:
            with pytest.raises(HeadMoved, match="nothing was committed"):
                store.advance_branch(tx, "main", expected=expected, to=SECOND, now_ms=2)


def test_branches_and_tags_have_names_of_their_own(workspace):
    with workspace.db.write() as tx:
        store.create_ref(tx, store.Ref("branch", "v1", FIRST, 1))
        store.create_ref(tx, store.Ref("tag", "v1", SECOND, 1))
        with pytest.raises(RefExists):
            store.create_ref(tx, store.Ref("branch", "v1", SECOND, 1))
        assert [one.commit for one in store.list_refs(tx, "tag")] == [SECOND]


def test_a_commit_is_found_by_the_beginning_of_its_digest(workspace):
    commit, row = an_object(b"commit", "commit"), an_object(b"row", "row")
    with workspace.db.write() as tx:
        store.write_objects(tx, [commit, row])
        whole = digest_of_key(commit.key)
        for name in (whole, whole[7:], whole[7:11], whole[:12]):
            assert resolve_ref(tx, name) == whole
        with pytest.raises(NoSuchRef, match="branch, tag or commit") as caught:
            resolve_ref(tx, digest_of_key(row.key))
    assert caught.value.code == "DATA-010"


def test_a_beginning_that_several_commits_share_is_refused(workspace):
    one, other = commits_with_equal_beginnings(n_digits=4)
    with workspace.db.write() as tx:
        store.write_objects(tx, [one, other])
        with pytest.raises(AmbiguousRef, match="give more digits") as caught:
            resolve_ref(tx, one.key.hex()[:4])
    assert caught.value.code == "DATA-008"


def test_a_branch_comes_before_a_commit_that_begins_like_its_name(workspace):
    commit = an_object(b"commit", "commit")
    with workspace.db.write() as tx:
        store.write_objects(tx, [commit])
        store.create_ref(tx, store.Ref("branch", commit.key.hex()[:6], FIRST, 1))
        assert resolve_ref(tx, commit.key.hex()[:6]) == FIRST


def test_every_move_of_a_ref_is_on_record_latest_first(workspace):
    with workspace.db.write() as tx:
        store.create_ref(tx, store.Ref("branch", "main", FIRST, 1), by="ann")
        store.advance_branch(tx, "main", expected=FIRST, to=SECOND, now_ms=2, by="bob")
        store.delete_ref(tx, store.Ref("branch", "main", SECOND, 2), now_ms=3, by="cy")
        moves = store.list_moves(tx, "branch", "main", limit=10)
    assert [(one.old, one.new, one.at_ms, one.by) for one in moves] == [
        (SECOND, None, 3, "cy"),
        (FIRST, SECOND, 2, "bob"),
        (None, FIRST, 1, "ann"),
    ]


def test_commits_that_refs_left_lately_are_remembered_and_older_ones_not(workspace):
    with workspace.db.write() as tx:
        store.create_ref(tx, store.Ref("tag", "old", THIRD, 1))
        store.create_ref(tx, store.Ref("tag", "gone", FIRST, 1))
        store.delete_ref(tx, store.Ref("tag", "gone", FIRST, 1), now_ms=5)
        assert store.recent_ref_targets(tx, 5) == {FIRST}
        assert store.recent_ref_targets(tx, 1) == {FIRST, THIRD}
        assert store.recent_ref_targets(tx, 6) == set()


def test_a_refused_move_leaves_no_record(workspace):
    with workspace.db.write() as tx:
        store.create_ref(tx, store.Ref("branch", "main", FIRST, 1))
        with pytest.raises(HeadMoved):
            store.advance_branch(tx, "main", expected=SECOND, to=THIRD, now_ms=2)
        with pytest.raises(HeadMoved):
            store.delete_ref(tx, store.Ref("branch", "main", SECOND, 1), now_ms=2)
        assert len(store.list_moves(tx, "branch", "main", limit=10)) == 1
