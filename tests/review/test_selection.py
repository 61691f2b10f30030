import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.review.selection import Candidate, select_candidates

NEAR = 0.2


def select(candidates, *, known=(), budget=3, max_per_group=100):
    chosen = select_candidates(
        candidates,
        known=list(known),
        budget=budget,
        max_per_group=max_per_group,
        near_duplicate=NEAR,
    )
    return [candidate.id for candidate in chosen]


def at_angle(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def candidate(name: str, degrees: float, uncertainty: float = 0.5, group: str = "") -> Candidate:
    return Candidate(name, group, uncertainty, at_angle(degrees))


def apart(first: Candidate, second: Candidate) -> float:
    return math.dist(first.descriptor, second.descriptor)


CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.uuids().map(str),
        st.integers(0, 180),
        st.integers(0, 10).map(lambda tenths: tenths / 10),
        st.sampled_from(["", "board 1", "board 2"]),
    ),
    max_size=25,
    unique_by=lambda each: each.id,
)


def test_the_most_uncertain_image_comes_first():
    chosen = select([candidate("a", 0, 0.2), candidate("b", 40, 0.9), candidate("c", 80, 0.3)])
    assert chosen[0] == "b"


def test_a_different_image_is_preferred_to_a_similar_and_more_uncertain_one():
    first, similar, other = candidate("a", 0, 0.9), candidate("b", 15, 0.8), candidate("c", 90, 0.5)
    assert select([first, similar, other], budget=2) == ["a", "c"]


def test_an_image_like_one_that_is_labelled_already_is_left_out():
    assert select([candidate("a", 3), candidate("b", 90)], known=[at_angle(0)]) == ["b"]


def test_a_sure_image_is_still_chosen_when_nothing_else_is_left():
    assert select([candidate("a", 0, 0.0)]) == ["a"]


def test_a_group_gives_no_more_than_its_share():
    images = [candidate(str(index), 20 * index, 0.5, "board 1") for index in range(6)]
    assert len(select(images, budget=6, max_per_group=2)) == 2


def test_images_of_unknown_group_are_not_one_group():
    images = [candidate(str(index), 20 * index) for index in range(6)]
    assert len(select(images, budget=6, max_per_group=1)) == 6


@pytest.mark.parametrize("budget", [0, 3])
def test_nothing_can_be_selected_from_nothing(budget):
    assert select([], budget=budget, known=[at_angle(0)]) == []


def test_descriptors_of_different_length_are_compared():
    short = Candidate("short", "", 0.5, [1.0])
    assert sorted(select([short, candidate("b", 90)])) == ["b", "short"]


def test_many_copies_of_one_scene_do_not_fill_the_pool():
    copies = [candidate(f"copy {index:03}", 0.0, 0.99) for index in range(300)]
    others = [candidate(f"other {index}", 30 + 30 * index, 0.1) for index in range(4)]
    assert len(select(copies + others, budget=5)) == 5


@given(CANDIDATES, st.lists(st.integers(0, 180).map(at_angle), max_size=3), st.integers(0, 9))
def test_no_two_chosen_images_nearly_repeat_each_other_or_a_known_one(candidates, known, budget):
    by_id = {each.id: each for each in candidates}
    chosen = [by_id[name] for name in select(candidates, known=known, budget=budget)]
    assert all(apart(*pair) >= NEAR for pair in itertools.combinations(chosen, 2))
    assert all(math.dist(each.descriptor, other) >= NEAR for each in chosen for other in known)


@given(CANDIDATES, st.integers(0, 9), st.integers(1, 3))
def test_budget_and_share_of_a_group_are_respected(candidates, budget, share):
    groups = {each.id: each.group for each in candidates}
    chosen = select(candidates, budget=budget, max_per_group=share)
    assert len(chosen) == len(set(chosen)) <= budget
    for group in ("board 1", "board 2"):
        assert sum(groups[name] == group for name in chosen) <= share


@given(CANDIDATES, st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_choice_ignores_the_order_candidates_arrive_in(candidates, budget, rng):
    shuffled = rng.sample(candidates, k=len(candidates))
    assert select(shuffled, budget=budget) == select(candidates, budget=budget)


@given(CANDIDATES)
def test_a_budget_for_all_takes_every_image_that_repeats_none(candidates):
    chosen = set(select(candidates, budget=100))
    by_id = {each.id: each for each in candidates}
    for left_out in by_id.keys() - chosen:
        assert any(apart(by_id[left_out], by_id[name]) < NEAR for name in chosen)


def scenes(rng: np.random.Generator) -> list[Candidate]:
    """Twelve looks; the first two are common and the most uncertain, the others rare."""
    centres = rng.normal(size=(12, 32))
    images = []
    for look, centre in enumerate(centres):
        mean, n_images = (0.7, 50) if look < 2 else (0.5, 20)
        for index in range(n_images):
            vector = centre + 0.15 * rng.normal(size=32)
            uncertainty = float(np.clip(rng.normal(mean, 0.1), 0, 1))
            unit = vector / np.linalg.norm(vector)
            images.append(Candidate(f"{look} {index}", str(look), uncertainty, unit.tolist()))
    return images


def looks_covered(chosen: list[Candidate]) -> int:
    return len({each.group for each in chosen})


def test_the_choice_covers_more_looks_than_the_most_uncertain_or_random_images():
    ours, most_uncertain, at_random = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        images = scenes(rng)
        chosen = select_candidates(images, known=[], budget=24, max_per_group=24)
        ours.append(looks_covered(chosen))
        by_score = sorted(images, key=lambda each: -each.uncertainty)
        most_uncertain.append(looks_covered(by_score[:24]))
        drawn = rng.choice(len(images), size=24, replace=False)
        at_random.append(looks_covered([images[index] for index in drawn]))
    # 11.9 of the 12 looks on average, 2.6 by uncertainty alone, about 10 at random.
    assert np.mean(ours) >= 11.5
    assert np.mean(most_uncertain) <= 4
    assert np.mean(at_random) <= 11


def test_what_is_chosen_is_more_uncertain_than_the_average():
    images = scenes(np.random.default_rng(0))
    chosen = select_candidates(images, known=[], budget=24, max_per_group=24)
    average = np.mean([each.uncertainty for each in images])
    assert np.mean([each.uncertainty for each in chosen]) > average + 0.1
