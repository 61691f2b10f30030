"""Ultralytics NDJSON: labels in one file, images beside it; a bad line is named by its number."""

import json

import pytest

from sightloop.datasets.errors import NotNdjson
from sightloop.datasets.formats.listing import Source
from sightloop.datasets.formats.yolo_ndjson import read_ndjson
from sightloop.datasets.geometry import BoxPx, KeypointsPx
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_samples
from sightloop.testing.workspaces import LOCAL_CALL

HEAD = {"type": "dataset", "task": "detect", "class_names": {"0": "cat", "1": "dog"}}


@pytest.fixture
def run(workspace, tmp_path, jpeg):
    def run(*records, head=HEAD, files=("a.jpg", "b.jpg"), **fields):
        for seed, name in enumerate(files):
            path = tmp_path / "set/images/train" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(seed))
        lines = [one if isinstance(one, str) else json.dumps(one) for one in (head, *records)]
        (tmp_path / "set/set.ndjson").write_text("\n".join(lines) + "\n")
        request = ImportDataset(source=str(tmp_path / "set"), **fields)
        imported = import_dataset(workspace, LOCAL_CALL, request)
        found = {one.file_name: one for one in read_samples(workspace, imported.commit)}
        return imported, found

    return run


def image(name, *boxes, **fields):
    labels = {"annotations": {"boxes": [list(one) for one in boxes]}} if boxes else {}
    return {"type": "image", "file": name, "split": "train", **labels, **fields}


def test_boxes_and_splits_are_read(run):
    _, found = run(image("a.jpg", (0, 0.5, 0.5, 0.25, 0.5)), image("b.jpg"), strict=True)
    sample = found["images/train/a.jpg"]
    assert [one.geometry for one in sample.annotations] == [BoxPx(12, 6, 20, 18)]
    assert {one.reserved for one in found.values()} == {"train"}


def test_points_are_of_three_numbers_where_nothing_says_it(run):
    record = image("a.jpg", annotations={"pose": [[0, 0.5, 0.5, 0.25, 0.5, 0.5, 0.5, 2]]})
    _, found = run(record, head={**HEAD, "task": "pose"}, strict=True)
    (one,) = found["images/train/a.jpg"].annotations
    assert one.geometry == KeypointsPx(12, 6, 20, 18, (16, 12, 2))


PROBLEMS = {
    "no json": ("{", "set.ndjson:3: it is no image"),
    "no file": ({"type": "image"}, "set.ndjson:3: it is no image"),
    "url": (image("c.jpg", url="https://x/c.jpg"), "set.ndjson:3: c.jpg: it has only a URL"),
    "missing": (image("c.jpg"), "set.ndjson:3: c.jpg: there is no such file"),
    "leads out": (image("../../x.jpg"), "set.ndjson:3: ../../x.jpg: there is no such file"),
    "twice": (image("a.jpg"), "set.ndjson:3: images/train/a.jpg: another record has this image"),
    "columns": (image("b.jpg", (0, 0.5)), "set.ndjson:3: images/train/b.jpg: boxes[0]: it has 2"),
    "texts": (image("b.jpg", ("0",)), "boxes[0]: it is no list of numbers"),
    "class": (image("b.jpg", (0.5, 1, 1, 1, 1)), "boxes[0]: 0.5 is no class index"),
    "outside": (image("b.jpg", (0, 2, 2, 1, 1)), "set.ndjson:3 boxes[0]: images/train/b.jpg"),
    "other task": (image("b.jpg", annotations={"obb": []}), "labels of 'obb' are none of detect"),
}


@pytest.mark.parametrize(("record", "text"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_bad_record_is_named_by_its_line(run, record, text):
    imported, found = run(image("a.jpg", (0, 0.5, 0.5, 0.25, 0.5)), record)
    (problem,) = imported.problems
    assert text in str(problem)
    assert len(found["images/train/a.jpg"].annotations) == 1
    if "images/train/b.jpg" in found:
        assert "cat" not in found["images/train/b.jpg"].labelled_for


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ({"type": "image", "file": "x"}, "its first line has the type 'image'"),
        ("[]", "its first line is another"),
        ({**HEAD, "task": "depth"}, "its task is 'depth'"),
    ],
)
def test_a_file_that_begins_otherwise_is_refused(tmp_path, head, problem):
    path = tmp_path / "x.ndjson"
    path.write_text((head if isinstance(head, str) else json.dumps(head)) + "\n")
    with pytest.raises(NotNdjson, match="is not an Ultralytics NDJSON data set") as caught:
        read_ndjson(Source(path))
    assert caught.value.code == "DATA-083"
    assert problem in caught.value.message


def test_images_without_a_class_are_labelled_for_none(run):
    head = {**HEAD, "task": "classify"}
    first = image("a.jpg", annotations={"classification": [1]})
    _, found = run(first, image("b.jpg"), head=head, strict=True)
    assert [one.class_id for one in found["images/train/a.jpg"].annotations] == ["dog"]
    assert found["images/train/b.jpg"].labelled_for == []
