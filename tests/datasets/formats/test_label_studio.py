"""Label Studio's JSON: the newest labels of people go in, all else is named."""

import json

import pytest

from sightloop.datasets.errors import WrongFormat
from sightloop.datasets.formats.brushes import stream_of
from sightloop.datasets.formats.label_studio_images import find_image
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
)
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.masks import decoded, runs_of
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.testing.workspaces import LOCAL_CALL

BOX = {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0}


def region(kind, value, *labels, **fields):
    name = f"{kind}labels"
    return {
        "id": "r1",
        "from_name": "label",
        "to_name": "image",
        "type": name,
        "original_width": 32,
        "original_height": 24,
        "value": {**value, name: list(labels or ("car",))},
        **fields,
    }


def task(*results, **fields):
    annotations = [{"id": 7, "result": list(results), "was_cancelled": False}]
    return {"id": 1, "data": {"image": "a.jpg"}, "annotations": annotations, **fields}


@pytest.fixture
def run(workspace, tmp_path, jpeg):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(jpeg(1))

    def run(*tasks, **fields):
        (tmp_path / "tasks.json").write_text(json.dumps(list(tasks)))
        request = ImportDataset(source=str(tmp_path), **fields)
        imported = import_dataset(workspace, LOCAL_CALL, request)
        return imported, read_samples(workspace, imported.commit)

    return run


def only(found):
    assert found[0].problems == []
    (annotation,) = found[1][0].annotations
    return annotation


def test_a_rectangle_is_percent_of_the_image(run):
    found = only(run(task(region("rectangle", BOX)), strict=True))
    assert (found.geometry, found.class_id) == (BoxPx(8, 12, 24, 18), "car")


def test_a_rectangle_without_the_images_size_is_percent_of_the_file(run):
    plain = region("rectangle", BOX)
    del plain["original_width"]
    assert only(run(task(plain))).geometry == BoxPx(8, 12, 24, 18)


def test_a_turned_rectangle_is_turned_about_its_first_corner(run):
    found = only(run(task(region("rectangle", {**BOX, "rotation": 90}))))
    assert found.geometry == OrientedBoxPx((8, 12, 8, 28, 2, 28, 2, 12))


def test_a_shape_may_have_its_label_in_a_result_of_its_own(run):
    shape = {**region("rectangle", BOX), "type": "rectangle", "value": BOX}
    label = {"id": "r1", "type": "labels", "from_name": "l", "value": {**BOX, "labels": ["bus"]}}
    assert only(run(task(shape, label), strict=True)).class_id == "bus"


def test_outlines_below_a_polygon_are_parts_of_it(run):
    first = region("polygon", {"points": [[0, 0], [50, 0], [50, 50]]})
    second = region("polygon", {"points": [[75, 75], [100, 75], [75, 100]]}, id="r2", parentID="r1")
    assert only(run(task(first, second), strict=True)).geometry == PolygonPx(
        0, 0, 32, 24, ((0, 0, 16, 0, 16, 12), (24, 18, 32, 18, 24, 24))
    )


def test_a_brush_is_a_mask(run):
    pixels = decoded([30, 5, 733], SizePx(32, 24))
    value = {"format": "rle", "rle": stream_of(pixels)}
    found = only(run(task(region("brush", value)), strict=True))
    assert isinstance(found.geometry, MaskPx)
    assert runs_of(found.geometry.counts) == [30, 5, 733]


def test_keypoints_below_a_rectangle_are_those_of_its_object(run, workspace):
    points = [
        region("keypoint", {"x": 50, "y": 50}, "eye", id="p1", parentID="r1"),
        region("keypoint", {"x": 25, "y": 75}, "beak", id="p2", parentID="r1"),
    ]
    points[1]["meta"] = {"text": ["hidden"]}
    imported, samples = run(task(region("rectangle", BOX), *points), strict=True)
    assert samples[0].annotations[0].geometry == KeypointsPx(8, 12, 24, 18, (16, 12, 2, 8, 18, 1))
    (car,) = read_commit(workspace, imported.commit).taxonomy.classes
    assert (car.name, car.keypoints) == ("car", ["eye", "beak"])


