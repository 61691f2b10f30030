"""Branches become one: the right commit, the right conflicts, whole or not at all."""

from dataclasses import replace as replaced

import msgspec
import pytest

from sightloop.datasets.ancestry import History
from sightloop.datasets.branches import CreateBranch, create_branch, head_of
from sightloop.datasets.commits import (
    CommitSamples,
    RetireAudits,
    commit_samples,
    retire_audits,
)
from sightloop.datasets.drafts import DATASET_COMMITTED
from sightloop.datasets.errors import (
    HeadMoved,
    MergeOutdated,
    NoSuchMerge,
    NoSuchRef,
    SplitRulesDiffer,
    TooManyConflicts,
    UnresolvedConflicts,
    WhichMerge,
)
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.merges import find_merge, list_merges
from sightloop.datasets.merging import (
    ContinueMerge,
    MergeBranch,
    MergeName,
    abort_merge,
    continue_merge,
    merge_branch,
)
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.upkeep.erasing import EraseData, Wanted, erase_data
from sightloop.datasets.values import Capture
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL

VIEWER = Call(Actor(ActorId("someone"), "person", Role.VIEWER))
HERE, THERE = BoxPx(1, 2, 21, 12), BoxPx(1, 2, 11, 22)


class Team:
    """A workspace where some people commit to branches."""

    def __init__(self, workspace):
        self.workspace = workspace

    def commit(self, branch, *upserts, removals=(), **fields):
        request = CommitSamples(
            branch=branch,
            message=f"on {branch}",
            upserts=list(upserts),
            removals=list(removals),
            new_classes=["spot", "hole"],
            **fields,
        )
        return commit_samples(self.workspace, LOCAL_CALL, request).commit

    def branch(self, name, at="main"):
        create_branch(self.workspace, LOCAL_CALL, CreateBranch(name=name, at=at))

    def merge(self, source="theirs", workspace=None, **fields):
        request = MergeBranch(source=source, **fields)
        return merge_branch(workspace or self.workspace, LOCAL_CALL, request)

    def head(self, branch="main"):
        with self.workspace.db.read() as tx:
            return head_of(tx, branch)

    def base(self, ours="main", theirs="theirs"):
        with self.workspace.db.read() as tx:
            return History(tx).merge_base(self.head(ours), self.head(theirs))

    def samples(self, commit=None):
        return {one.id: one for one in read_samples(self.workspace, commit or self.head())}

    def open_merges(self):
        with self.workspace.db.read() as tx:
            return list_merges(tx)


@pytest.fixture
def team(workspace):
    return Team(workspace)


@pytest.fixture
def two_sides(team, stored):
    """Four samples on main, and the branch `theirs` at the same commit."""
    samples = [stored(seed) for seed in range(4)]
    team.commit("main", *samples)
    team.branch("theirs")
    return samples


def moved(sample, to=HERE):
    boxes = [msgspec.structs.replace(one, geometry=to) for one in sample.annotations]
    return msgspec.structs.replace(sample, annotations=boxes)


def relabelled(sample):
    boxes = [msgspec.structs.replace(one, class_id="hole") for one in sample.annotations]
    return msgspec.structs.replace(sample, annotations=boxes)


def renamed(sample, name):
    return msgspec.structs.replace(sample, file_name=name)


def test_a_merge_has_the_changes_of_both_sides_and_both_as_parents(team, two_sides, stored):
    first, second, third, fourth = two_sides
    new = stored(9)
    ours = team.commit("main", moved(first), moved(second), removals=[fourth.id])
    theirs = team.commit("theirs", relabelled(first), renamed(third, "x.jpg"), new)
    merged = team.merge()
    assert (merged.outcome, merged.n_added, merged.n_changed, merged.n_removed) == (
        "merged",
        1,
        2,
        0,
    )
    record = read_commit(team.workspace, merged.commit)
    assert record.parents == [ours, theirs]
    assert record.message == "Merge theirs into main"
    assert team.head() == merged.commit
    assert team.samples() == {
        first.id: relabelled(moved(first)),
        second.id: moved(second),
        third.id: renamed(third, "x.jpg"),
        new.id: new,
    }


def test_merging_either_way_round_gives_the_same_samples(team, two_sides, stored):
    first, second, third, _ = two_sides
    team.commit("main", moved(first), renamed(second, "y"))
    team.commit("theirs", relabelled(first), stored(9), removals=[third.id])
    team.branch("here")
    there = read_commit(team.workspace, team.merge().commit)
    back = read_commit(team.workspace, team.merge("here", into="theirs").commit)
    assert there.root == back.root


