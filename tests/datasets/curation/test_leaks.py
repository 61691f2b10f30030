"""Held-out images that resemble training images are found, told, and taken out of their split."""

import pytest

from sightloop.datasets.browsing import ShowSample, show_sample
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.curation.duplicates import FindDuplicates, find_duplicates
from sightloop.datasets.curation.errors import BadSplitName, BadTag, NotABranch
from sightloop.datasets.curation.leaks import FindLeaks, Leaks, find_leaks
from sightloop.datasets.curation.marking import (
    MarkSamples,
    QuarantineLeaks,
    TagSamples,
    lift_quarantine,
    quarantine_leaks,
    quarantine_samples,
    tag_samples,
)
from sightloop.datasets.errors import NoSuchSample
from sightloop.datasets.values import Sample
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from tests.datasets.curation.conftest import COPIES, Plant, cropped, reencoded, scene

VIEWER = Call(Actor(ActorId("eve"), "person", Role.VIEWER))


def leaks(workspace: Workspace, **fields) -> Leaks:
    return find_leaks(workspace, LOCAL_CALL, FindLeaks(ref="main", **fields))


def split_of(workspace: Workspace, sample: Sample) -> str:
    return show_sample(workspace, LOCAL_CALL, ShowSample(ref="main", sample=sample.id)).split


@pytest.fixture
def leaky(plant: Plant) -> Plant:
    """Six scenes in train, four of their own in test, and three copies where they must not be."""
    for seed in range(6):
        plant.add(scene(seed), "train")
    for seed in range(10, 14):
        plant.add(scene(seed), "test")
    plant.add(reencoded(scene(0)), "test")
    plant.add(cropped(scene(1)), "val")
    plant.add(scene(2), "audit", capture=7)
    plant.commit()
    return plant


class TestWhatLeaks:
    def test_every_planted_copy_is_told_with_the_image_it_resembles(self, leaky):
        found = leaks(leaky.workspace)
        told = {one.held_out.sample: one.alike[0].member.sample for one in found.leaks}
        samples = leaky.samples
        assert told == {
            samples[10].id: samples[0].id,
            samples[11].id: samples[1].id,
            samples[12].id: samples[2].id,
        }
        assert found.by_split == {"audit": 1, "test": 1, "val": 1}

    def test_the_same_image_under_another_capture_comes_first(self, leaky):
        first = leaks(leaky.workspace).leaks[0]
        assert (first.held_out.sample, first.alike[0].is_same) == (leaky.samples[12].id, True)

    def test_pairs_are_counted_per_pair_of_splits(self, leaky):
        told = {
            (p.first, p.second): (p.n_same, p.n_near) for p in leaks(leaky.workspace).split_pairs
        }
        assert told == {
            ("train", "audit"): (1, 0),
            ("train", "test"): (0, 1),
            ("train", "val"): (0, 1),
        }

    def test_split_keys_that_should_be_one_are_named(self, leaky):
        keys = {(one.train_key, one.held_out_key) for one in leaks(leaky.workspace).keys}
        assert ("key 0", "key 10") in keys

    def test_look_alikes_within_one_split_are_no_leak(self, plant):
        plant.add(scene(0), "train")
        plant.add(reencoded(scene(0)), "train")
        plant.commit()
        assert leaks(plant.workspace).n_leaks == 0

    def test_one_held_out_split_may_be_asked_for(self, leaky):
        assert leaks(leaky.workspace, splits=["val"]).by_split == {"val": 1}

    def test_a_split_that_measures_nothing_is_refused(self, leaky):
        with pytest.raises(BadSplitName, match="no split that measures a model") as refused:
            leaks(leaky.workspace, splits=["train"])
        assert refused.value.code == "DATA-092"

    def test_pages_put_together_are_the_whole_list(self, leaky):
        whole = [one.held_out.sample for one in leaks(leaky.workspace).leaks]
        pages = [leaks(leaky.workspace, after=at, limit=2) for at in (0, 2)]
        assert [one.held_out.sample for page in pages for one in page.leaks] == whole
        assert [page.next_after for page in pages] == [2, None]

    def test_a_missing_image_is_counted_and_the_rest_is_looked_at(self, leaky):
        leaky.workspace.blobs.local_path(leaky.samples[5].image).unlink()
        found = leaks(leaky.workspace)
        assert (found.n_unreadable, found.n_leaks) == (1, 3)


