"""What COCO files keep comes back exactly; what they do not keep is counted."""

import contextlib
import io
import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pycocotools import mask as oracle
from pycocotools.coco import COCO

from sightloop.datasets.geometry import BoxPx, KeypointsPx, MaskPx, PolygonPx, SizePx, WholeImage
from sightloop.datasets.masks import area_px2, compressed, decoded, runs_of

SIZE = SizePx(33, 21)
relaxed = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@relaxed
@given(data=st.data())
def test_all_that_coco_can_say_comes_back_with_an_equal_root(rounds, labels_of, data):
    facts = st.dictionaries(
        st.sampled_from(["occluded", "score", "note"]),
        st.booleans() | st.integers(-5, 5) | st.floats(-1e9, 1e9) | st.text(max_size=3),
        max_size=2,
    )
    crowd = st.sampled_from([{}, {}, {"iscrowd": True}])
    facts = st.tuples(facts, crowd).map(lambda two: {**two[0], **two[1]})
    way = rounds()
    samples = [
        way.sample(
            seed,
            data.draw(labels_of("box", "polygon", "mask", "keypoints", facts=facts)),
            reserved=data.draw(st.sampled_from([None, "train", "val", "test", "audit"])),
            labelled_for=data.draw(st.sampled_from([[], ["hole"], ["hole", "spot"]])),
            split_key=data.draw(st.sampled_from(["a", "b", f"key {seed}"])) + str(seed),
            slices={"line": data.draw(st.sampled_from(["A", "B"]))},
        )
        for seed in range(data.draw(st.integers(1, 3)))
    ]
    went = way.go(samples, strict=True)
    assert went.exported.not_kept == {}
    assert went.imported.notes == []
    assert went.roots_equal


@relaxed
@given(data=st.data())
def test_where_nothing_is_counted_as_lost_nothing_is_lost(rounds, labels_of, data):
    way = rounds()
    every = ("box", "polygon", "mask", "keypoints", "oriented", "image")
    fields = st.sampled_from(["line", "split", "id", "width"])
    slices = data.draw(st.dictionaries(fields, st.just("1")))
    facts = st.dictionaries(
        st.sampled_from(["area", "iscrowd", "bbox", "segmentation", "id", "x"]),
        st.booleans() | st.just(1) | st.just(40.5) | st.sampled_from(["", "[]", "{}", "[1]", "["]),
    )
    samples = [
        way.sample(
            seed,
            data.draw(labels_of(*every, facts=facts, max_size=3)),
            slices=slices,
            file_name=data.draw(st.sampled_from([f"{seed}.jpg", "same.jpg", "../up.jpg"])),
            tags=data.draw(st.sampled_from([[], [], ["odd"]])),
            quarantined=data.draw(st.sampled_from([False, False, True])),
            reserved=data.draw(st.sampled_from([None, "train"])),
        )
        for seed in range(data.draw(st.integers(1, 3)))
    ]
    went = way.go(samples)
    assert went.roots_equal or went.exported.not_kept


@pytest.mark.parametrize(
    ("facts", "shape"),
    [
        ({"area": 100.0}, BoxPx(0, 0, 10, 10)),  # that of the box
        ({"iscrowd": False}, BoxPx(0, 0, 10, 10)),
        ({"bbox": "x"}, BoxPx(0, 0, 10, 10)),
        ({"segmentation": "[[1,2,3,4,5,6]]"}, BoxPx(0, 0, 10, 10)),
    ],
)
def test_attributes_that_mean_something_else_in_coco_are_counted(rounds, facts, shape):
    way = rounds()
    went = way.go([way.sample(0, [("spot", shape, facts)])])
    assert went.exported.not_kept == {f"attribute {next(iter(facts))!r}": 1}
    assert went.second[0].annotations[0].geometry == shape


def test_splits_are_written_with_each_image(rounds):
    way = rounds()
    samples = [way.sample(n, [], reserved=r) for n, r in enumerate(["test", "audit", None])]
    went = way.go(samples)
    images = json.loads(Path(went.exported.source).read_text())["images"]
    assert {one["file_name"]: one.get("split") for one in images} == {
        "0.jpg": "test",
        "1.jpg": "audit",
        "2.jpg": None,
    }
    assert went.roots_equal


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@relaxed
@given(data=st.data())
def test_pycocotools_finds_the_areas_boxes_and_pixels_that_were_written(rounds, shapes, data):
    way = rounds()
    shape = data.draw(st.one_of(shapes["box"], shapes["polygon"], shapes["mask"]))
    went = way.go([way.sample(0, [("spot", shape, {})])])
    coco = quiet(COCO, went.exported.source)
    (found,) = coco.loadAnns(coco.getAnnIds())
    assert found["bbox"] == pytest.approx(
        [shape.x1, shape.y1, shape.x2 - shape.x1, shape.y2 - shape.y1], abs=1e-9
    )
    if isinstance(shape, MaskPx):
        encoded = coco.annToRLE(found)
        assert found["area"] == oracle.area(encoded)
        assert list(found["bbox"]) == list(oracle.toBbox(encoded))
        runs = runs_of(shape.counts)
        assert np.array_equal(coco.annToMask(found), decoded(runs, SIZE))
    elif isinstance(shape, PolygonPx) and len(shape.rings) == 1:
        assert is_near_pixel_count(coco.annToMask(found).sum(), found["area"], shape.rings[0])
    elif isinstance(shape, BoxPx):
        assert found["area"] == pytest.approx((shape.x2 - shape.x1) * (shape.y2 - shape.y1))


@relaxed
@given(data=st.data())
def test_masks_of_pycocotools_are_read_pixel_for_pixel(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pixels = rng.random((21, 33)) < data.draw(st.floats(0, 1))
    theirs = oracle.encode(np.asfortranarray(pixels.astype(np.uint8)))
    runs = runs_of(theirs["counts"].decode())
    assert np.array_equal(decoded(runs, SIZE), pixels)
    assert area_px2(runs) == oracle.area(theirs)
    assert compressed(runs) == theirs["counts"].decode()


def test_a_polygon_has_the_area_inside_and_a_whole_image_no_record(rounds):
    way = rounds()
    triangle = PolygonPx(0, 0, 8, 6, ((0, 0, 8, 0, 8, 6),))
    points = KeypointsPx(1, 1, 5, 5, (2, 2, 2, 0, 0, 0))
    labels = [("spot", triangle, {}), ("hole", WholeImage(), {}), ("hole", points, {})]
    went = way.go([way.sample(0, labels)])
    records = json.loads(Path(went.exported.source).read_text())["annotations"]
    assert sorted(one["area"] for one in records) == [16, 24]
    assert went.exported.not_kept == {"class of a whole image": 1}


def quiet(make, *args):
    with contextlib.redirect_stdout(io.StringIO()):
        return make(*args)


def is_near_pixel_count(n_pixels, area_px2, ring):
    """Whether an outline that does not cross itself covers about as many pixels."""
    length = sum(
        abs(ring[at] - ring[at - 2]) + abs(ring[at + 1] - ring[at - 1])
        for at in range(0, len(ring), 2)
    )
    # One that does cross itself has no area in the sense of the formula: only triangles are sure.
    return len(ring) > 6 or abs(n_pixels - area_px2) <= length + 4
