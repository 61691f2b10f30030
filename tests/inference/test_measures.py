"""Measures of images and answers mean what their table says."""

import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import Detection, Thresholds
from sightloop.inference.measures import MEASURES, NOTHING_FOUND, measure
from sightloop.inference.thumbnail import thumbnail
from sightloop.inference.uncertainty import is_ambiguous, uncertainty

THRESHOLDS = Thresholds(score=0.5)


def detection(score, *, side_px=10):
    return Detection(0, score, 0, 0, side_px, side_px)


def measured(picture, scores=(), n_bytes=1000):
    found = [detection(score) for score in scores]
    return measure(picture, n_bytes=n_bytes, detections=found, thresholds=THRESHOLDS)


def flat(value, *, height_px=48, width_px=64):
    return np.full((height_px, width_px, 3), value, dtype=np.uint8)


def noise(seed=0, *, height_px=48, width_px=64):
    values = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3))
    return values.astype(np.uint8)


def test_every_measure_is_there_in_the_stated_order():
    assert tuple(measured(noise())) == MEASURES


def test_an_image_without_detections_has_the_stated_value():
    values = measured(noise())
    about_answers = MEASURES[:5]
    assert {values[name] for name in about_answers} == {NOTHING_FOUND}


def test_the_top_score_counts_below_the_threshold_too_and_the_mean_does_not():
    values = measured(flat(0), [0.3, 0.2])
    assert (values["top_score"], values["mean_score"], values["n_detections"]) == (0.3, 0.0, 0.0)


def test_means_are_taken_over_what_is_reported():
    values = measured(flat(0), [0.9, 0.7, 0.1])
    assert values["mean_score"] == pytest.approx(0.8)
    assert values["mean_box_area"] == pytest.approx(100 / (48 * 64))
    assert values["n_detections"] == 2


def test_the_ambiguous_band_reaches_one_log_odds_to_both_sides():
    assert [is_ambiguous(score, THRESHOLDS) for score in (0.26, 0.27, 0.73, 0.74)] == [
        False,
        True,
        True,
        False,
    ]
    assert measured(flat(0), [0.95, 0.6, 0.4, 0.1])["ambiguous_fraction"] == 0.5


@pytest.mark.parametrize(("value", "brightness"), [(0, 0.0), (51, 0.2), (255, 1.0)])
def test_brightness_is_the_mean_grey(value, brightness):
    assert measured(flat(value))["brightness"] == pytest.approx(brightness)


def test_a_flat_picture_has_no_contrast_edges_sharpness_or_saturation():
    values = measured(flat(90))
    for name in ("contrast", "edge_density", "sharpness", "saturation"):
        assert values[name] == 0


def test_half_black_and_half_white_has_the_greatest_contrast():
    halves = flat(0)
    halves[:, 32:] = 255
    assert measured(halves)["contrast"] == pytest.approx(0.5)


def test_a_pure_colour_is_fully_saturated():
    red = flat(0)
    red[:, :, 2] = 200
    assert measured(red)["saturation"] == pytest.approx(1.0)


def test_blur_lowers_sharpness_and_edge_density():
    sharp = noise()
    blurred = cv2.GaussianBlur(sharp, (9, 9), 3)
    for name in ("sharpness", "edge_density"):
        assert measured(blurred)[name] < measured(sharp)[name]


@pytest.mark.parametrize(("step", "edges"), [(28, 0.0), (36, 2 / 64)])
def test_an_edge_is_a_step_of_about_32_grey_levels(step, edges):
    halves = flat(100)
    halves[:, 32:] += step
    assert measured(halves)["edge_density"] == pytest.approx(edges)


def test_bytes_per_pixel_counts_the_whole_picture():
    assert measured(flat(0, height_px=1000, width_px=500), n_bytes=250_000)[
        "bytes_per_pixel"
    ] == pytest.approx(0.5)


def test_a_thumbnail_has_no_side_above_256_px_and_keeps_what_is_small():
    assert thumbnail(flat(7, height_px=480, width_px=640)).shape == (120, 160, 3)
    assert thumbnail(flat(7, height_px=256, width_px=10)).shape == (256, 10, 3)
    assert thumbnail(flat(7, height_px=1, width_px=3000)).shape == (1, 187, 3)


def test_a_thumbnail_averages_instead_of_skipping():
    stripes = flat(0, height_px=512, width_px=512)
    stripes[:, ::2] = 200
    assert set(np.unique(thumbnail(stripes))) == {100}


def test_all_measures_of_a_vga_image_take_less_than_a_millisecond():
    picture = noise(height_px=480, width_px=640)
    times = []
    for _ in range(20):
        started = time.perf_counter()
        measured(picture, [0.4] * 20)
        times.append(time.perf_counter() - started)
    assert min(times) < 1e-3


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1))
def test_uncertainty_is_between_0_and_1_whatever_the_scores(scores, threshold):
    found = [detection(score) for score in scores]
    assert 0 <= uncertainty(found, Thresholds(threshold)) <= 1


def test_an_image_with_nothing_found_or_only_sure_answers_is_certain():
    assert uncertainty([], THRESHOLDS) == 0
    assert uncertainty([detection(0.98), detection(0.97)], THRESHOLDS) == 0


def test_uncertainty_rises_as_the_score_nears_the_threshold_from_either_side():
    below = [uncertainty([detection(score)], THRESHOLDS) for score in (0.2, 0.3, 0.4, 0.5)]
    above = [uncertainty([detection(score)], THRESHOLDS) for score in (0.8, 0.7, 0.6, 0.5)]
    assert below == sorted(below)
    assert below == pytest.approx(above)


def test_several_doubts_are_more_than_one():
    at_threshold = [detection(0.5)]
    assert uncertainty(at_threshold * 2, THRESHOLDS) > uncertainty(at_threshold, THRESHOLDS)


def test_many_faint_answers_are_less_than_one_real_doubt():
    faint = [detection(0.05)] * 300
    assert uncertainty(faint, Thresholds(0.25)) < uncertainty([detection(0.25)], Thresholds(0.25))