def test_a_branch_that_did_nothing_is_moved_forward_without_a_commit(team, two_sides):
    theirs = team.commit("theirs", moved(two_sides[0]))
    merged = team.merge()
    assert (merged.outcome, merged.commit, merged.n_changed) == ("fast-forward", theirs, 1)
    assert team.head() == theirs


def test_what_is_merged_already_changes_nothing(team, two_sides):
    team.commit("main", moved(two_sides[0]))
    before = team.head()
    assert team.merge().outcome == "up to date"
    assert team.merge("main").outcome == "up to date"
    assert team.head() == before


def test_a_merge_tells_of_itself_as_a_commit_does(team, two_sides):
    team.commit("main", moved(two_sides[0]))
    theirs = team.commit("theirs", moved(two_sides[1]))
    merged = team.merge()
    with team.workspace.db.read() as tx:
        [told] = history(tx, subject=merged.commit, kind=DATASET_COMMITTED)
    assert told.data["merged"] == theirs
    assert (told.data["branch"], told.data["n_changed"]) == ("main", 1)


def test_with_a_conflict_nothing_moves_and_the_merge_waits(team, two_sides):
    ours = team.commit("main", moved(two_sides[0], HERE))
    team.commit("theirs", moved(two_sides[0], THERE))
    merged = team.merge()
    assert (merged.outcome, merged.commit, merged.n_conflicts) == ("conflicts", ours, 1)
    assert team.head() == ours
    [waiting] = team.open_merges()
    assert waiting.id == merged.merge
    assert [one.kind for one in waiting.conflicts] == ["both moved"]


def test_the_same_merge_is_not_opened_twice(team, two_sides):
    team.commit("main", moved(two_sides[0], HERE))
    team.commit("theirs", moved(two_sides[0], THERE))
    assert team.merge().merge == team.merge().merge
    assert len(team.open_merges()) == 1


@pytest.mark.parametrize(("side", "box"), [("ours", HERE), ("theirs", THERE)])
def test_one_side_can_be_right_about_everything(team, two_sides, side, box):
    first, second, _, _ = two_sides
    team.commit("main", moved(first, HERE))
    team.commit("theirs", moved(first, THERE), moved(second, THERE))
    assert team.merge(resolve=side).outcome == "merged"
    samples = team.samples()
    assert samples[first.id] == moved(first, box)
    assert samples[second.id] == moved(second, THERE)


def test_an_open_merge_goes_on_only_when_all_is_settled(team, two_sides):
    team.commit("main", moved(two_sides[0], HERE))
    theirs = team.commit("theirs", moved(two_sides[0], THERE))
    team.merge(message="together")
    with pytest.raises(UnresolvedConflicts, match=r"1 unresolved conflict \(1\)") as caught:
        continue_merge(team.workspace, LOCAL_CALL, ContinueMerge())
    assert caught.value.code == "DATA-042"
    merged = continue_merge(team.workspace, LOCAL_CALL, ContinueMerge(resolve="theirs"))
    assert merged.outcome == "merged"
    record = read_commit(team.workspace, team.head())
    assert (record.message, record.parents[1]) == ("together", theirs)
    assert team.samples()[two_sides[0].id] == moved(two_sides[0], THERE)
    assert team.open_merges() == []


def test_a_branch_that_moved_makes_an_open_merge_outdated(team, two_sides):
    team.commit("main", moved(two_sides[0], HERE))
    team.commit("theirs", moved(two_sides[0], THERE))
    team.merge()
    after = team.commit("main", moved(two_sides[1]))
    with pytest.raises(MergeOutdated, match="merge again") as caught:
        continue_merge(team.workspace, LOCAL_CALL, ContinueMerge(resolve="ours"))
    assert caught.value.code == "DATA-043"
    assert team.head() == after
    assert len(team.open_merges()) == 1
    team.merge()
    assert [one.ours for one in team.open_merges()] == [after]


def test_an_aborted_merge_is_gone_and_nothing_else_is(team, two_sides):
    ours = team.commit("main", moved(two_sides[0], HERE))
    team.commit("theirs", moved(two_sides[0], THERE))
    team.merge()
    assert abort_merge(team.workspace, LOCAL_CALL, MergeName()).branch == "main"
    assert team.open_merges() == []
    assert team.head() == ours
    with pytest.raises(NoSuchMerge, match="lists open merges") as caught:
        abort_merge(team.workspace, LOCAL_CALL, MergeName())
    assert caught.value.code == "DATA-044"


