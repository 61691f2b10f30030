"""Classes change on a branch, in one commit with the labels; merges carry the change across."""

import msgspec
import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.classes import EditClasses, ListClasses, edit_classes, list_classes
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.comparing import DiffCommits, diff_commits
from sightloop.datasets.errors import (
    ClassInUse,
    ClassNamesCollide,
    NoSuchClass,
    NoSuchRef,
    TaxonomiesDiverge,
)
from sightloop.datasets.merging import MergeBranch, merge_branch
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.taxonomy_edits import (
    AddClass,
    MergeClasses,
    RemoveClass,
    RenameClass,
    SplitClass,
)
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call
from sightloop.testing.workspaces import LOCAL_CALL

ANNOTATOR = Call(Actor(ActorId("someone"), "person", Role.ANNOTATOR))


@pytest.fixture
def commit(workspace):
    def make(branch, *upserts, removals=()):
        request = CommitSamples(
            branch=branch,
            message="labels",
            upserts=list(upserts),
            removals=list(removals),
            new_classes=["spot", "hole"],
        )
        return commit_samples(workspace, LOCAL_CALL, request).commit

    return make


@pytest.fixture
def edit(workspace):
    def make(edit, branch="main"):
        return edit_classes(workspace, LOCAL_CALL, EditClasses(branch=branch, edit=edit))

    return make


def of_class(sample, class_id, **attributes):
    boxes = [
        msgspec.structs.replace(one, class_id=class_id, attributes=attributes)
        for one in sample.annotations
    ]
    return msgspec.structs.replace(sample, annotations=boxes)


def labels(workspace, ref="main"):
    commit = list_classes(workspace, LOCAL_CALL, ListClasses(ref=ref)).commit
    return {
        one.file_name: [box.class_id for box in one.annotations]
        for one in read_samples(workspace, commit)
    }


def names(workspace, ref="main"):
    return list_classes(workspace, LOCAL_CALL, ListClasses(ref=ref)).taxonomy.class_names


def test_merged_classes_relabel_what_was_of_them_in_one_commit(workspace, stored, commit, edit):
    before = commit("main", stored(1), of_class(stored(2), "hole"))
    done = edit(MergeClasses(["spot", "hole"], "defect"))
    assert (done.n_relabelled, done.n_left) == (2, 0)
    assert labels(workspace) == {"1.jpg": ["defect"], "2.jpg": ["defect"]}
    record = read_commit(workspace, done.commit)
    assert record.parents == [before]
    assert record.message == "Classes: merge spot, hole defect"
    assert [one.labelled_for for one in read_samples(workspace, done.commit)] == [[], []]


def test_a_split_lists_what_has_no_class_and_keeps_the_old_one_for_it(
    workspace, stored, commit, edit
):
    commit("main", of_class(stored(1), "spot", kind="deep"), of_class(stored(2), "spot", kind="?"))
    done = edit(SplitClass("spot", ["deep", "flat"], "kind"))
    assert (done.n_relabelled, done.n_left, done.left[0].value) == (1, 1, "?")
    assert names(workspace) == ["spot", "deep", "flat", "hole"]
    assert labels(workspace) == {"1.jpg": ["deep"], "2.jpg": ["spot"]}


def test_a_split_that_leaves_nothing_takes_the_old_class_away(workspace, stored, commit, edit):
    commit("main", of_class(stored(1), "spot", kind="deep"))
    assert edit(SplitClass("spot", ["deep", "flat"], "kind")).n_left == 0
    assert names(workspace) == ["deep", "flat", "hole"]
    [sample] = read_samples(workspace, list_classes(workspace, LOCAL_CALL, ListClasses()).commit)
    assert sample.labelled_for == ["deep", "flat"]


def test_a_class_with_annotations_is_not_removed(workspace, stored, commit, edit):
    before = commit("main", stored(1))
    with pytest.raises(ClassInUse, match="has 1 annotation;") as caught:
        edit(RemoveClass("spot"))
    assert caught.value.code == "DATA-098"
    assert list_classes(workspace, LOCAL_CALL, ListClasses()).commit == before
    edit(RemoveClass("hole"))
    assert names(workspace) == ["spot"]


def test_an_added_or_renamed_class_touches_no_row(workspace, stored, commit, edit):
    before = read_commit(workspace, commit("main", stored(1)))
    edit(AddClass("dent"))
    done = edit(RenameClass("dent", "Big dent"))
    after = read_commit(workspace, done.commit)
    assert after.root == before.root
    assert after.taxonomy.class_ids == ["spot", "hole", "dent"]
    assert [one.kind for one in after.taxonomy.changes] == ["add", "rename"]