def test_a_keypoint_alone_is_an_object(run):
    found = only(run(task(region("keypoint", {"x": 50, "y": 50})), strict=True))
    assert found.geometry == KeypointsPx(15.5, 11.5, 16.5, 12.5, (16, 12, 2))


def test_choices_are_classes_of_the_whole_image(run):
    choice = {"id": "c", "type": "choices", "from_name": "c", "value": {"choices": ["day", "wet"]}}
    _, samples = run(task(choice), strict=True)
    assert {(one.class_id, one.geometry) for one in samples[0].annotations} == {
        ("day", WholeImage()),
        ("wet", WholeImage()),
    }


def test_answers_and_remarks_about_a_region_are_attributes(run):
    box = region("rectangle", BOX, meta={"text": ["dirty", "score = 0.5", "seen"]})
    answers = [
        {"id": "r1", "type": "choices", "from_name": "state", "value": {"choices": ["old"]}},
        {"id": "r1", "type": "textarea", "from_name": "said", "value": {"text": ["a", "b"]}},
        {"id": "r1", "type": "rating", "from_name": "stars", "value": {"rating": 4}},
    ]
    assert only(run(task(box, *answers), strict=True)).attributes == {
        "score": 0.5,
        "note": "dirty\nseen",
        "state": "old",
        "said": "a\nb",
        "stars": 4,
    }


def test_a_remark_with_a_number_that_nothing_holds_stays_a_remark(run):
    box = region("rectangle", BOX, meta={"text": [f"n = {10**400}", "m = 1e999", "k = 7"]})
    answer = {"id": "r1", "type": "number", "from_name": "n", "value": {"number": 10**400}}
    assert only(run(task(box, answer), strict=True)).attributes == {
        "k": 7,
        "note": f"n = {10**400}\nm = 1e999",
    }


def test_the_newest_annotation_counts_that_nobody_cancelled(run):
    def version(label, date, **fields):
        return {"result": [region("rectangle", BOX, label)], "updated_at": date, **fields}

    versions = [
        version("new", "2025-02-01T00:00:00Z"),
        version("old", "2025-01-01T00:00:00Z"),
        version("cancelled", "2025-03-01T00:00:00Z", was_cancelled=True),
    ]
    predictions = [{"result": [region("rectangle", BOX, "guess")]}]
    found = run(task(annotations=versions, predictions=predictions), strict=True)
    assert only(found).class_id == "new"
    assert [one.text for one in found[0].notes] == [
        "1 older annotations stay behind; the newest was taken",
        "1 cancelled annotations stay behind",
        "1 predictions of models stay behind; they are no truth",
    ]