def test_of_several_open_merges_one_must_be_named(team, two_sides):
    for branch in ("theirs", "others"):
        if branch == "others":
            team.branch("others")
        team.commit(branch, moved(two_sides[0], THERE))
    team.commit("main", moved(two_sides[0], HERE))
    ids = [team.merge(branch).merge for branch in ("theirs", "others")]
    with pytest.raises(WhichMerge, match="name one") as caught:
        abort_merge(team.workspace, LOCAL_CALL, MergeName())
    assert caught.value.code == "DATA-045"
    abort_merge(team.workspace, LOCAL_CALL, MergeName(merge=ids[0]))
    assert [one.id for one in team.open_merges()] == ids[1:]


def test_a_crash_before_any_write_leaves_the_branch_and_a_retry_merges(team, two_sides):
    ours = team.commit("main", moved(two_sides[0], HERE))
    team.commit("theirs", moved(two_sides[1], THERE))
    counting = CrashPlan()
    # The count comes from a merge of the same kind, into a branch of its own.
    team.branch("trial")
    team.merge(into="trial", workspace=crashing(team.workspace, counting))
    assert counting.n_writes == 1
    for step in range(counting.n_writes):
        with pytest.raises(SimulatedCrash):
            team.merge(workspace=crashing(team.workspace, CrashPlan(before_write=step)))
        assert team.head() == ours
    assert team.merge().outcome == "merged"


def test_a_crash_before_any_write_of_an_open_merge_keeps_it(team, two_sides):
    ours = team.commit("main", moved(two_sides[0], HERE))
    team.commit("theirs", moved(two_sides[0], THERE))
    with pytest.raises(SimulatedCrash):
        team.merge(workspace=crashing(team.workspace, CrashPlan(before_write=0)))
    assert team.open_merges() == []
    merge = team.merge().merge
    dying = crashing(team.workspace, CrashPlan(before_write=0))
    with pytest.raises(SimulatedCrash):
        continue_merge(dying, LOCAL_CALL, ContinueMerge(resolve="ours"))
    assert team.head() == ours
    with team.workspace.db.read() as tx:
        assert find_merge(tx, merge) is not None
    assert continue_merge(team.workspace, LOCAL_CALL, ContinueMerge(resolve="ours")).commit


def test_a_merge_that_was_overtaken_starts_anew_on_the_new_head(team, two_sides):
    first, second, third, _ = two_sides
    team.commit("main", moved(first))
    team.commit("theirs", moved(second))
    workspace = overtaken(team, lambda: team.commit("main", moved(third)))
    assert team.merge(workspace=workspace).outcome == "merged"
    samples = team.samples()
    assert [samples[one.id] == moved(one) for one in (first, second, third)] == [True] * 3


def test_a_merge_that_is_always_overtaken_gives_up_without_a_trace(team, two_sides):
    names = iter(range(1_000))
    team.commit("main", moved(two_sides[0]))
    team.commit("theirs", moved(two_sides[1]))

    def commit():
        team.commit("main", renamed(two_sides[2], f"{next(names)}.jpg"))

    with pytest.raises(HeadMoved, match="nothing was committed"):
        team.merge(workspace=overtaken(team, commit, times=100))
    assert team.samples()[two_sides[1].id] == two_sides[1]


def overtaken(team, meanwhile, times=1):
    """The workspace, where someone else commits before each of the first write transactions."""
    database = team.workspace.db
    left = [times]

    class Overtaken:
        def __getattr__(self, name):
            return getattr(database, name)

        def write(self):
            if left[0]:
                left[0] -= 1
                meanwhile()
            return database.write()

    return replaced(team.workspace, db=Overtaken())


def test_only_who_may_write_data_merges(team, two_sides):
    with pytest.raises(NotAllowed, match="write data"):
        merge_branch(team.workspace, VIEWER, MergeBranch(source="theirs"))


def test_what_is_merged_into_must_be_a_branch(team, two_sides):
    with pytest.raises(NoSuchRef, match="nowhere"):
        team.merge(into="nowhere")


