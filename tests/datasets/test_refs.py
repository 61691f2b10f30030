"""Names for commits come and go; commits stay, and every move is on record."""

import pytest

from sightloop.datasets.branches import (
    BRANCH_DELETED,
    BRANCH_RENAMED,
    CreateBranch,
    DeleteBranch,
    ListMoves,
    RenameBranch,
    create_branch,
    delete_branch,
    list_branches,
    list_ref_moves,
    rename_branch,
    resolve_ref,
)
from sightloop.datasets.commits import CommitSamples, LogCommits, commit_samples, log_commits
from sightloop.datasets.errors import BadRefName, NoSuchAncestor, NoSuchRef, RefExists
from sightloop.datasets.merging import MergeBranch, merge_branch
from sightloop.datasets.samples import read_commit
from sightloop.datasets.tags import (
    TAG_CREATED,
    TAG_DELETED,
    CreateTag,
    DeleteTag,
    ListTags,
    create_tag,
    delete_tag,
    list_tags,
)
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.testing.workspaces import LOCAL_CALL

ANNOTATOR = Call(Actor(ActorId("someone"), "person", Role.ANNOTATOR))


@pytest.fixture
def commit(workspace, stored):
    """Makes commits of one sample each, a second apart."""

    def make(branch, seed):
        workspace.clock.advance(1)
        request = CommitSamples(
            branch=branch, message=f"{seed}", upserts=[stored(seed)], new_classes=["spot"]
        )
        return commit_samples(workspace, LOCAL_CALL, request).commit

    return make


@pytest.fixture
def merge_commit(workspace, commit):
    """main: 1, 2, merge; side: 1, 3. Returns the four commits."""
    first = commit("main", 1)
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="side", at="main"))
    second, third = commit("main", 2), commit("side", 3)
    workspace.clock.advance(1)
    merged = merge_branch(workspace, LOCAL_CALL, MergeBranch(source="side"))
    return first, second, third, merged.commit


def told(workspace, kind):
    with workspace.db.read() as tx:
        return [one.data for one in history(tx, kind=kind)]


def resolved(workspace, text):
    with workspace.db.read() as tx:
        return resolve_ref(tx, text)


def test_a_tag_stays_where_it_is_while_the_branch_moves(workspace, commit):
    first = commit("main", 1)
    create_tag(workspace, LOCAL_CALL, CreateTag(name="v1"))
    commit("main", 2)
    [tag] = list_tags(workspace, LOCAL_CALL, ListTags())
    assert (tag.name, tag.commit) == ("v1", first)
    assert resolved(workspace, "v1") == first
    assert told(workspace, TAG_CREATED) == [{"tag": "v1", "commit": first}]


def test_a_tag_is_not_moved_only_deleted(workspace, commit):
    first = commit("main", 1)
    create_tag(workspace, LOCAL_CALL, CreateTag(name="v1"))
    with pytest.raises(RefExists, match="tag v1 exists") as caught:
        create_tag(workspace, LOCAL_CALL, CreateTag(name="v1"))
    assert caught.value.code == "DATA-021"
    assert delete_tag(workspace, LOCAL_CALL, DeleteTag(name="v1")).commit == first
    assert list_tags(workspace, LOCAL_CALL, ListTags()) == []
    assert told(workspace, TAG_DELETED) == [{"tag": "v1", "commit": first}]
    with pytest.raises(NoSuchRef, match="v1"):
        delete_tag(workspace, LOCAL_CALL, DeleteTag(name="v1"))


def test_a_deleted_branch_leaves_its_commit_and_where_it_was(workspace, commit):
    first = commit("main", 1)
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="side", at="main"))
    side = commit("side", 2)
    assert delete_branch(workspace, LOCAL_CALL, DeleteBranch(name="side")).commit == side
    assert [one.name for one in list_branches(workspace, LOCAL_CALL)] == ["main"]
    assert resolved(workspace, "main") == first
    assert read_commit(workspace, side).parents == [first]
    moves = list_ref_moves(workspace, LOCAL_CALL, ListMoves(name="side"))
    assert [(one.old, one.new) for one in moves] == [(side, None), (first, side), (None, first)]
    assert {one.by for one in moves} == {"local"}
    assert told(workspace, BRANCH_DELETED) == [{"branch": "side", "commit": side}]


