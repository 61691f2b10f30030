"""Descriptors are close for images that look alike, and only for those."""

import math

import cv2
import numpy as np
import pytest

from sightloop.inference.descriptor import N_NUMBERS, descriptor
from sightloop.inference.images import decode_picture
from sightloop.testing.models import draw_blob_image


def scene(seed, *, hue=None):
    """Some rectangles on a grey ground: other seeds show other things."""
    rng = np.random.default_rng(seed)
    made = np.full((240, 320, 3), int(rng.integers(40, 200)), dtype=np.uint8)
    for _ in range(8):
        x, y = (int(n) for n in rng.integers(0, 240, 2))
        colour = [int(n) for n in rng.integers(0, 255, 3)]
        cv2.rectangle(made, (x, y), (x + 60, y + 40), colour, -1)
    return made


def likeness(first, second):
    return float(np.dot(descriptor(first), descriptor(second)))


def compressed(picture, quality):
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return decode_picture(encoded.tobytes(), name="a")


def brightened(picture):
    return np.clip(picture * 1.1, 0, 255).astype(np.uint8)


def noisy(picture):
    grain = np.random.default_rng(0).normal(0, 8, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


CHANGES = {
    "the same": lambda picture: picture.copy(),
    "compressed": lambda picture: compressed(picture, 30),
    "shifted": lambda picture: np.roll(picture, 4, axis=1),
    "brightened": brightened,
    "noisy": noisy,
    "half as large": lambda picture: cv2.resize(picture, None, fx=0.5, fy=0.5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_scene_stays_close(change):
    for seed in range(5):
        assert likeness(scene(seed), CHANGES[change](scene(seed))) > 0.985


def test_other_scenes_are_further_than_any_harmless_change():
    others = [likeness(scene(0), scene(seed)) for seed in range(1, 20)]
    assert max(others) < 0.985


def test_other_patterns_of_equal_layout_are_told_apart():
    def stripes(axis):
        made = np.full((64, 64, 3), 60, dtype=np.uint8)
        made[(slice(None),) * axis + (slice(None, None, 8),)] = 200
        return made

    assert likeness(stripes(0), stripes(1)) < 0.97


@pytest.mark.parametrize("value", [0, 127, 128, 255])
def test_every_picture_has_a_descriptor_of_unit_length(value):
    for shape in ((1, 1, 3), (7, 300, 3), (64, 64, 3)):
        numbers = descriptor(np.full(shape, value, dtype=np.uint8))
        assert len(numbers) == N_NUMBERS
        assert math.hypot(*numbers) == pytest.approx(1)


def test_two_drawn_parts_with_one_light_are_closer_than_with_another():
    rng = np.random.default_rng(3)
    plain = [decode_picture(draw_blob_image(rng).content, name="a") for _ in range(2)]
    dark = (plain[1] * 0.3).astype(np.uint8)
    assert likeness(*plain) > likeness(plain[0], dark)
