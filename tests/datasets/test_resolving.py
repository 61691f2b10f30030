"""Conflicts are settled one by one, by a side or by hand, and the merge says what was decided."""

import msgspec
import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import BadResolution, NoSuchConflict, NoSuchMerge
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.merging import (
    ContinueMerge,
    MergeBranch,
    continue_merge,
    merge_branch,
)
from sightloop.datasets.resolving import (
    ListConflicts,
    ListMerges,
    ResolveConflict,
    list_conflicts,
    list_open_merges,
    resolve_conflict,
)
from sightloop.datasets.samples import read_samples
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call
from sightloop.testing.workspaces import LOCAL_CALL

ANNOTATOR = Call(Actor(ActorId("ann"), "person", Role.ANNOTATOR))
VIEWER = Call(Actor(ActorId("vic"), "person", Role.VIEWER))
HERE, THERE, BY_HAND = BoxPx(1, 2, 21, 12), BoxPx(1, 2, 11, 22), BoxPx(2, 2, 30, 20)


def with_box(sample, **fields):
    boxes = [msgspec.structs.replace(one, **fields) for one in sample.annotations]
    return msgspec.structs.replace(sample, annotations=boxes)


def renamed(sample, name, **fields):
    return msgspec.structs.replace(sample, file_name=name, **fields)


@pytest.fixture
def commit(workspace):
    def make(branch, *upserts, removals=()):
        request = CommitSamples(
            branch=branch,
            message=f"on {branch}",
            upserts=list(upserts),
            removals=list(removals),
            new_classes=["spot", "hole"],
        )
        return commit_samples(workspace, LOCAL_CALL, request).commit

    return make


@pytest.fixture
def conflicts(workspace, stored, commit):
    """Three conflicts, by what they are about: a box, a file name, a removed sample."""
    drawn, named, removed = samples = [stored(seed) for seed in range(3)]
    commit("main", *samples)
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="theirs", at="main"))
    commit("main", with_box(drawn, geometry=HERE), renamed(named, "a"), removals=[removed.id])
    commit(
        "theirs",
        with_box(drawn, geometry=THERE, class_id="hole"),
        renamed(named, "b"),
        renamed(removed, "kept"),
    )
    merge_branch(workspace, LOCAL_CALL, MergeBranch(source="theirs"))
    page = list_conflicts(workspace, VIEWER, ListConflicts())
    by_kind = {one.conflict.kind: one.number for one in page.conflicts}
    return by_kind["both moved"], by_kind["field set twice"], by_kind["removed and changed"]


def settle(workspace, number, take, call=ANNOTATOR, **fields):
    request = ResolveConflict(conflict=number, take=take, **fields)
    return resolve_conflict(workspace, call, request)


def merged_samples(workspace):
    merged = continue_merge(workspace, LOCAL_CALL, ContinueMerge())
    return {one.file_name: one for one in read_samples(workspace, merged.commit)}


def test_each_conflict_is_settled_as_decided(workspace, conflicts):
    box, name, removed = conflicts
    settle(workspace, box, "theirs")
    settle(workspace, name, "ours")
    settle(workspace, removed, "theirs")
    samples = merged_samples(workspace)
    assert samples.keys() == {"0.jpg", "a", "kept"}
    [annotation] = samples["0.jpg"].annotations
    assert (annotation.geometry, annotation.class_id) == (THERE, "hole")


def test_by_hand_keeps_what_the_sides_agree_on(workspace, conflicts):
    """Only theirs changed the class, so a box drawn by hand has it."""
    box, name, removed = conflicts
    settle(workspace, box, "by hand", geometry=BY_HAND)
    settle(workspace, name, "by hand", value="c")
    settle(workspace, removed, "ours")
    samples = merged_samples(workspace)
    assert samples.keys() == {"0.jpg", "c"}
    [annotation] = samples["0.jpg"].annotations
    assert (annotation.geometry, annotation.class_id) == (BY_HAND, "hole")
    assert (annotation.source, annotation.state) == ("human", "verified")


