import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.inference.novelty import N_NEAREST, choose_looks, novelty


def unit(rng: np.random.Generator, n: int, *, around: int, spread: float) -> np.ndarray:
    points = rng.normal(0, spread, (n, 32))
    points[:, around] += 1
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_look_the_model_knows_is_not_novel():
    looks = np.repeat(np.eye(32)[:1], N_NEAREST, axis=0)
    assert novelty(list(np.eye(32)[0]), looks) == pytest.approx(0.0)


def test_the_opposite_of_all_looks_is_as_novel_as_can_be():
    assert novelty(list(-np.eye(32)[0]), np.eye(32)[:1]) == pytest.approx(2.0)


def test_images_of_another_kind_are_more_novel_than_more_of_the_same():
    rng = np.random.default_rng(0)
    looks = np.array(choose_looks(unit(rng, 200, around=0, spread=0.1).tolist()))
    same = [novelty(one, looks) for one in unit(rng, 50, around=0, spread=0.1)]
    other = [novelty(one, looks) for one in unit(rng, 50, around=1, spread=0.1)]
    assert max(same) < min(other)


@given(st.integers(1, 40), st.integers(0, 5))
def test_no_more_looks_are_chosen_than_there_are_or_are_wanted(n_points: int, seed: int):
    points = unit(np.random.default_rng(seed), n_points, around=0, spread=1.0).tolist()
    assert len(choose_looks(points, n_looks=10)) == min(10, n_points)


def test_the_chosen_looks_reach_into_every_corner():
    rng = np.random.default_rng(1)
    corners = [unit(rng, n, around=index, spread=0.02) for index, n in enumerate((500, 5, 5))]
    chosen = np.array(choose_looks(np.concatenate(corners).tolist(), n_looks=3))
    assert sorted(chosen.argmax(axis=1)) == [0, 1, 2]


def test_nothing_learned_leaves_nothing_to_compare_with():
    assert choose_looks([]) == []