def test_histories_that_crossed_merge_from_the_newer_base(team, two_sides):
    first, second, third, _ = two_sides
    team.commit("main", moved(first))
    team.workspace.clock.advance(1)
    team.commit("theirs", moved(second))
    team.branch("main0"), team.branch("theirs0", at="theirs")
    team.merge("theirs0")
    team.merge("main0", into="theirs")
    assert team.base() == team.head("theirs0") == team.base("theirs", "main")
    team.commit("main", moved(third, HERE))
    team.commit("theirs", moved(third, THERE))
    assert team.merge().n_conflicts == 1


def test_a_merged_branch_can_go_on_and_be_merged_again(team, two_sides):
    first, second, third, _ = two_sides
    team.commit("main", moved(first))
    team.commit("theirs", moved(second, HERE))
    team.merge()
    later = team.commit("theirs", moved(second, THERE), moved(third))
    merged = team.merge()
    assert (merged.outcome, merged.base != later) == ("merged", True)
    assert team.samples()[second.id] == moved(second, THERE)


def test_histories_with_nothing_in_common_merge_from_nothing(team, stored):
    shared = stored(1)
    team.commit("main", shared, stored(2))
    team.commit("theirs", renamed(shared, "other.jpg"), stored(3))
    merged = team.merge()
    assert (merged.outcome, merged.base) == ("conflicts", None)
    [conflict] = team.open_merges()[0].conflicts
    assert (conflict.kind, conflict.base, conflict.ours) == ("field set twice", None, "1.jpg")
    assert team.merge(resolve="theirs").n_added == 1
    assert len(team.samples()) == 3


def test_sides_that_split_differently_are_not_merged(team, stored):
    team.commit("main", stored(1))
    team.commit("theirs", stored(2), split_rule=SplitRule(train=0.5, val=0.25, test=0.25))
    with pytest.raises(SplitRulesDiffer, match="between training and test") as caught:
        team.merge()
    assert caught.value.code == "DATA-040"


def test_too_many_conflicts_are_refused_but_for_one_side(team, two_sides, monkeypatch):
    monkeypatch.setattr("sightloop.datasets.merge_drafts.MAX_CONFLICTS", 1)
    first, second, _, _ = two_sides
    team.commit("main", moved(first, HERE), moved(second, HERE))
    team.commit("theirs", moved(first, THERE), moved(second, THERE))
    with pytest.raises(TooManyConflicts, match="--resolve") as caught:
        team.merge()
    assert caught.value.code == "DATA-041"
    assert team.merge(resolve="ours").outcome == "merged"


def split_in(team, sample):
    return split_of(team.samples()[sample.id], SplitRule())


def in_train(stored, seed, **fields):
    """A sample whose split key the hash puts into training."""
    return stored(seed, split_key="board 0", **fields)


def test_an_audit_image_from_there_is_quarantined_if_its_key_was_learned_from_here(
    team, two_sides, stored
):
    learned = in_train(stored, 10)
    audit = in_train(stored, 11, reserved="audit")
    team.commit("main", learned)
    team.commit("theirs", audit)
    merged = team.merge()
    assert split_in(team, learned) == "train"
    assert split_in(team, audit) is None
    assert [one.text for one in merged.notes] == ["quarantined, as others of its split key"]


def test_an_image_from_there_is_reserved_if_its_key_is_held_for_audit_here(team, two_sides, stored):
    audit, new = in_train(stored, 10, reserved="audit"), in_train(stored, 11)
    team.commit("main", audit)
    team.commit("theirs", new)
    team.merge()
    assert split_in(team, new) == "audit" == split_in(team, audit)


def test_an_audit_image_here_is_quarantined_if_its_key_was_retired_there(team, stored):
    old, newer = (in_train(stored, seed, reserved="audit") for seed in (10, 11))
    team.commit("main", old)
    team.branch("theirs")
    request = RetireAudits(branch="theirs", split_keys=["board 0"], message="done")
    retire_audits(team.workspace, LOCAL_CALL, request)
    team.commit("main", newer)
    team.merge()
    assert split_in(team, old) == "train"
    assert split_in(team, newer) is None


def test_a_retired_key_stays_retired(team, two_sides, stored):
    audits = [in_train(stored, seed, reserved="audit") for seed in (10, 11)]
    team.commit("theirs", *audits)
    team.merge()
    request = RetireAudits(branch="theirs", split_keys=["board 0"], message="done")
    retire_audits(team.workspace, LOCAL_CALL, request)
    team.commit("main", moved(two_sides[0]))
    team.merge()
    assert {split_in(team, one) for one in audits} == {"train"}


