"""The paired bootstrap is fast because it reweighs, and right because nothing else changes."""

import msgspec
import numpy as np
import pytest

from sightloop.evaluation import bootstrap
from sightloop.evaluation.bootstrap import ap50, paired_gain
from sightloop.evaluation.errors import ImagesDiffer, NoObjects
from sightloop.testing.made_answers import (
    answer,
    answered,
    found,
    messy_scenes,
    shown_objects,
    truth,
)


def two_models(seed, *, n_images=40):
    rng = np.random.default_rng(seed)
    scenes = shown_objects(rng, n_images=n_images)
    return answered(rng, scenes, skill=0.6), answered(rng, scenes, skill=0.8)


def test_the_gain_is_the_difference_of_both_ap50s():
    first, second = two_models(0)
    gain = paired_gain(first, second, n_replicates=100, seed=0)
    assert (gain.first, gain.second) == (ap50(first), ap50(second))
    assert gain.gain == gain.second - gain.first
    assert gain.low < gain.gain < gain.high


@pytest.mark.parametrize("seed", range(5))
def test_weighing_an_image_is_the_same_as_showing_it_so_often(seed):
    rng = np.random.default_rng(seed)
    scenes = messy_scenes(rng, n_images=12, n_classes=3, n_scores=1000)
    weights = rng.integers(0, 4, len(scenes))
    repeated = [
        msgspec.structs.replace(scene, sample=f"{scene.sample} {copy}")
        for scene, weight in zip(scenes, weights, strict=True)
        for copy in range(weight)
    ]
    weighed = bootstrap._ap50(bootstrap._rank(scenes), weights[np.newaxis].astype(float))[0]
    assert weighed == pytest.approx(ap50(repeated), abs=1e-12)


def test_a_model_has_no_gain_over_itself():
    first, _ = two_models(1)
    gain = paired_gain(first, first, n_replicates=100, seed=0)
    assert (gain.gain, gain.low, gain.high) == (0, 0, 0)


def test_exchanging_the_models_mirrors_the_interval():
    first, second = two_models(2)
    there = paired_gain(first, second, n_replicates=200, seed=3)
    back = paired_gain(second, first, n_replicates=200, seed=3)
    assert (back.gain, back.low, back.high) == pytest.approx((-there.gain, -there.high, -there.low))


def test_equal_seeds_give_equal_intervals_and_others_nearly_so():
    first, second = two_models(3)
    one, same, other = (
        paired_gain(first, second, n_replicates=500, seed=seed) for seed in (0, 0, 1)
    )
    assert one == same
    assert one.low == pytest.approx(other.low, abs=0.03)


def test_the_size_of_the_pieces_does_not_change_the_draws(monkeypatch):
    first, second = two_models(4)
    whole = paired_gain(first, second, n_replicates=50, seed=0)
    monkeypatch.setattr(bootstrap, "_CHUNK_NUMBERS", 1)
    assert paired_gain(first, second, n_replicates=50, seed=0) == whole


def test_more_images_make_the_interval_narrower():
    few, many = (
        paired_gain(*two_models(5, n_images=n), n_replicates=200, seed=0) for n in (20, 320)
    )
    assert many.high - many.low < (few.high - few.low) / 2


def test_showing_every_image_of_a_group_twice_makes_nobody_surer():
    first, second = two_models(6)

    def doubled(answers):
        return [
            msgspec.structs.replace(one, sample=f"{one.sample} {copy}", group=one.sample)
            for one in answers
            for copy in "ab"
        ]

    once = paired_gain(first, second, n_replicates=400, seed=0)
    twice = paired_gain(doubled(first), doubled(second), n_replicates=400, seed=0)
    alone = paired_gain(
        *([msgspec.structs.replace(one, group="") for one in doubled(m)] for m in (first, second)),
        n_replicates=400,
        seed=0,
    )
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.02)
    assert alone.high - alone.low < 0.85 * (once.high - once.low)


def test_the_interval_covers_the_true_gain_about_as_often_as_it_says():
    truth_gain = paired_gain(*two_models(999, n_images=6000), n_replicates=1, seed=0).gain
    n_covered = 0
    for seed in range(60):
        gain = paired_gain(*two_models(seed, n_images=60), n_replicates=200, seed=seed)
        n_covered += gain.low <= truth_gain <= gain.high
    # 57 expected of 60 at 95 %; by chance alone below 51 once in a hundred at 92 %.
    assert n_covered >= 51


def test_a_draw_without_any_object_is_left_out():
    rare = [answer("a", [truth(0, 0)], [found(0, 0.9, 0)]), *(answer(f"{i}") for i in range(20))]
    gain = paired_gain(rare, rare, n_replicates=100, seed=0)
    assert (gain.first, gain.low, gain.high) == (pytest.approx(1), 0.0, 0.0)


def test_answers_to_other_images_are_refused():
    first, second = two_models(6)
    with pytest.raises(ImagesDiffer, match="image line=A 0000 faces image line=A 0001") as caught:
        paired_gain(first, second[1:] + second[:1], seed=0)
    assert caught.value.code == "EVAL-010"


def test_answers_to_fewer_images_are_refused():
    first, second = two_models(6)
    with pytest.raises(ImagesDiffer, match="line=A 0039 was answered by one only"):
        paired_gain(first, second[:-1], seed=0)


def test_answers_with_other_labels_are_refused():
    first, second = two_models(6)
    changed = [msgspec.structs.replace(second[0], truths=[]), *second[1:]]
    with pytest.raises(ImagesDiffer, match="line=A 0000 has other labels in each"):
        paired_gain(first, changed, seed=0)


def test_images_without_any_object_are_refused():
    empty = [answer("a"), answer("b")]
    with pytest.raises(NoObjects, match="none of the 2 images") as caught:
        paired_gain(empty, empty, seed=0)
    assert caught.value.code == "EVAL-011"
