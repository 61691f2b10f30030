"""YOLO files lead back to the same thousandths of a pixel; what has no place in them is counted."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from sightloop.datasets.formats.yolo_rows import n_digits_for, row_of, written
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
    rounded,
)
from sightloop.datasets.masks import compressed

relaxed = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TRIANGLE = PolygonPx(0, 0, 8, 6, ((0, 0, 8, 0, 8, 6),))
POINTS = KeypointsPx(1, 1, 9, 9, (2, 2, 2, 0, 0, 0))
TURNED = OrientedBoxPx((5, 1, 9, 5, 5, 9, 1, 5))


def told(samples):
    """What labels say of each sample, without identities."""
    return {
        one.id: (
            one.image,
            one.reserved,
            sorted((each.class_id, repr(each.geometry)) for each in one.annotations),
        )
        for one in samples
    }


@pytest.mark.parametrize(
    ("format_", "names"),
    [
        ("yolo-detect", ["box"]),
        ("yolo-segment", ["outline"]),
        ("yolo-pose", ["box", "keypoints"]),
        ("yolo-obb", ["oriented"]),
        ("yolo-ndjson", ["keypoints"]),
        ("yolo-ndjson", ["outline"]),
        ("yolo", ["oriented"]),
    ],
)
@relaxed
@given(data=st.data())
def test_what_a_task_can_say_comes_back_to_the_same_thousandth(
    rounds, labels_of, data, format_, names
):
    way = rounds()
    samples = [
        way.sample(
            seed,
            data.draw(labels_of(*names, facts=st.just({}))),
            file_name=f"{split}/{seed}.jpg"
            if format_ != "yolo-ndjson"
            else f"images/{split}/{seed}.jpg",
            reserved=split,
        )
        for seed, split in enumerate(
            ["train", "val", "test", "audit" if format_ != "yolo-ndjson" else "val"]
        )
    ]
    went = way.go(samples, format=format_, strict=True)
    assert went.exported.not_kept == {}
    assert told(went.first) == told(went.second)
    assert went.roots_equal


@given(width_px=st.integers(1, 20_000), height_px=st.integers(1, 20_000), data=st.data())
def test_shares_with_few_digits_lead_back_to_every_corner(width_px, height_px, data):
    size = SizePx(width_px, height_px)
    grid = [st.integers(0, side * 1000 - 1).map(lambda n: n / 1000) for side in size]
    x1, y1 = (data.draw(one) for one in grid)
    box = rounded(BoxPx(x1, y1, x1 + data.draw(grid[0]) + 0.001, y1 + data.draw(grid[1]) + 0.001))
    shares = [float(written(n, n_digits_for(size))) for n in row_of(box, "detect", size, None)[0]]
    cx, cy, w, h = (one * side for one, side in zip(shares, (*size, *size), strict=True))
    assert rounded(BoxPx(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)) == box
    assert n_digits_for(size) <= 8


@pytest.mark.parametrize(
    ("shapes", "task"),
    [
        ([BoxPx(0, 0, 9, 9)], "detect"),
        ([BoxPx(0, 0, 9, 9), TRIANGLE, WholeImage()], "segment"),
        ([BoxPx(0, 0, 9, 9), BoxPx(0, 0, 9, 8), POINTS], "pose"),
        ([TURNED, TURNED, POINTS], "obb"),
        ([], "detect"),
    ],
)
def test_the_task_is_the_one_that_keeps_most(rounds, shapes, task):
    way = rounds()
    labels = [("spot", one, {"n": n}) for n, one in enumerate(shapes)]
    went = way.go([way.sample(0, labels)], format="yolo")
    assert yaml.safe_load(Path(went.exported.source).read_text())["task"] == task


def test_images_lie_in_their_splits_and_audit_in_no_list(rounds):
    way = rounds()
    samples = [
        way.sample(0, [], reserved="train"),
        way.sample(1, [("hole", BoxPx(1, 2, 3, 4.5), {})], reserved="val"),
        way.sample(2, [], reserved="audit"),
        way.sample(3, [], quarantined=True),
    ]
    went = way.go(samples, format="yolo")
    folder = Path(went.exported.source).parent
    files = sorted(p.relative_to(folder).as_posix() for p in paths(folder) if p.is_file())
    assert files == [
        "data.yaml",
        "images/audit/2.jpg",
        "images/train/0.jpg",
        "images/val/1.jpg",
        "labels/audit/2.txt",
        "labels/train/0.txt",
        "labels/val/1.txt",
    ]
    text = Path(went.exported.source).read_text()
    assert text.startswith("# audit: images/audit\n# These images were drawn at random")
    assert yaml.safe_load(text) == {
        "train": "images/train",
        "val": "images/val",
        "task": "detect",
        "names": {0: "hole", 1: "spot"},
    }
    assert went.exported.n_images == 3
    assert went.exported.not_kept == {"file name": 3, "quarantine": 1}
    assert went.imported.problems == []
    assert {one.reserved for one in went.second} == {"train", "val", "audit"}


def paths(folder):
    return Path(folder).rglob("*")


def test_names_that_would_share_labels_or_hide_are_changed_and_counted(rounds):
    way = rounds()
    names = ["a.jpg", "a.png", "noending", ".hidden.jpg", "x/images/y.jpg"]
    samples = [way.sample(n, [], file_name=name) for n, name in enumerate(names)]
    went = way.go(samples, format="yolo")
    assert len(went.second) == 5
    assert went.imported.problems == []
    labels = [one for one in paths(Path(went.exported.source).parent) if one.suffix == ".txt"]
    assert len(labels) == 5
    assert went.exported.not_kept["file name"] == 5


@pytest.mark.parametrize(
    ("format_", "shape", "lost"),
    [
        ("yolo-detect", TRIANGLE, "outline"),
        ("yolo-detect", TURNED, "turn of an oriented box"),
        ("yolo-segment", BoxPx(0, 0, 9, 9), "box, written as an outline"),
        ("yolo-segment", MaskPx(2, 3, 4, 8, compressed([45, 5, 16, 5, 622])), "mask, written as"),
        (
            "yolo-segment",
            PolygonPx(0, 0, 9, 9, ((0, 0, 2, 0, 2, 2), (5, 5, 9, 5, 9, 9))),
            "rings of one outline, joined by a line",
        ),
        ("yolo-segment", PolygonPx(0, 0, 9, 9, TRIANGLE.rings), "box of an outline"),
        ("yolo-obb", BoxPx(0, 0, 9, 9), "box, written as an oriented box"),
        ("yolo-obb", WholeImage(), "class of a whole image"),
    ],
)
def test_what_a_task_cannot_say_is_counted(rounds, format_, shape, lost):
    way = rounds()
    went = way.go([way.sample(0, [("spot", shape, {})])], format=format_)
    assert any(name.startswith(lost) for name in went.exported.not_kept), went.exported.not_kept


def test_a_mask_becomes_an_outline_that_is_hardly_off(rounds):
    way = rounds()
    mask = MaskPx(2, 3, 4, 8, compressed([45, 5, 16, 5, 622]))
    went = way.go([way.sample(0, [("spot", mask, {})])], format="yolo")
    (found,) = went.second[0].annotations
    corners = (found.geometry.x1, found.geometry.y1, found.geometry.x2, found.geometry.y2)
    assert corners == pytest.approx((2, 3, 4, 8), abs=0.26)


def test_crowds_and_attributes_have_no_place(rounds):
    way = rounds()
    labels = [
        ("spot", BoxPx(0, 0, 9, 9), {"iscrowd": True}),
        ("spot", BoxPx(0, 0, 5, 5), {"occluded": True}),
    ]
    went = way.go([way.sample(0, labels, reserved="train")], format="yolo")
    assert went.exported.not_kept == {"attribute 'occluded'": 1, "file name": 1, "iscrowd": 1}
    assert [len(one.annotations) for one in went.second] == [1]


def test_class_folders_come_back_with_an_equal_root(rounds):
    way = rounds()
    samples = [
        way.sample(
            n,
            [(name, WholeImage(), {})],
            reserved=split,
            file_name=f"{split}/{name}/{n}.jpg",
        )
        for n, (name, split) in enumerate([("hole", "train"), ("spot", "train"), ("spot", "val")])
    ]
    went = way.go(samples, format="yolo", read="auto", strict=True)
    assert went.exported.not_kept == {}
    assert went.roots_equal


def test_images_without_a_class_have_no_class_folder(rounds):
    way = rounds()
    two = [("hole", WholeImage(), {}), ("spot", WholeImage(), {})]
    samples = [way.sample(0, two), way.sample(1, []), way.sample(2, [("spot", TURNED, {})])]
    went = way.go(samples, format="yolo-classify")
    assert went.exported.n_images == 1
    lost = went.exported.not_kept
    assert (lost["image without a class"], lost["object with a place"]) == (2, 1)
    assert lost["second class of an image"] == 1


def test_whole_image_classes_go_through_ndjson(rounds):
    way = rounds()
    samples = [way.sample(n, [("spot", WholeImage(), {})], reserved="train") for n in range(2)]
    went = way.go(samples, format="yolo-ndjson", strict=True)
    assert told(went.first) == told(went.second)
