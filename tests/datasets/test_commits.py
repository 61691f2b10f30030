"""Commits: whole or not at all, on the head that was meant, told of once."""

import msgspec
import pytest

from sightloop.datasets.branches import CreateBranch, create_branch, head_of, list_branches
from sightloop.datasets.changes import Change
from sightloop.datasets.commits import (
    CommitSamples,
    LogCommits,
    RetireAudits,
    ShowCommit,
    commit_samples,
    log_commits,
    retire_audits,
    show_commit,
)
from sightloop.datasets.drafts import DATASET_COMMITTED, Target, commit_change
from sightloop.datasets.errors import (
    BadClassEdit,
    BadRefName,
    BadSample,
    HeadMoved,
    NothingToCommit,
    RefExists,
    SplitRuleDiffers,
)
from sightloop.datasets.geometry import BoxPx, KeypointsPx, MaskPx, PolygonPx
from sightloop.datasets.samples import find_samples, read_commit, read_samples
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.testing.workspaces import LOCAL_CALL

VIEWER = Call(Actor(ActorId("someone"), "person", Role.VIEWER))


@pytest.fixture
def commit(workspace):
    def make(*upserts, branch="main", removals=(), **fields):
        request = CommitSamples(
            branch=branch,
            message="m",
            upserts=list(upserts),
            removals=list(removals),
            new_classes=["Spot"],
            **fields,
        )
        return commit_samples(workspace, LOCAL_CALL, request)

    return make


def events_of(workspace):
    with workspace.db.read() as tx:
        return [one for one in history(tx) if one.kind == DATASET_COMMITTED]


def replaced(sample, **fields):
    return msgspec.structs.replace(sample, **fields)


def test_a_commit_holds_its_samples_in_order_of_their_ids(workspace, stored, commit):
    samples = [stored(seed) for seed in range(5)]
    made = commit(*samples)
    assert read_samples(workspace, made.commit) == sorted(samples, key=lambda one: one.id)
    assert (made.is_new, made.n_added, made.n_changed, made.n_removed) == (True, 5, 0, 0)


def test_a_later_commit_adds_changes_and_removes(workspace, stored, commit):
    first, second, third = (stored(seed) for seed in range(3))
    commit(first, second)
    made = commit(third, replaced(first, tags=["odd"]), removals=[second.id])
    assert (made.n_added, made.n_changed, made.n_removed) == (1, 1, 1)
    assert {one.id: one.tags for one in read_samples(workspace, made.commit)} == {
        first.id: ["odd"],
        third.id: [],
    }


def test_an_old_commit_stays_what_it_was(workspace, stored, commit):
    sample = stored(0)
    old = commit(sample)
    commit(replaced(sample, tags=["new"]))
    assert read_samples(workspace, old.commit) == [sample]


def test_equal_samples_have_equal_roots_whatever_their_history(workspace, stored, commit):
    one, other = stored(0), stored(1)
    at_once = commit(one, other, branch="at-once")
    commit(replaced(other, tags=["draft"]), stored(2), branch="bit-by-bit")
    bit_by_bit = commit(one, other, branch="bit-by-bit", removals=[stored(2).id])
    roots = {read_commit(workspace, made.commit).root for made in (at_once, bit_by_bit)}
    assert len(roots) == 1


def test_committing_what_is_there_makes_no_commit_and_no_event(workspace, stored, commit):
    made = commit(stored(0))
    again = commit(stored(0), removals=["f" * 32])
    assert (again.commit, again.is_new, again.n_changed) == (made.commit, False, 0)
    assert len(events_of(workspace)) == 1


def test_the_event_tells_where_the_commit_went(workspace, stored, commit):
    first, second = commit(stored(0)), commit(stored(1))
    event = events_of(workspace)[-1]
    assert event.subject == second.commit
    assert event.data == {
        "branch": "main",
        "commit": second.commit,
        "parent": first.commit,
        "n_added": 1,
        "n_changed": 0,
        "n_removed": 0,
    }


def test_a_commit_on_a_head_that_moved_changes_nothing(workspace, stored, commit):
    old = commit(stored(0))
    new = commit(stored(1))
    with pytest.raises(HeadMoved, match="read the head again") as caught:
        commit(stored(2), expected_head=old.commit)
    assert (caught.value.code, caught.value.facts["found"]) == ("DATA-020", new.commit)
    with workspace.db.read() as tx:
        assert head_of(tx, "main") == new.commit


def test_a_commit_that_is_not_pinned_starts_anew_when_the_head_moves(workspace, stored, commit):
    taxonomy = read_commit(workspace, commit(stored(0)).commit).taxonomy
    heads = []

    def change_on(head):
        heads.append(head.n_samples)
        if len(heads) == 1:  # somebody is quicker between our reading and our writing
            commit(stored(1))
        return Change([stored(2)], taxonomy)

    draft = commit_change(workspace, LOCAL_CALL, target=Target("main", "m"), change_on=change_on)
    assert heads == [1, 2]
    assert read_commit(workspace, draft.commit).n_samples == 3


