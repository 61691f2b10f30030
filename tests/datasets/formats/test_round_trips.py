"""What a commit holds, written in a format and read again, is what it was."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from sightloop.datasets.changes import Change
from sightloop.datasets.drafts import Target, commit_change
from sightloop.datasets.exporting import ExportDataset, export_dataset
from sightloop.datasets.formats.turned_boxes import TurnedBox
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
    enclosing,
    rounded,
)
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.masks import bounds_of_runs, compressed, encoded
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.values import (
    LabelledObject,
    Taxonomy,
    TaxonomyClass,
    imported_annotations,
)
from sightloop.kernel.blobs import BlobMissing
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace

SIZE = SizePx(32, 24)
CLASSES = [
    TaxonomyClass(id="spot", name="Spot"),
    TaxonomyClass(id="bird", name="bird", keypoints=["beak", "eye", "tail"], skeleton=[(0, 1)]),
    TaxonomyClass(id="a-b", name='a < "b"'),
]
EVERYTHING = ("box", "polygon", "mask", "keypoints", "whole image")
FORMATS = {"voc": ("box",), "cvat": EVERYTHING, "label-studio": EVERYTHING, "dvc": ("box",)}

xs, ys = (st.integers(0, side * 1000).map(lambda one: one / 1000) for side in SIZE)


@st.composite
def boxes(draw):
    x1, x2 = sorted(draw(st.tuples(xs, xs)))
    y1, y2 = sorted(draw(st.tuples(ys, ys)))
    assume(x2 - x1 > 1 and y2 - y1 > 1)
    return BoxPx(x1, y1, x2, y2)


@st.composite
def polygons(draw):
    ring = st.lists(st.tuples(xs, ys), min_size=3, max_size=5)
    rings = tuple(sum(one, ()) for one in draw(st.lists(ring, min_size=1, max_size=3)))
    points = sum(rings, ())
    assume(min(points[0::2]) < max(points[0::2]) and min(points[1::2]) < max(points[1::2]))
    box = enclosing(points)
    return PolygonPx(box.x1, box.y1, box.x2, box.y2, rings)


@st.composite
def masks(draw):
    pixels = np.zeros((24, 32), bool)
    for _ in range(draw(st.integers(1, 3))):
        x, y = draw(st.integers(0, 31)), draw(st.integers(0, 23))
        pixels[y : y + draw(st.integers(1, 9)), x : x + draw(st.integers(1, 9))] = True
    runs = encoded(pixels)
    box = bounds_of_runs(runs, SIZE)
    return MaskPx(box.x1, box.y1, box.x2, box.y2, compressed(runs))


@st.composite
def keypoints(draw):
    points = [draw(st.tuples(xs, ys, st.sampled_from([1.0, 2.0]))) for _ in range(3)]
    if draw(st.booleans()):
        points[draw(st.integers(0, 2))] = (0.0, 0.0, 0.0)
    seen = sum((one[:2] for one in points if one[2]), ())
    assume(min(seen[0::2]) < max(seen[0::2]) and min(seen[1::2]) < max(seen[1::2]))
    box = enclosing(seen)
    return KeypointsPx(box.x1, box.y1, box.x2, box.y2, sum(points, ()))


GEOMETRIES = {
    "box": boxes(),
    "polygon": polygons(),
    "mask": masks(),
    "keypoints": keypoints(),
    "whole image": st.just(WholeImage()),
}
values = st.booleans() | st.integers(-99, 99) | st.floats(-1e6, 1e6) | st.text("abc dé", max_size=5)
attributes = st.dictionaries(st.sampled_from(["truncated", "note", "pose", "n"]), values)


@st.composite
def objects(draw, kinds):
    kind = draw(st.sampled_from(kinds))
    named = ["bird"] if kind == "keypoints" else ["spot", "a-b"]
    kept = {} if kind == "whole image" else draw(attributes)
    return LabelledObject(draw(st.sampled_from(named)), draw(GEOMETRIES[kind]), kept)


def round_trip(root, make_sample, jpeg, labels, fmt, **fields):
    """The commit's samples, what the export said, and the samples after the import."""
    workspace = fresh_workspace(root / "workspace")
    samples = []
    for seed, found in enumerate(labels):
        sample = make_sample(
            seed,
            image=workspace.blobs.put(jpeg(seed)),
            labelled_for=sorted(one.id for one in CLASSES),
            file_name=f"in/{seed}.jpg",
            **fields,
        )
        annotations = imported_annotations(sample.id, found)
        samples.append(type(sample)(**{**_fields(sample), "annotations": annotations}))
    target = Target("main", "m")
    commit_change(
        workspace, LOCAL_CALL, target=target, change_on=lambda _: Change(samples, Taxonomy(CLASSES))
    )
    request = ExportDataset(ref="main", folder=str(root / "out"), format=fmt)
    exported = export_dataset(workspace, LOCAL_CALL, request)
    again = ImportDataset(
        source=exported.source,
        branch="again",
        split_key="split_key",
        slice_fields=exported.slice_fields,
    )
    imported = import_dataset(workspace, LOCAL_CALL, again)
    assert imported.problems == []
    found = read_samples(workspace, imported.commit)
    taxonomy = read_commit(workspace, imported.commit).taxonomy
    workspace.db.close()
    return sorted(samples, key=lambda one: one.id), exported, found, taxonomy


