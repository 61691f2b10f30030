"""Boxes go into the model's input and come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import ModelInput
from sightloop.inference.geometry import place, to_image, to_input
from sightloop.inference.letterbox import letterbox, to_tensor

sides_px = st.integers(1, 4000)
inputs = st.builds(ModelInput, st.integers(1, 20).map(lambda n: 32 * n), st.just(96))
shares = st.tuples(*[st.floats(0, 1)] * 4)


@given(sides_px, sides_px, inputs, shares)
def test_a_box_inside_the_image_survives_the_round_trip(width_px, height_px, into, corners):
    box = np.array([corners], dtype=np.float32) * [width_px, height_px, width_px, height_px]
    placement = place(width_px, height_px, into=into)
    returned = to_image(to_input(box.astype(np.float32), placement), placement)
    assert np.abs(returned - box).max() < 1e-3 * max(width_px, height_px, 1)


@given(sides_px, sides_px, inputs)
def test_the_picture_fills_one_side_and_lies_in_the_middle(width_px, height_px, into):
    placement = place(width_px, height_px, into=into)
    right_px = into.width_px - placement.left_px - placement.width_px
    below_px = into.height_px - placement.top_px - placement.height_px
    assert min(placement.left_px, placement.top_px) == 0
    assert right_px - placement.left_px in (0, 1)
    assert below_px - placement.top_px in (0, 1)


@given(sides_px, sides_px, st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 4))
def test_no_box_leaves_the_image(width_px, height_px, corners):
    placement = place(width_px, height_px, into=ModelInput(160, 96))
    x1, y1, x2, y2 = to_image(np.array([corners], dtype=np.float32), placement)[0]
    assert 0 <= x1 <= width_px
    assert 0 <= x2 <= width_px
    assert 0 <= y1 <= height_px
    assert 0 <= y2 <= height_px


def test_what_surrounds_the_picture_has_the_padding_value():
    white = np.full((10, 40, 3), 255, dtype=np.uint8)
    into = ModelInput(width_px=32, height_px=32, pad_value=7)
    padded = letterbox(white, place(40, 10, into=into), into=into)
    assert padded[12:20].min() == 255
    assert set(np.unique(padded[:12])) == set(np.unique(padded[20:])) == {7}


def test_a_tensor_is_red_green_blue_between_0_and_1():
    blue = np.zeros((2, 3, 3), dtype=np.uint8)
    blue[:, :, 0] = 255
    tensor = to_tensor(blue)
    assert (tensor.shape, tensor.dtype) == ((1, 3, 2, 3), np.float32)
    assert tensor[0, :, 0, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("value", [1, 77, 254])
def test_a_tensor_is_divided_as_in_training(value):
    pixel = np.full((1, 1, 3), value, dtype=np.uint8)
    assert to_tensor(pixel)[0, 0, 0, 0] == np.float32(value) / np.float32(255)