def test_a_commit_pinned_to_the_right_head_is_made(workspace, stored, commit):
    old = commit(stored(0))
    assert commit(stored(1), expected_head=old.commit).is_new


def test_a_first_commit_without_samples_is_refused(commit):
    with pytest.raises(NothingToCommit, match="adds no sample") as caught:
        commit()
    assert caught.value.code == "DATA-023"


def test_another_split_rule_than_the_branch_has_is_refused(workspace, stored, commit):
    rule = SplitRule(train=0.6, val=0.2, test=0.2)
    made = commit(stored(0), split_rule=rule)
    assert read_commit(workspace, made.commit).split_rule == rule
    assert commit(stored(1), split_rule=rule).is_new
    with pytest.raises(SplitRuleDiffers, match=r"train 0\.6, val 0\.2, test 0\.2") as caught:
        commit(stored(2), split_rule=SplitRule())
    assert caught.value.code == "DATA-022"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"width_px": 10}, "reaches out of the image of 10 x 24 px"),
        ({"split_key": ""}, "no split key"),
        ({"id": "0" * 32}, "does not follow from its image"),
        ({"labelled_for": ["ghost"]}, "class 'ghost' is not in the taxonomy"),
        ({"image": "sha256:" + "0" * 64}, "not in the blob store"),
    ],
)
def test_a_sample_that_cannot_be_is_refused_by_name(stored, commit, fields, problem):
    with pytest.raises(BadSample, match=problem) as caught:
        commit(replaced(stored(0), **fields))
    assert caught.value.code == "DATA-003"
    assert "0.jpg" in caught.value.message


def test_a_sample_named_twice_is_refused(stored, commit):
    with pytest.raises(BadSample, match="names it twice"):
        commit(stored(0), stored(0))
    with pytest.raises(BadSample, match="names it twice"):
        commit(stored(0), removals=[stored(0).id])


def test_two_annotations_with_one_id_are_refused(stored, commit):
    sample = stored(0)
    with pytest.raises(BadSample, match="the same id"):
        commit(replaced(sample, annotations=sample.annotations * 2))


SHAPES = {
    "no runs": (MaskPx(1, 1, 5, 5, "\x7f"), "no run lengths"),
    "few runs": (MaskPx(1, 1, 5, 5, "325"), "covers 10 pixels; give runs over all 768"),
    "two points": (PolygonPx(1, 1, 5, 5, ((1, 1, 5, 5),)), "an outline has 4 numbers"),
    "odd": (PolygonPx(1, 1, 5, 5, ((1, 1, 5, 5, 1, 5, 5),)), "an outline has 7 numbers"),
    "no outline": (PolygonPx(1, 1, 5, 5, ()), "without an outline"),
    "NaN": (PolygonPx(1, 1, 5, 5, ((1, 1, float("nan"), 5, 1, 5),)), "nan is no coordinate"),
    "no triples": (KeypointsPx(1, 1, 5, 5, (1, 1)), "keypoints of 2 numbers"),
    "no v": (KeypointsPx(1, 1, 5, 5, (1, 1, 3)), "v is 3; give 0, 1 or 2"),
    "far point": (KeypointsPx(1, 1, 5, 5, (1, 1e300, 2)), "1e\\+300 is no coordinate"),
}


@pytest.mark.parametrize(("shape", "problem"), SHAPES.values(), ids=SHAPES)
def test_a_shape_that_nobody_could_draw_is_refused(stored, commit, shape, problem):
    sample = stored(0)
    found = msgspec.structs.replace(sample.annotations[0], geometry=shape)
    with pytest.raises(BadSample, match=problem):
        commit(replaced(sample, annotations=[found]))


def test_a_class_without_a_name_is_refused(workspace, stored):
    request = CommitSamples(branch="main", message="m", upserts=[stored(0)], new_classes=[" "])
    with pytest.raises(BadClassEdit, match="names no class"):
        commit_samples(workspace, LOCAL_CALL, request)


def test_a_viewer_may_read_but_not_commit(workspace, stored, commit):
    commit(stored(0))
    assert list_branches(workspace, VIEWER)
    with pytest.raises(NotAllowed):
        commit_samples(workspace, VIEWER, CommitSamples(branch="main", message="m"))


def test_a_reserved_key_reserves_what_is_committed_later(workspace, stored, commit):
    commit(stored(0, split_key="board", reserved="audit"))
    made = commit(stored(1, split_key="board"), stored(2, split_key="other"))
    found = {one.split_key: one for one in read_samples(workspace, made.commit) if one.reserved}
    assert set(found) == {"board"}
    assert read_commit(workspace, made.commit).n_samples == 3