def test_a_renamed_branch_is_at_the_same_commit(workspace, commit):
    first = commit("main", 1)
    request = RenameBranch(name="main", new_name="trunk")
    assert rename_branch(workspace, LOCAL_CALL, request).commit == first
    assert [one.name for one in list_branches(workspace, LOCAL_CALL)] == ["trunk"]
    assert told(workspace, BRANCH_RENAMED)[0]["before"] == "main"


@pytest.mark.parametrize(("name", "error"), [("main", RefExists), ("no good", BadRefName)])
def test_a_branch_is_not_renamed_to_what_cannot_be(workspace, commit, name, error):
    commit("main", 1)
    with pytest.raises(error):
        rename_branch(workspace, LOCAL_CALL, RenameBranch(name="main", new_name=name))
    assert [one.name for one in list_branches(workspace, LOCAL_CALL)] == ["main"]


@pytest.mark.parametrize(
    "change",
    [
        lambda ws: delete_branch(ws, ANNOTATOR, DeleteBranch(name="main")),
        lambda ws: rename_branch(ws, ANNOTATOR, RenameBranch(name="main", new_name="x")),
        lambda ws: create_tag(ws, ANNOTATOR, CreateTag(name="v1")),
        lambda ws: delete_tag(ws, ANNOTATOR, DeleteTag(name="v1")),
    ],
)
def test_only_who_may_write_data_changes_names(workspace, commit, change):
    commit("main", 1)
    with pytest.raises(NotAllowed, match="write data"):
        change(workspace)


def test_ancestors_are_named_as_in_git(workspace, merge_commit):
    first, second, third, merged = merge_commit
    for text, expected in (
        ("main", merged),
        ("main~0", merged),
        ("main^0", merged),
        ("main~", second),
        ("main^", second),
        ("main~1", second),
        ("main^2", third),
        ("main~2", first),
        ("main^^", first),
        ("main^2~1", first),
        ("main~1^1", first),
        (f"{merged[7:17]}^2", third),
    ):
        assert resolved(workspace, text) == expected, text


@pytest.mark.parametrize("text", ["main~3", "main^3", "main^2^2", "main~999999999"])
def test_an_ancestor_that_is_not_there_is_said_to_be_missing(workspace, merge_commit, text):
    with pytest.raises(NoSuchAncestor, match="has no such parent") as caught:
        resolved(workspace, text)
    assert caught.value.code == "DATA-048"


@pytest.mark.parametrize("text", ["main~x", "~1", "main^~ 1", "nowhere~1", "main~-1", "main~1x"])
def test_what_is_no_way_back_is_no_name(workspace, merge_commit, text):
    with pytest.raises(NoSuchRef):
        resolved(workspace, text)


def test_the_log_goes_along_all_parents_newest_first(workspace, merge_commit):
    first, second, third, merged = merge_commit
    logged = log_commits(workspace, LOCAL_CALL, LogCommits(ref="main"))
    assert [one.commit for one in logged] == [merged, third, second, first]
    assert [len(one.parents) for one in logged] == [2, 1, 1, 0]
    assert logged[0].n_added == 1
    shorter = log_commits(workspace, LOCAL_CALL, LogCommits(ref="main", limit=2))
    assert [one.commit for one in shorter] == [merged, third]


def test_a_fast_forward_does_not_change_what_a_commit_is_said_to_have_changed(workspace, commit):
    commit("main", 1)
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="side", at="main"))
    commit("side", 2), commit("side", 3)
    assert merge_branch(workspace, LOCAL_CALL, MergeBranch(source="side")).n_added == 2
    newest, *_ = log_commits(workspace, LOCAL_CALL, LogCommits(ref="main"))
    assert newest.n_added == 1
