"""Whatever a file holds, it is read, reported or refused; nothing else happens."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from sightloop.datasets.errors import NotCoco, NotNdjson, NotYolo
from sightloop.datasets.formats.coco_records import read_records
from sightloop.datasets.formats.listing import ListedImage, Source, WantedFields
from sightloop.datasets.formats.placing import StoredSize, read_labels
from sightloop.datasets.formats.yolo import read_yolo
from sightloop.datasets.formats.yolo_labels import KeypointLayout, Row, rows_of, shape_of
from sightloop.datasets.formats.yolo_ndjson import read_ndjson
from sightloop.datasets.formats.yolo_yaml import read_dataset_yaml
from sightloop.datasets.geometry import SizePx
from sightloop.kernel.errors import NotFound

relaxed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -1, 0, 1, 2])
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["\ud800", "00", "o" * 70, "a.jpg"]),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
numbers = st.lists(st.integers(-2, 40) | st.floats(), min_size=4, max_size=4)
outlines = (
    st.lists(st.lists(st.floats() | st.integers(), max_size=8), max_size=2)
    | st.fixed_dictionaries({"size": st.just([24, 32]), "counts": values})
    | st.fixed_dictionaries({"size": st.just([24, 32]), "counts": st.lists(st.integers())})
)


def records(**fields):
    likely = st.fixed_dictionaries(fields)
    return st.lists(likely | st.tuples(likely, values).map(spoilt) | values, max_size=4)


def spoilt(two):
    record, value = two
    return {**record, next(iter(record)): value}


ids = st.integers(0, 3) | values
files = st.fixed_dictionaries(
    {
        "images": records(id=ids, file_name=st.text() | values, split=values, width=ids),
        "annotations": records(
            bbox=numbers,
            id=ids,
            image_id=ids,
            category_id=ids,
            segmentation=outlines | values,
            area=values,
            keypoints=st.lists(st.floats(-5, 40) | st.integers(0, 2), max_size=9) | values,
        ),
        "categories": records(id=ids, name=st.text() | values, keypoints=values, skeleton=values),
    }
)
IMAGE = ListedImage(1, "a.jpg", None, None, {})
SIZE = StoredSize(SizePx(32, 24), 6)


@relaxed
@given(content=files | values)
def test_any_json_is_a_coco_file_or_none(content):
    try:
        found = read_records(json.dumps(content).encode(), WantedFields("id", ["a"]), name="x")
    except NotCoco:
        return
    for objects in found.objects.values():
        for declared in (None, SizePx(32, 24)):
            image = IMAGE._replace(declared=declared)
            read_labels(image, objects, size=SIZE, class_keys=found.classes.keys())


@relaxed
@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_coco_file_or_none(content):
    with pytest.raises(NotCoco):
        read_records(content, WantedFields(), name="x")


words = st.sampled_from(["0", "1", "0.5", "-1", "1e400", "nan", "x", "2"])


@relaxed
@given(
    text=st.text() | st.lists(words, max_size=12).map(" ".join),
    task=st.sampled_from(["detect", "segment", "pose", "obb"]),
)
def test_any_text_is_rows_of_labels_or_not(text, task):
    for row in rows_of(text):
        if isinstance(row, Row):
            shape_of(row, task, KeypointLayout(2, 2))


keys = st.sampled_from(["names", "nc", "train", "val", "path", "kpt_shape", "kpt_names", "task"])
scalars = st.sampled_from(["0", "a", "[0, a]", "{0: a}", "~", "..", "/", "[[]]", "{a: }", "[2, 3]"])
yamls = st.lists(st.tuples(keys, scalars), max_size=5).map(
    lambda lines: "\n".join(f"{key}: {value}" for key, value in lines)
)


@relaxed
@given(content=st.binary(max_size=100) | yamls.map(str.encode))
def test_any_bytes_are_a_yaml_of_a_data_set_or_not(tmp_path, content):
    (tmp_path / "data.yaml").write_bytes(content)
    try:
        read_dataset_yaml(tmp_path / "data.yaml")
        read_yolo(Source(tmp_path / "data.yaml"))
    except (NotYolo, NotFound):
        pass


heads = st.fixed_dictionaries(
    {"type": st.just("dataset")},
    optional={
        "task": st.sampled_from(["detect", "pose", "classify"]) | values,
        "class_names": st.dictionaries(st.sampled_from(["0", "1", "x"]), st.text()) | values,
        "path": st.sampled_from([".", "..", "/"]) | values,
        "kpt_shape": st.just([1, 3]) | values,
    },
)
lines = st.fixed_dictionaries(
    {"file": st.sampled_from(["a.jpg", "../a.jpg", "\0"]) | values},
    optional={
        "annotations": st.dictionaries(
            st.sampled_from(["boxes", "pose", "classification"]), st.lists(numbers | values)
        )
        | values,
        "split": values,
        "width": values,
    },
)


@relaxed
@given(head=heads, some=st.lists(lines | values, max_size=3))
def test_any_lines_are_an_ndjson_data_set_or_not(tmp_path, head, some):
    (tmp_path / "a.jpg").write_bytes(b"")
    text = "\n".join(json.dumps(one) for one in (head, *some))
    (tmp_path / "x.ndjson").write_text(text)
    try:
        listing = read_ndjson(Source(tmp_path / "x.ndjson"))
    except NotNdjson:
        return
    for objects in listing.objects.values():
        read_labels(IMAGE, objects, size=SIZE, class_keys=listing.classes.keys())