def test_a_diff_says_what_was_done_to_classes(workspace, stored, commit, edit):
    before = commit("main", stored(1))
    done = edit(MergeClasses(["spot", "hole"], "defect"))
    request = DiffCommits(before=before, after=done.commit)
    summary = diff_commits(workspace, LOCAL_CALL, request).summary
    [change] = summary.class_changes
    assert (change.kind, change.classes, change.into) == ("merge", ["hole", "spot"], ["defect"])


def test_a_commit_without_edited_classes_has_the_taxonomy_it_always_had(workspace, stored, commit):
    taxonomy = read_commit(workspace, commit("main", stored(1))).taxonomy
    assert b"changes" not in msgspec.json.encode(taxonomy)


@pytest.mark.parametrize(
    ("edit_", "branch", "error"),
    [(RemoveClass("rust"), "main", NoSuchClass), (AddClass("rust"), "nowhere", NoSuchRef)],
)
def test_what_is_not_there_is_not_changed(stored, commit, edit, edit_, branch, error):
    commit("main", stored(1))
    with pytest.raises(error):
        edit(edit_, branch=branch)


def test_only_who_may_write_data_changes_classes(workspace, stored, commit):
    commit("main", stored(1))
    with pytest.raises(NotAllowed, match="write data"):
        edit_classes(workspace, ANNOTATOR, EditClasses(edit=AddClass("rust")))


@pytest.fixture
def two_sides(workspace, stored, commit):
    commit("main", stored(1), of_class(stored(2), "hole"))
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="theirs", at="main"))


def merge(workspace, **fields):
    return merge_branch(workspace, LOCAL_CALL, MergeBranch(source="theirs", **fields))


@pytest.mark.parametrize(("changed", "labelled"), [("main", "theirs"), ("theirs", "main")])
def test_new_labels_follow_classes_that_the_other_side_merged(
    workspace, stored, commit, edit, two_sides, changed, labelled
):
    edit(MergeClasses(["spot", "hole"], "defect"), branch=changed)
    commit(labelled, stored(3), of_class(stored(1), "hole"))
    merged = merge(workspace)
    assert merged.outcome == "merged"
    assert labels(workspace) == {f"{n}.jpg": ["defect"] for n in (1, 2, 3)}
    assert names(workspace) == ["defect"]


def test_a_class_removed_here_stays_if_there_are_new_objects_of_it_there(
    workspace, stored, commit, edit, two_sides
):
    edit(AddClass("dent"))
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="late", at="main"))
    edit(RemoveClass("dent"))
    commit("late", of_class(stored(5), "dent"))
    merged = merge_branch(workspace, LOCAL_CALL, MergeBranch(source="late"))
    assert "dent" in names(workspace)
    assert any("class dent is kept" in one.text for one in merged.notes)


def test_classes_added_on_both_sides_are_one_and_new_ones_come_last(workspace, edit, two_sides):
    edit(AddClass("dent")), edit(AddClass("rust"))
    edit(AddClass("paint"), branch="theirs"), edit(AddClass("dent"), branch="theirs")
    assert merge(workspace).outcome == "merged"
    assert names(workspace) == ["spot", "hole", "dent", "rust", "paint"]


def test_a_class_renamed_on_both_sides_is_a_conflict(workspace, edit, two_sides):
    edit(RenameClass("spot", "Spot"))
    edit(RenameClass("spot", "Pin hole"), branch="theirs")
    assert merge(workspace).n_conflicts == 1
    assert merge(workspace, resolve="theirs").outcome == "merged"
    assert names(workspace) == ["Pin hole", "hole"]


def test_a_class_merged_here_and_split_there_is_refused(workspace, edit, two_sides):
    edit(MergeClasses(["spot", "hole"], "defect"))
    edit(SplitClass("spot", ["deep", "flat"], "kind"), branch="theirs")
    with pytest.raises(TaxonomiesDiverge, match="what class spot means") as caught:
        merge(workspace)
    assert caught.value.code == "DATA-095"


def test_two_classes_do_not_come_to_one_name(workspace, edit, two_sides):
    edit(RenameClass("spot", "mark"))
    edit(RenameClass("hole", "mark"), branch="theirs")
    with pytest.raises(ClassNamesCollide, match="both be called 'mark'") as caught:
        merge(workspace)
    assert caught.value.code == "DATA-096"


def test_the_same_change_of_classes_on_both_sides_is_one(workspace, edit, two_sides):
    for branch in ("main", "theirs"):
        workspace.clock.advance(1)
        edit(MergeClasses(["spot", "hole"], "defect"), branch=branch)
    assert merge(workspace).outcome == "merged"
    changes = list_classes(workspace, LOCAL_CALL, ListClasses()).taxonomy.changes
    assert [one.kind for one in changes] == ["merge"]
