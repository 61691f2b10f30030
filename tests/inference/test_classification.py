"""A classifier's picture and its answer."""

import numpy as np
import pytest

from sightloop.contracts.bundle import ModelInput, Thresholds
from sightloop.inference.classification import center_crop, seen_classes
from sightloop.inference.errors import BrokenAnswer

SQUARE = ModelInput(32, 32, fit="center_crop")


def seen(probabilities, *, floor=0.05, most=300):
    return seen_classes(
        np.array([probabilities], dtype=np.float32),
        width_px=8,
        height_px=6,
        score_floor=floor,
        thresholds=Thresholds(score=0.5, max_detections=most),
    )


@pytest.mark.parametrize("size", [(97, 64), (64, 97), (32, 32), (10, 200), (20, 15), (300, 31)])
def test_pixels_are_those_of_pillow(size):
    image = pytest.importorskip("PIL.Image")
    width, height = size
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    short = min(width, height)
    resized = (int(32 * width / short), int(32 * height / short))
    theirs = np.array(image.fromarray(picture).resize(resized, image.Resampling.BILINEAR))
    top, left = round((resized[1] - 32) / 2), round((resized[0] - 32) / 2)
    theirs = theirs[top : top + 32, left : left + 32]
    assert np.array_equal(center_crop(picture, into=SQUARE), theirs)


def test_a_wide_input_takes_the_whole_picture_out_of_shape():
    picture = np.zeros((40, 40, 3), dtype=np.uint8)
    picture[:, 20:] = 255
    wide = center_crop(picture, into=ModelInput(64, 32, fit="center_crop"))
    assert wide.shape == (32, 64, 3)
    assert (wide[:, :30].max(), wide[:, 34:].min()) == (0, 255)


def test_likely_classes_are_objects_as_large_as_the_picture():
    answer = seen([0.2, 0.77, 0.03])
    assert [one.class_index for one in answer.detections] == [1, 0]
    first = answer.detections[0]
    assert (first.x1, first.y1, first.x2, first.y2) == (0, 0, 8, 6)
    assert answer.probabilities == pytest.approx([0.2, 0.77, 0.03])


def test_no_more_classes_are_listed_than_the_bundle_allows():
    assert len(seen([0.4, 0.3, 0.3], most=2).detections) == 2


@pytest.mark.parametrize("wrong", [[np.nan, 0.5], [-0.1, 0.5], [1.2, 0.1]])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(BrokenAnswer, match="outside 0 to 1"):
        seen(wrong)