def _fields(sample):
    return {name: getattr(sample, name) for name in sample.__struct_fields__}


def without_defaults(annotation):
    """An attribute at VOC's default says what its absence says."""
    kept = {
        key: value
        for key, value in annotation.attributes.items()
        if not (key == "truncated" and value is False)
    }
    return annotation.class_id, annotation.geometry, sorted(kept.items())


@pytest.mark.parametrize("fmt", FORMATS)
def test_annotations_come_back_as_they_were(fmt, tmp_path_factory, make_sample, jpeg):
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.lists(objects(FORMATS[fmt]), max_size=3), min_size=1, max_size=3))
    def check(labels):
        root = tmp_path_factory.mktemp("round")
        before, exported, after, _ = round_trip(root, make_sample, jpeg, labels, fmt)
        loses_text = exported.not_kept.get("attribute that is read otherwise", 0)
        assert exported.n_annotations == sum(len(one.annotations) for one in before)
        for old, new in zip(before, after, strict=True):
            if loses_text:
                assert [one.id for one in old.annotations] == [one.id for one in new.annotations]
            else:
                assert sorted(map(without_defaults, old.annotations), key=repr) == sorted(
                    map(without_defaults, new.annotations), key=repr
                )

    check()


turned = st.tuples(
    st.floats(4, 28), st.floats(4, 20), st.floats(1, 9), st.floats(1, 9), st.floats(0, 360)
)


@pytest.mark.parametrize("fmt", ["cvat", "label-studio"])
def test_oriented_boxes_come_back_within_two_thousandths_of_a_pixel(
    fmt, tmp_path_factory, make_sample, jpeg
):
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(turned, min_size=1, max_size=4))
    def check(some):
        corners = [TurnedBox(*one).corners for one in some]
        assume(all(0 < sum(one[0::2]) / 4 < 32 and 0 < sum(one[1::2]) / 4 < 24 for one in corners))
        boxes = [rounded(OrientedBoxPx(one)) for one in corners]
        labels = [[LabelledObject("spot", box, {"nr": at})] for at, box in enumerate(boxes)]
        root = tmp_path_factory.mktemp("turned")
        before, exported, after, _ = round_trip(root, make_sample, jpeg, labels, fmt)
        assert exported.not_kept == {}
        for old, new in zip(before, after, strict=True):
            first, second = old.annotations[0].geometry, new.annotations[0].geometry
            assert isinstance(second, OrientedBoxPx)
            assert np.abs(np.subtract(first.corners, second.corners)).max() <= 0.002

    check()


@pytest.mark.parametrize("fmt", FORMATS)
def test_classes_keep_their_order_points_and_lines(fmt, tmp_path, make_sample, jpeg):
    taxonomy = round_trip(tmp_path, make_sample, jpeg, [[]], fmt)[3]
    assert taxonomy.class_names == [one.name for one in CLASSES]
    if fmt in ("cvat", "label-studio"):
        bird = taxonomy.classes[1]
        assert (bird.keypoints, bird.skeleton) == (["beak", "eye", "tail"], [(0, 1)])


@pytest.mark.parametrize("fmt", FORMATS)
def test_slices_and_split_keys_come_back(fmt, tmp_path, make_sample, jpeg):
    fields = {"slices": {"line": "A & B"}, "split_key": "board <1>"}
    before, exported, after, _ = round_trip(tmp_path, make_sample, jpeg, [[], []], fmt, **fields)
    assert exported.not_kept == ({"split by rule": 2} if fmt == "voc" else {})
    assert [(one.slices, one.split_key) for one in after] == [
        (one.slices, one.split_key) for one in before
    ]


