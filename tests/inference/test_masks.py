"""Runs, pixels and outlines tell of the same mask."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import ModelInput
from sightloop.contracts.shapes import Mask
from sightloop.inference.geometry import place
from sightloop.inference.masks import Part, Pixels, decode_mask, encode_mask, masks_of, overlap_of

HEIGHT, WIDTH = 7, 6
INPUT = ModelInput(64, 64)


@st.composite
def parts(draw):
    left, top = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    width, height = draw(st.integers(1, WIDTH - left)), draw(st.integers(1, HEIGHT - top))
    bits = draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
    return Part(left, top, np.array(bits, dtype=bool).reshape(height, width))


def whole(part: Part) -> Pixels:
    pixels = np.zeros((HEIGHT, WIDTH), dtype=bool)
    height, width = part.pixels.shape
    pixels[part.top_px : part.top_px + height, part.left_px : part.left_px + width] = part.pixels
    return pixels


@given(parts())
def test_the_runs_of_a_mask_give_back_its_pixels(part):
    mask = encode_mask(part, height_px=HEIGHT, width_px=WIDTH)
    assert np.array_equal(decode_mask(mask), whole(part))
    assert sum(mask.runs) == HEIGHT * WIDTH
    assert all(run > 0 for run in mask.runs[1:])


@given(parts(), parts())
def test_overlap_is_what_counting_pixels_gives(one, other):
    masks = [encode_mask(part, height_px=HEIGHT, width_px=WIDTH) for part in (one, other)]
    first, second = whole(one), whole(other)
    union = (first | second).sum()
    expected = (first & second).sum() / union if union else 1.0
    assert overlap_of(*masks) == expected


def test_a_rectangle_has_one_outline_of_four_points_in_the_picture():
    mask = encode_mask(Part(2, 3, np.ones((3, 2), dtype=bool)), height_px=HEIGHT, width_px=WIDTH)
    assert sorted(zip(mask.rings[0][0::2], mask.rings[0][1::2], strict=True)) == [
        (2, 3), (2, 5), (3, 3), (3, 5),
    ]  # fmt: skip


def test_a_mask_with_a_hole_keeps_the_hole_in_its_pixels():
    pixels = np.ones((5, 5), dtype=bool)
    pixels[2, 2] = False
    mask = encode_mask(Part(0, 0, pixels), height_px=5, width_px=5)
    assert mask == Mask(5, 5, [0, 12, 1, 12], mask.rings)
    assert (len(mask.rings), mask.n_pixels) == (1, 24)


def test_a_mask_ends_at_the_box_of_its_object():
    placement = place(128, 128, into=INPUT)
    everywhere = np.ones((1, 16, 16), dtype=np.float32)
    corners = np.array([[10.5, 20.0, 30.5, 40.0]], dtype=np.float32)
    (part,) = masks_of(np.ones((1, 1), dtype=np.float32), everywhere, corners, placement)
    assert (part.left_px, part.top_px, part.pixels.shape) == (11, 20, (20, 20))
    assert part.pixels.all()


def test_a_mask_of_a_wide_picture_is_not_shifted_by_its_padding():
    placement = place(128, 64, into=INPUT)  # lies at rows 16 to 48 of the input
    sums = np.full((1, 16, 16), -1, dtype=np.float32)
    sums[:, 4:8] = 1  # input rows 16 to 32: the upper half of the picture
    corners = np.array([[0, 0, 128, 64]], dtype=np.float32)
    (part,) = masks_of(np.ones((1, 1), dtype=np.float32), sums, corners, placement)
    assert part.pixels[:30].all()
    assert not part.pixels[34:].any()
