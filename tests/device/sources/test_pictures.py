import numpy as np
import pytest

from sightloop.device.sources.pictures import usable

NOISE = np.random.default_rng(1).integers(0, 255, (32, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "a string",
        np.zeros((32, 48, 3), np.uint8),
        np.full((32, 48, 3), 128, np.uint8),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((4, 48, 3), np.uint8),
        NOISE[:, :, :2],
        NOISE.astype(np.float32),
        NOISE[None],
        np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8),
    ],
    ids=[
        "none",
        "no array",
        "black",
        "grey",
        "empty",
        "thin",
        "2 channels",
        "float",
        "4-d",
        "huge",
    ],
)
def test_garbage_is_no_picture(garbage: object):
    assert usable(garbage, max_pixels=10_000) is None


def test_one_pixel_that_differs_makes_a_picture():
    dark = np.zeros((33, 49, 3), np.uint8)
    dark[31, 1, 2] = 1
    assert usable(dark, max_pixels=10_000) is not None


def test_grey_deep_and_transparent_pictures_become_blue_green_red():
    grey = usable(NOISE[:, :, 0], max_pixels=10_000)
    deep = usable(NOISE.astype(np.uint16) << 8, max_pixels=10_000)
    clear = usable(np.dstack([NOISE, NOISE[:, :, 0]]), max_pixels=10_000)
    assert grey is not None
    assert grey.shape == (32, 48, 3)
    assert (grey[:, :, 2] == NOISE[:, :, 0]).all()
    for same in (deep, clear):
        assert same is not None
        assert same.dtype == np.uint8
        assert (same == NOISE).all()