@pytest.mark.parametrize("fmt", ["voc", "cvat", "label-studio"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_declared_splits_come_back(fmt, split, tmp_path, make_sample, jpeg):
    _, exported, after, _ = round_trip(tmp_path, make_sample, jpeg, [[]], fmt, reserved=split)
    assert exported.not_kept == {}
    assert [one.reserved for one in after] == [split]


@pytest.mark.parametrize("fmt", ["cvat", "label-studio"])
def test_labelling_tools_are_not_told_splits_that_only_the_rule_knows(
    fmt, tmp_path, make_sample, jpeg
):
    _, exported, after, _ = round_trip(tmp_path, make_sample, jpeg, [[]] * 4, fmt)
    assert exported.not_kept == {}
    assert {one.reserved for one in after} == {None}


def test_voc_lists_every_image_for_the_split_it_has_by_rule(tmp_path, make_sample, jpeg):
    before, _, after, _ = round_trip(tmp_path, make_sample, jpeg, [[]] * 12, "voc")
    assert [one.reserved for one in after] == [split_of(one, SplitRule()) for one in before]


@pytest.mark.parametrize("fmt", [*FORMATS, "images"])
def test_exported_images_have_their_bytes(fmt, tmp_path, make_sample, jpeg):
    workspace = fresh_workspace(tmp_path / "workspace")
    names = ["a.jpg", "a.png", "b c/ü.jpg", "../x.jpg", "line\nend.jpg", "a.jpg"]
    samples = [
        make_sample(seed, image=workspace.blobs.put(jpeg(seed)), file_name=name)
        for seed, name in enumerate(names)
    ]
    commit_change(
        workspace,
        LOCAL_CALL,
        target=Target("main", "m"),
        change_on=lambda _: Change(samples, Taxonomy(CLASSES)),
    )
    request = ExportDataset(ref="main", folder=str(tmp_path / "out"), format=fmt)
    exported = export_dataset(workspace, LOCAL_CALL, request)
    contents = {
        path.read_bytes()
        for path in Path(exported.images).rglob("*")
        if path.suffix in (".jpg", ".png", ".jpeg")
    }
    assert contents == {jpeg(seed) for seed in range(len(names))}
    if fmt != "images":
        request = ImportDataset(source=exported.source, branch="again")
        imported = import_dataset(workspace, LOCAL_CALL, request)
        assert (imported.n_samples, imported.problems) == (len(names), [])
    workspace.db.close()


@pytest.mark.parametrize("fmt", [*FORMATS, "images"])
def test_an_export_that_ends_by_an_error_leaves_nothing(fmt, tmp_path, make_sample, jpeg):
    workspace = fresh_workspace(tmp_path / "workspace")
    samples = [make_sample(seed, image=workspace.blobs.put(jpeg(seed))) for seed in range(3)]
    target = Target("main", "m")
    commit_change(
        workspace, LOCAL_CALL, target=target, change_on=lambda _: Change(samples, Taxonomy(CLASSES))
    )
    workspace.blobs.local_path(max(samples, key=lambda one: one.id).image).unlink()
    request = ExportDataset(ref="main", folder=str(tmp_path / "out"), format=fmt)
    with pytest.raises(BlobMissing):
        export_dataset(workspace, LOCAL_CALL, request)
    assert [one.name for one in tmp_path.iterdir()] == ["workspace"]
    workspace.db.close()


@pytest.mark.parametrize("fmt", FORMATS)
def test_what_a_format_has_no_place_for_is_counted(fmt, tmp_path, make_sample, jpeg):
    fields = {"reserved": "audit", "tags": ["odd"], "lane": "audit", "slices": {"a b": "\x01"}}
    labels = [[LabelledObject("spot", WholeImage(), {}), LabelledObject("spot", turned_box(), {})]]
    workspace = fresh_workspace(tmp_path / "workspace")
    sample = make_sample(0, image=workspace.blobs.put(jpeg(0)), labelled_for=["spot"], **fields)
    annotations = imported_annotations(sample.id, labels[0])
    sample = type(sample)(**{**_fields(sample), "annotations": annotations})
    target = Target("main", "m")
    commit_change(
        workspace,
        LOCAL_CALL,
        target=target,
        change_on=lambda _: Change([sample], Taxonomy(CLASSES[:1])),
    )
    request = ExportDataset(ref="main", folder=str(tmp_path / "out"), format=fmt)
    not_kept = export_dataset(workspace, LOCAL_CALL, request).not_kept
    workspace.db.close()
    expected = {"lane", "tags"}
    if fmt != "dvc":
        expected |= {"reservation"}
    if fmt in ("voc", "cvat"):
        expected |= {"slices"}
    if fmt in ("voc", "dvc"):
        expected |= {"class of a whole image", "turn of an oriented box"}
    assert expected <= not_kept.keys()
    assert set(not_kept.values()) == {1}


def turned_box():
    return rounded(OrientedBoxPx(TurnedBox(15, 10, 6, 4, 30).corners))
