"""Geometry: bounds, rounding, turning, and masks against COCO's own implementation."""

import hypothesis.strategies as st
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_masks

from sightloop.datasets.boxes import overshoot_px, upright
from sightloop.datasets.errors import EmptyBox, FarAway
from sightloop.datasets.geometry import (
    BoxPx,
    Geometry,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
    area_of,
    bounds_of,
    rounded,
    shift_px,
)
from sightloop.datasets.masks import (
    bounds_of_runs,
    canonical,
    compressed,
    decoded,
    encoded,
    runs_of,
    turned_mask,
)
from sightloop.kernel.digests import canonical_json

SIZE = SizePx(40, 30)
numbers = st.floats(0, 30, width=32)
points = st.lists(numbers, min_size=6, max_size=12).filter(lambda one: len(one) % 2 == 0)
pixels = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))

EXAMPLES = [
    BoxPx(1, 2, 3, 4),
    PolygonPx(1, 2, 5, 6, ((1, 2, 5, 2, 5, 6),)),
    MaskPx(0, 0, 2, 1, "325"),
    KeypointsPx(1, 2, 9, 9, (3, 4, 2, 0, 0, 0)),
    OrientedBoxPx((2, 0, 4, 2, 2, 4, 0, 2)),
    WholeImage(),
]


@pytest.mark.parametrize("geometry", EXAMPLES)
def test_every_geometry_comes_back_from_its_row(geometry):
    row = canonical_json(rounded(geometry))
    assert msgspec.json.decode(row, type=Geometry) == geometry


@pytest.mark.parametrize(
    "make",
    [
        lambda: BoxPx(0, 0, 2e9, 1),
        lambda: BoxPx(-2e9, 0, 1, 1),
        lambda: OrientedBoxPx((0, 0, 2e9, 0, 1, 1, 0, 1)),
        lambda: rounded(PolygonPx(0, 0, 1, 1, ((0, 0, 1e308, 0, 1, 1),))),
        lambda: rounded(KeypointsPx(0, 0, 1, 1, (float("inf"), 0, 2))),
    ],
)
def test_no_geometry_lies_beyond_every_image(make):
    with pytest.raises(FarAway, match="lies on no image") as caught:
        make()
    assert caught.value.code == "DATA-034"


@pytest.mark.parametrize("kind", [BoxPx, PolygonPx, MaskPx, KeypointsPx])
def test_no_geometry_has_a_box_without_area(kind):
    rest = {PolygonPx: [()], MaskPx: [""], KeypointsPx: [()]}.get(kind, [])
    with pytest.raises(EmptyBox):
        kind(1, 1, 1, 5, *rest)


def test_an_oriented_box_without_area_is_refused():
    with pytest.raises(EmptyBox):
        OrientedBoxPx((1, 1, 2, 1, 2, 1, 1, 1))


def test_only_a_whole_image_has_no_bounds_and_covers_all():
    assert [bounds_of(one) is None for one in EXAMPLES] == [False] * 5 + [True]
    assert area_of(WholeImage(), SIZE) == 40 * 30


@given(points)
def test_rounding_twice_is_rounding_once(ring):
    once = rounded(PolygonPx(0, 0, 30, 30, (tuple(ring),)))
    assert rounded(once) == once


@given(st.integers(1, 8), points)
def test_turning_keeps_every_point_inside(orientation, ring):
    before = PolygonPx(0, 0, 40, 30, (tuple(ring),))
    after = upright(before, SIZE, orientation=orientation)
    size = SizePx(30, 40) if orientation > 4 else SIZE
    assert overshoot_px(after, size) == 0
    assert area_of(after) == area_of(before)


def test_a_moved_point_counts_even_inside_equal_bounds():
    before = PolygonPx(0, 0, 9, 9, ((0, 0, 9, 0, 9, 9),))
    after = PolygonPx(0, 0, 9, 9, ((0, 0, 9, 0, 6.5, 9),))
    assert shift_px(before, after) == 2.5


@given(pixels)
def test_masks_are_written_as_coco_writes_them(mask):
    theirs = coco_masks.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert compressed(encoded(mask)) == theirs
    height_px, width_px = mask.shape
    assert (decoded(runs_of(theirs), SizePx(width_px, height_px)) == mask).all()


@given(pixels)
def test_the_box_of_a_mask_is_that_of_its_pixels(mask):
    height_px, width_px = mask.shape
    runs = encoded(mask)
    box = bounds_of_runs(runs, SizePx(width_px, height_px))
    x, y, width, height = coco_masks.toBbox(coco_masks.encode(np.asfortranarray(mask, np.uint8)))
    assert box == (BoxPx(x, y, x + width, y + height) if mask.any() else None)


@given(st.lists(st.integers(0, 5), max_size=9))
def test_canonical_runs_mean_the_same_pixels(runs):
    size = SizePx(1, sum(runs))
    assert (decoded(canonical(runs), size) == decoded(runs, size)).all()
    assert 0 not in canonical(runs)[1:]


@pytest.mark.parametrize("text", ["z~", "é", "P", "0/"])
def test_texts_that_are_no_run_lengths_are_refused(text):
    with pytest.raises(ValueError, match=r"run|character"):
        runs_of(text)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_mask_is_the_mask_of_the_turned_pixels(orientation):
    mask = np.zeros((3, 5), bool)
    mask[0, 1:3] = True
    counts = turned_mask(compressed(encoded(mask)), SizePx(5, 3), orientation=orientation)
    size = SizePx(3, 5) if orientation > 4 else SizePx(5, 3)
    box = upright(BoxPx(1, 0, 3, 1), SizePx(5, 3), orientation=orientation)
    assert bounds_of_runs(runs_of(counts), size) == box
