"""Label Studio's brush strokes, bit by bit."""

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from sightloop.datasets.formats.brushes import pixels_in, stream_of
from sightloop.datasets.geometry import SizePx

masks = npst.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def packed(*pieces):
    """Bytes of the (value, number of bits) pairs."""
    text = "".join(f"{value:0{n_bits}b}" for value, n_bits in pieces)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


HEAD = [(7, 5), (2, 4), (3, 4), (7, 4), (15, 4)]


@given(masks)
def test_a_mask_comes_back_from_its_stream(pixels):
    size = SizePx(pixels.shape[1], pixels.shape[0])
    assert (pixels_in(stream_of(pixels), size) == pixels).all()


def test_a_long_run_is_written_in_portions():
    pixels = np.zeros((300, 300), np.bool_)
    pixels[10:, :] = True
    assert (pixels_in(stream_of(pixels), SizePx(300, 300)) == pixels).all()


def test_runs_and_single_words_are_read_by_the_alpha_channel():
    words = [(9, 8), (9, 8), (9, 8), (255, 8)]
    stream = packed((8, 32), *HEAD, (0, 1), (0, 2), (3, 3), *words, (1, 1), (1, 2), (3, 4), (0, 8))
    assert pixels_in(stream, SizePx(2, 1)).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        ([], "ends too early"),
        ([1, "a"], "no list of bytes"),
        ([300], "no list of bytes"),
        (packed((4, 32), *HEAD), "another number of bytes"),
        (packed((2**32 - 1, 32), *HEAD), "another number of bytes"),
        (packed((8, 32), *HEAD, (1, 1), (3, 2), (99, 16), (0, 8)), "beyond the image"),
        (packed((8, 32), *HEAD, (0, 1), (0, 2), (7, 3)), "ends too early"),
    ],
)
def test_a_stream_that_is_none_is_refused(stream, why):
    with pytest.raises(ValueError, match=why):
        pixels_in(stream, SizePx(2, 1))