class TestQuarantine:
    def test_it_takes_the_held_out_side_and_leaves_training_alone(self, leaky):
        done = quarantine_leaks(leaky.workspace, LOCAL_CALL, QuarantineLeaks(branch="main"))
        assert done.n_changed == 3
        stands = [split_of(leaky.workspace, one) for one in leaky.samples]
        assert stands == ["train"] * 6 + ["test"] * 4 + ["quarantined"] * 3

    def test_nothing_leaks_afterwards_and_repeating_it_makes_no_commit(self, leaky):
        done = quarantine_leaks(leaky.workspace, LOCAL_CALL, QuarantineLeaks(branch="main"))
        assert leaks(leaky.workspace).n_leaks == 0
        again = quarantine_leaks(leaky.workspace, LOCAL_CALL, QuarantineLeaks(branch="main"))
        assert (again.is_new, again.commit) == (False, done.commit)

    def test_a_person_may_lift_it_and_it_stays_lifted(self, leaky):
        lifted = leaky.samples[10]
        quarantine_leaks(leaky.workspace, LOCAL_CALL, QuarantineLeaks(branch="main"))
        lift_quarantine(
            leaky.workspace, LOCAL_CALL, MarkSamples(branch="main", samples=[lifted.id])
        )
        assert split_of(leaky.workspace, lifted) == "test"
        again = quarantine_leaks(leaky.workspace, LOCAL_CALL, QuarantineLeaks(branch="main"))
        assert not again.is_new
        found = leaks(leaky.workspace)
        assert (found.n_leaks, found.n_accepted, found.leaks[0].is_accepted) == (1, 1, True)

    def test_quarantining_an_accepted_sample_by_hand_ends_its_acceptance(self, leaky):
        asked = MarkSamples(branch="main", samples=[leaky.samples[10].id])
        lift_quarantine(leaky.workspace, LOCAL_CALL, asked)
        quarantine_samples(leaky.workspace, LOCAL_CALL, asked)
        shown = show_sample(
            leaky.workspace, LOCAL_CALL, ShowSample(ref="main", sample=leaky.samples[10].id)
        )
        assert (shown.split, shown.sample.tags) == ("quarantined", [])

    def test_an_edit_that_comes_in_between_is_kept(self, leaky):
        edited = leaky.samples[10]
        tagged = TagSamples(branch="main", samples=[edited.id], tag="theirs")

        def somebody_else_commits(what: str, done: int, total: int) -> None:
            tag_samples(leaky.workspace, LOCAL_CALL, tagged)

        call = Call(LOCAL_CALL.actor, somebody_else_commits)
        quarantine_leaks(leaky.workspace, call, QuarantineLeaks(branch="main"))
        shown = show_sample(leaky.workspace, LOCAL_CALL, ShowSample(ref="main", sample=edited.id))
        assert (shown.split, shown.sample.tags) == ("quarantined", ["theirs"])

    def test_a_viewer_may_look_but_not_decide(self, leaky):
        assert find_leaks(leaky.workspace, VIEWER, FindLeaks(ref="main")).n_leaks == 3
        with pytest.raises(NotAllowed, match="may not write data"):
            quarantine_leaks(leaky.workspace, VIEWER, QuarantineLeaks(branch="main"))

    def test_a_commit_cannot_be_decided_about(self, leaky):
        with pytest.raises(NotABranch, match="give a branch and not a commit") as refused:
            quarantine_leaks(leaky.workspace, LOCAL_CALL, QuarantineLeaks(branch="a" * 64))
        assert refused.value.code == "DATA-090"

    @pytest.mark.parametrize("sample", ["0" * 32, "no id"])
    def test_a_sample_that_is_not_there_stops_it_all(self, leaky, sample):
        with pytest.raises(NoSuchSample):
            quarantine_samples(
                leaky.workspace,
                LOCAL_CALL,
                MarkSamples(branch="main", samples=[leaky.samples[0].id, sample]),
            )
        assert split_of(leaky.workspace, leaky.samples[0]) == "train"