def test_by_hand_an_object_can_have_another_class_or_be_none(workspace, conflicts):
    box, name, removed = conflicts
    settle(workspace, name, "ours"), settle(workspace, removed, "ours")
    drawn = settle(workspace, box, "by hand", class_name="spot").decision.resolution.annotation
    assert (drawn.class_id, drawn.geometry) == ("spot", HERE)
    settle(workspace, box, "by hand", remove=True)
    assert merged_samples(workspace)["0.jpg"].annotations == []


def test_a_later_decision_replaces_an_earlier_one_and_says_whose_it_is(workspace, conflicts):
    box, *_ = conflicts
    settle(workspace, box, "ours", call=LOCAL_CALL)
    settle(workspace, box, "theirs")
    page = list_conflicts(workspace, VIEWER, ListConflicts())
    decision = page.conflicts[box - 1].decision
    assert (decision.resolution.take, decision.by) == ("theirs", "ann")
    assert (page.merge.n_conflicts, page.merge.n_resolved) == (3, 1)


def test_what_is_left_can_be_listed_page_by_page(workspace, conflicts):
    settle(workspace, 1, "ours")
    page = list_conflicts(workspace, VIEWER, ListConflicts(only_unresolved=True, limit=1))
    assert ([one.number for one in page.conflicts], page.next_after) == ([2], 2)
    rest = list_conflicts(workspace, VIEWER, ListConflicts(only_unresolved=True, after=2))
    assert ([one.number for one in rest.conflicts], rest.next_after) == ([3], None)


@pytest.mark.parametrize(
    ("about", "fields", "problem"),
    [
        ("box", {"take": "both"}, "'both' is none of ours, theirs, by hand"),
        ("box", {"take": "by hand"}, "give a box, a class, or say"),
        ("box", {"take": "by hand", "class_name": "rust"}, "'rust' is none of hole, spot"),
        ("box", {"take": "by hand", "geometry": BoxPx(0, 0, 99, 9)}, "reaches out of the image"),
        ("name", {"take": "by hand", "value": 7}, "7 cannot be its file_name"),
        ("removed", {"take": "by hand"}, "'by hand' is none of ours, theirs"),
    ],
)
def test_what_cannot_settle_a_conflict_is_refused(workspace, conflicts, about, fields, problem):
    number = dict(zip(("box", "name", "removed"), conflicts, strict=True))[about]
    with pytest.raises(BadResolution, match=problem) as caught:
        settle(workspace, number, **fields)
    assert caught.value.code == "DATA-047"
    assert list_open_merges(workspace, VIEWER, ListMerges())[0].n_resolved == 0


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_conflict_that_is_not_there_is_refused(workspace, conflicts, number):
    with pytest.raises(NoSuchConflict, match=r"no conflict .* lists those of merge") as caught:
        settle(workspace, number, "ours")
    assert caught.value.code == "DATA-046"


def test_settling_needs_the_right_to_label(workspace, conflicts):
    with pytest.raises(NotAllowed, match="label"):
        settle(workspace, 1, "ours", call=VIEWER)


def test_decisions_survive_a_merge_that_is_begun_again(workspace, conflicts, commit, stored):
    box, *_ = conflicts
    settle(workspace, box, "theirs")
    commit("main", stored(9))
    [facts] = list_open_merges(workspace, VIEWER, ListMerges())
    assert facts.is_outdated
    merge_branch(workspace, LOCAL_CALL, MergeBranch(source="theirs"))
    [facts] = list_open_merges(workspace, VIEWER, ListMerges(branch="main"))
    assert (facts.is_outdated, facts.n_resolved) == (False, 1)
    assert list_open_merges(workspace, VIEWER, ListMerges(branch="other")) == []


def test_a_merge_that_is_not_open_has_no_conflicts(workspace, conflicts):
    with pytest.raises(NoSuchMerge):
        list_conflicts(workspace, VIEWER, ListConflicts(merge="merge_none"))