def test_a_task_that_nobody_labelled_is_an_image_not_labelled(run, tmp_path, jpeg):
    (tmp_path / "images/b.jpg").write_bytes(jpeg(2))
    waiting = {"id": 2, "data": {"image": "b.jpg"}, "annotations": []}
    _, samples = run(task(region("rectangle", BOX)), waiting, strict=True)
    assert {one.file_name: one.labelled_for for one in samples} == {"a.jpg": ["car"], "b.jpg": []}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("a.jpg", "a.jpg"),
        ("/data/upload/3/0a1b2c3d-a.jpg", "a.jpg"),
        ("/data/local-files/?d=some/where/d/b%20c.jpg", "d/b c.jpg"),
        ("http://host:8080/data/upload/3/0a1b2c3d-a.jpg", "a.jpg"),
        ("s3://bucket/x/d/b%20c.jpg", "d/b c.jpg"),
        ("/home/me/d/b c.jpg", "d/b c.jpg"),
        ("images/a.jpg", "a.jpg"),
    ],
)
def test_an_address_is_looked_up_by_the_longest_end_of_its_path(tmp_path, address, found):
    for name in ("a.jpg", "d/b c.jpg", "b c.jpg"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert find_image(address, tasks_folder=tmp_path, images=tmp_path / "images").name == found


@pytest.mark.parametrize(
    ("data", "kind", "why"),
    [
        ({"image": "s3://bucket/z.jpg"}, "not_fetched", "s3://bucket/z.jpg is not fetched"),
        ({"image": "https://host/z.jpg"}, "not_fetched", "put the file below"),
        ({"image": "../a.jpg"}, "outside_folder", "leads out"),
        ({"image": "/data/local-files/?d=../../a.jpg"}, "outside_folder", "leads out"),
        ({"image": "z.jpg"}, "missing_file", "there is no file"),
        ({"text": "hello"}, "wrong_shape", "its data has no image"),
    ],
)
def test_an_image_that_is_not_here_is_named(run, data, kind, why):
    imported, samples = run(task(region("rectangle", BOX)), {**task(), "id": 2, "data": data})
    (problem,) = imported.problems
    assert problem.kind == kind
    assert why in problem.text
    assert len(samples) == 1


@pytest.mark.parametrize(
    ("result", "kind", "why"),
    [
        (region("ellipse", {"x": 1}, id="e"), "unsupported_shape", "'ellipselabels' is no"),
        ("nothing", "unsupported_shape", "it is no object"),
        (region("rectangle", BOX), "unsupported_shape", "another region has the id 'r1'"),
        ({**region("rectangle", BOX), "id": "n", "value": BOX}, "wrong_shape", "it has no label"),
        (region("rectangle", {"x": 1, "y": 2}, id="n"), "wrong_shape", "width is 'None'"),
        (region("rectangle", {**BOX, "width": True}, id="n"), "wrong_shape", "width is 'True'"),
        (region("rectangle", {**BOX, "width": 0}, id="n"), "impossible_box", "has no area"),
        (region("rectangle", {**BOX, "x": 10**400}, id="n"), "wrong_shape", "no number"),
        (region("rectangle", {**BOX, "x": float("nan")}, id="n"), "wrong_shape", "no number"),
        (region("polygon", {"points": [[1, 10**400]] * 3}, id="n"), "wrong_shape", "points"),
        (region("polygon", {"points": [[1, 2], [3]]}, id="n"), "wrong_shape", "points: "),
        (region("polygon", {"points": 3}, id="n"), "wrong_shape", "its points are no list"),
        (region("brush", {"rle": [1, 2]}, id="n"), "wrong_shape", "rle ends too early"),
    ],
)
def test_a_result_that_is_not_understood_is_named_and_the_rest_comes_in(run, result, kind, why):
    imported, samples = run(task(region("rectangle", BOX), result))
    (problem,) = imported.problems
    assert (problem.kind, problem.at) == (kind, "tasks.json[0].annotations[0].result[1]")
    assert why in problem.text
    assert len(samples[0].annotations) == 1
    assert samples[0].labelled_for == []


def test_two_tasks_with_one_id_and_a_task_of_another_shape_are_named(run):
    imported, _ = run(task(region("rectangle", BOX)), task(), {"id": 3, "data": 4})
    assert [(one.kind, one.at) for one in imported.problems] == [
        ("duplicate_id", "tasks.json[1]"),
        ("wrong_shape", "tasks.json[2]"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{}", "it is no list of tasks"),
        ("[]", "it is no list of tasks"),
        ("[", "no JSON"),
        ('[{"image": "a.jpg", "label": []}]', "not as JSON-MIN"),
    ],
)
def test_a_file_that_is_something_else_is_refused(workspace, tmp_path, content, why):
    (tmp_path / "tasks.json").write_text(content)
    request = ImportDataset(source=str(tmp_path), format="label-studio")
    with pytest.raises(WrongFormat, match=why):
        import_dataset(workspace, LOCAL_CALL, request)


def test_fields_of_a_task_make_slices_split_keys_and_splits(run):
    data = {"image": "a.jpg", "line": 3, "board": "b", "split": "val", "other": "x"}
    found = run(
        {**task(region("rectangle", BOX)), "data": data}, split_key="board", slice_fields=["line"]
    )
    (sample,) = found[1]
    assert (sample.slices, sample.split_key, sample.reserved) == ({"line": "3"}, "b", "val")
    assert [one.text for one in found[0].notes] == ["task field 'other' is not kept (1 times)"]