def test_a_sample_cannot_be_talked_out_of_its_reservation(stored, commit):
    reserved = stored(0, reserved="audit")
    made = commit(reserved)
    again = commit(replaced(reserved, reserved=None))
    assert (again.commit, again.is_new) == (made.commit, False)


def test_an_audit_image_of_a_key_in_training_stands_in_no_split(workspace, stored, commit):
    everything = SplitRule(train=1, val=0, test=0)
    commit(stored(0, split_key="board"), split_rule=everything)
    made = commit(stored(1, split_key="board", reserved="audit"))
    splits = [split_of(one, everything) for one in read_samples(workspace, made.commit)]
    assert sorted(splits, key=str) == [None, "train"]


def retire(workspace, *split_keys):
    request = RetireAudits(branch="main", split_keys=list(split_keys), message="done its duty")
    return retire_audits(workspace, LOCAL_CALL, request)


def test_a_retired_key_stands_where_its_hash_says_with_all_its_samples(workspace, stored, commit):
    everything = SplitRule(train=1, val=0, test=0)
    commit(
        stored(0, split_key="board", reserved="audit"),
        stored(1, split_key="board", reserved="audit"),
        stored(2, split_key="kept", reserved="audit"),
        split_rule=everything,
    )
    made = retire(workspace, "board")
    found = read_samples(workspace, made.commit)
    splits = sorted((one.split_key, split_of(one, everything)) for one in found)
    assert splits == [("board", "train"), ("board", "train"), ("kept", "audit")]


def test_after_retiring_newcomers_of_the_key_are_ordinary_and_audits_of_it_prove_nothing(
    workspace, stored, commit
):
    everything = SplitRule(train=1, val=0, test=0)
    commit(stored(0, split_key="board", reserved="audit"), split_rule=everything)
    retire(workspace, "board")
    made = commit(stored(1, split_key="board"), stored(2, split_key="board", reserved="audit"))
    found = [split_of(one, everything) for one in read_samples(workspace, made.commit)]
    assert sorted(found, key=str) == [None, "train", "train"]


def test_retiring_again_or_what_is_not_reserved_makes_no_commit(workspace, stored, commit):
    commit(stored(0, split_key="board", reserved="audit"), stored(1, split_key="other"))
    retire(workspace, "board")
    assert not retire(workspace, "board", "other", "unknown").is_new


def test_a_quarantined_sample_is_not_freed_by_retiring_its_key(workspace, stored, commit):
    everything = SplitRule(train=1, val=0, test=0)
    commit(stored(0, split_key="board"), split_rule=everything)
    made = commit(stored(1, split_key="board", reserved="audit"))
    assert retire(workspace, "board").commit == made.commit


def test_show_counts_what_the_commit_holds(workspace, stored, commit):
    boxes = [BoxPx(0, 0, 5, 5), BoxPx(6, 6, 9, 9)]
    made = commit(
        stored(0, slices={"line": "A"}, boxes=boxes),
        stored(1, slices={"line": "B"}, reserved="audit"),
    )
    facts = show_commit(workspace, LOCAL_CALL, ShowCommit(ref=made.commit[7:15]))
    assert facts.commit == made.commit
    assert facts.strata == {"": 2, "line=A": 1, "line=B": 1}
    assert facts.splits["audit"] == 1
    assert (facts.n_annotations, facts.annotations_by_class) == (3, {"Spot": 3})


def test_log_goes_back_to_the_first_commit_newest_first(workspace, stored, commit):
    commits = [commit(stored(seed)).commit for seed in range(3)]
    logged = log_commits(workspace, LOCAL_CALL, LogCommits(ref="main"))
    assert [one.commit for one in logged] == commits[::-1]
    assert logged[-1].parents == []
    assert len(log_commits(workspace, LOCAL_CALL, LogCommits(ref="main", limit=2))) == 2


def test_finding_samples_finds_those_that_are_there(workspace, stored, commit):
    made = commit(stored(0), stored(1))
    wanted = [stored(0).id, stored(5).id]
    assert find_samples(workspace, made.commit, wanted) == {stored(0).id: stored(0)}


def test_a_branch_begins_where_it_is_put_and_moves_alone(workspace, stored, commit):
    made = commit(stored(0))
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="trial", at="main"))
    commit(stored(1), branch="trial")
    found = {one.name: one.commit for one in list_branches(workspace, LOCAL_CALL)}
    assert found["main"] == made.commit != found["trial"]


def test_a_branch_name_is_given_once(workspace, stored, commit):
    commit(stored(0))
    with pytest.raises(RefExists, match="choose another name") as caught:
        create_branch(workspace, LOCAL_CALL, CreateBranch(name="main", at="main"))
    assert caught.value.code == "DATA-021"


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "a" * 101, "ab" * 32])
def test_an_odd_branch_name_is_refused(stored, commit, name):
    with pytest.raises(BadRefName, match="cannot name a branch") as caught:
        commit(stored(0), branch=name)
    assert caught.value.code == "DATA-007"