def test_two_people_editing_a_thousand_images_meet_exactly_where_they_contradict(team, make_sample):
    """Person A works on even images, B on odd ones; in between they meet in known places."""
    image = team.workspace.blobs.put(b"one tiny image")
    base = [
        make_sample(
            number,
            image=image,
            capture=Capture("cam", "0", number),
            boxes=[BoxPx(1, 2, 11, 12), BoxPx(12, 2, 22, 12)],
        )
        for number in range(1_000)
    ]
    team.commit("main", *base)
    team.branch("theirs")
    ours = {n: moved_first(base[n], HERE) for n in range(0, 400, 2)}
    theirs = {n: moved_first(base[n], THERE) for n in range(1, 400, 2)}
    # Both work on these: different boxes, different aspects, the same change: no contradiction.
    for n in range(400, 430):
        ours[n], theirs[n] = moved_first(base[n], HERE), moved_last(base[n], THERE)
    for n in range(430, 460):
        ours[n], theirs[n] = moved_first(base[n], HERE), relabelled(base[n])
    for n in range(460, 490):
        ours[n] = theirs[n] = relabelled(base[n])
    planted = {}
    for n in range(500, 510):
        ours[n], theirs[n] = moved_first(base[n], HERE), moved_first(base[n], THERE)
        planted[base[n].id] = "both moved"
    for n in range(510, 520):
        ours[n], theirs[n] = without_first(base[n]), relabelled(base[n])
        planted[base[n].id] = "deleted and edited"
    for n in range(520, 530):
        ours[n], theirs[n] = renamed(base[n], "a.jpg"), renamed(base[n], "b.jpg")
        planted[base[n].id] = "field set twice"
    for n in range(530, 540):
        theirs[n] = relabelled(base[n])
        planted[base[n].id] = "removed and changed"
    team.commit("main", *ours.values(), removals=[base[n].id for n in range(530, 540)])
    team.commit("theirs", *theirs.values())
    team.merge()
    [waiting] = team.open_merges()
    assert [(one.sample, one.kind) for one in waiting.conflicts] == sorted(planted.items())
    merged = continue_merge(team.workspace, LOCAL_CALL, ContinueMerge(resolve="theirs"))
    samples = team.samples(merged.commit)
    assert len(samples) == 1_000
    assert all(samples[base[n].id] == ours[n] for n in range(0, 400, 2))
    assert all(samples[base[n].id] == theirs[n] for n in range(1, 400, 2))
    assert all(samples[base[n].id] == theirs[n] for n in range(500, 540))


def moved_first(sample, to):
    first, *rest = sample.annotations
    boxes = [msgspec.structs.replace(first, geometry=to), *rest]
    return msgspec.structs.replace(sample, annotations=boxes)


def moved_last(sample, to):
    *rest, last = sample.annotations
    boxes = [*rest, msgspec.structs.replace(last, geometry=to)]
    return msgspec.structs.replace(sample, annotations=boxes)


def without_first(sample):
    return msgspec.structs.replace(sample, annotations=sample.annotations[1:])


def test_an_image_that_was_erased_stays_erased_through_a_merge(team, two_sides):
    """An old commit still leads to its row, of which there is a digest and nothing to read."""
    first, second, third, _ = two_sides
    team.commit("main", moved(first, HERE), moved(second, HERE))
    old = team.commit("theirs", moved(first, THERE), moved(third, THERE))
    wanted = Wanted(samples=[first.id])
    erase_data(team.workspace, LOCAL_CALL, EraseData(wanted=wanted, reason="asked to"))
    assert team.merge(old).outcome == "merged"
    samples = team.samples()
    assert first.id not in samples
    assert (samples[second.id], samples[third.id]) == (moved(second, HERE), moved(third, THERE))


def test_an_open_merge_about_an_image_that_is_erased_is_forgotten(team, two_sides):
    first, second, _, _ = two_sides
    team.commit("main", moved(first, HERE), moved(second, HERE))
    team.commit("theirs", moved(first, THERE), moved(second, THERE))
    team.merge()
    wanted = Wanted(samples=[first.id])
    erase_data(team.workspace, LOCAL_CALL, EraseData(wanted=wanted, reason="asked to"))
    assert team.open_merges() == []
    team.merge()
    assert [one.sample for one in team.open_merges()[0].conflicts] == [second.id]