class TestTags:
    def test_a_tag_is_added_once(self, leaky):
        asked = TagSamples(branch="main", samples=[leaky.samples[3].id])
        assert tag_samples(leaky.workspace, LOCAL_CALL, asked).n_changed == 1
        assert not tag_samples(leaky.workspace, LOCAL_CALL, asked).is_new

    @pytest.mark.parametrize("tag", ["", " review", "a\nb", "x" * 61])
    def test_a_tag_nobody_could_filter_by_is_refused(self, leaky, tag):
        with pytest.raises(BadTag, match="cannot be a tag") as refused:
            tag_samples(
                leaky.workspace,
                LOCAL_CALL,
                TagSamples(branch="main", samples=[leaky.samples[3].id], tag=tag),
            )
        assert refused.value.code == "DATA-091"


class TestDuplicates:
    def test_every_kind_of_copy_joins_its_scene_and_no_other(self, plant):
        for seed in range(4):
            plant.add(scene(seed), None)
            for copy in COPIES.values():
                plant.add(copy(scene(seed)), None)
        plant.commit()
        found = find_duplicates(plant.workspace, LOCAL_CALL, FindDuplicates(ref="main"))
        names = [{int(one.file_name[:-4]) // 6 for one in c.members} for c in found.clusters]
        assert sorted(names, key=min) == [{0}, {1}, {2}, {3}]
        assert [one.n_samples for one in found.clusters] == [6, 6, 6, 6]

    def test_the_same_image_twice_is_told_apart_from_near_ones(self, plant):
        plant.add(scene(0), None, capture=1)
        plant.add(scene(0), None, capture=2)
        plant.add(scene(1), None)
        plant.add(reencoded(scene(1)), None)
        plant.commit()
        for kind, first in (("same", "0.jpg"), ("near", "2.jpg")):
            asked = FindDuplicates(ref="main", kind=kind)
            found = find_duplicates(plant.workspace, LOCAL_CALL, asked)
            assert found.n_clusters == 1
            assert found.clusters[0].kind == kind
            assert first in {one.file_name for one in found.clusters[0].members}

    def test_pictures_of_one_shade_are_no_duplicates_of_each_other(self, plant):
        for shade in (0, 90, 91, 255):
            plant.add(scene(0) * 0 + shade, None)
        plant.commit()
        found = find_duplicates(plant.workspace, LOCAL_CALL, FindDuplicates(ref="main"))
        assert (found.n_clusters, found.n_without_look) == (0, 4)

    def test_they_come_page_by_page(self, plant):
        for seed in range(3):
            plant.add(scene(seed), None, capture=1)
            plant.add(scene(seed), None, capture=2)
        plant.commit()
        asked = [FindDuplicates(ref="main", after=at, limit=2) for at in (0, 2)]
        pages = [find_duplicates(plant.workspace, LOCAL_CALL, one) for one in asked]
        assert [len(page.clusters) for page in pages] == [2, 1]
        assert [page.next_after for page in pages] == [2, None]


def test_new_samples_are_looked_at_too(plant: Plant):
    plant.add(scene(0), "train")
    plant.commit()
    assert leaks(plant.workspace).n_leaks == 0
    plant.add(reencoded(scene(0)), "test")
    commit_samples(
        plant.workspace,
        LOCAL_CALL,
        CommitSamples(branch="main", message="more", upserts=plant.samples[1:]),
    )
    assert leaks(plant.workspace).n_leaks == 1
