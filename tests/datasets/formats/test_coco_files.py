"""COCO in several files: splits, files that add to each other, files that disagree."""

import json
import zlib

import cv2
import numpy as np
import pytest

from sightloop.datasets.errors import BadImport
from sightloop.datasets.geometry import BoxPx, KeypointsPx
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.kernel.errors import NotFound
from sightloop.testing.workspaces import LOCAL_CALL

CATS = [{"id": 1, "name": "cat"}, {"id": 90, "name": "dog"}]


class Folder:
    def __init__(self, root, jpeg):
        self.root = root
        self._jpeg = jpeg
        self._seed = 0

    def image(self, path, **fields):
        """An image file, and its record with the given name."""
        self._seed += 1
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(self._jpeg(self._seed))
        values = {"id": self._seed, "file_name": path.rpartition("/")[2]}
        return {**values, "width": 32, "height": 24, **fields}

    def write(self, path, images, annotations=(), categories=CATS):
        content = {"images": images, "annotations": list(annotations), "categories": categories}
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(json.dumps(content))


def box(number, image_id, category_id=1, bbox=(1, 1, 5, 5), **fields):
    values = {"id": number, "image_id": image_id, "category_id": category_id, "bbox": list(bbox)}
    return {**values, **fields}


@pytest.fixture
def folder(tmp_path, jpeg):
    return Folder(tmp_path / "set", jpeg)


@pytest.fixture
def run(workspace, folder):
    def run(source=folder.root, **fields):
        request = ImportDataset(source=str(source), **fields)
        imported = import_dataset(workspace, LOCAL_CALL, request)
        found = {one.file_name: one for one in read_samples(workspace, imported.commit)}
        return imported, found

    return run


def test_the_usual_folders_of_coco_are_splits_of_one_data_set(folder, run, workspace):
    train, val = folder.image("train2017/1.jpg"), folder.image("val2017/2.jpg", id=1)
    folder.write("annotations/instances_train2017.json", [train], [box(7, 1)])
    folder.write("annotations/instances_val2017.json", [val], [box(7, 1, 90)])
    folder.write("annotations/captions_val2017.json", [val], [{"caption": "a cat"}])
    imported, found = run(strict=True)
    assert {name: one.reserved for name, one in found.items()} == {
        "train2017/1.jpg": "train",
        "val2017/2.jpg": "val",
    }
    assert [one.class_id for one in found["val2017/2.jpg"].annotations] == ["dog"]
    (note,) = imported.notes
    assert str(note).startswith("annotations/captions_val2017.json: it has captions")
    assert read_commit(workspace, imported.commit).taxonomy.class_names == ["cat", "dog"]


@pytest.mark.parametrize("layout", ["{split}/_annotations.coco.json", "instances_{split}.json"])
def test_other_layouts_are_found_too(folder, run, layout):
    for split in ("train", "valid", "test"):
        image = folder.image(f"{split}/{split}.jpg", id=0)
        folder.write(layout.format(split=split), [image], [box(0, 0)])
    _, found = run(strict=True)
    splits = {one.reserved for one in found.values()}
    assert splits == {"train", "val", "test"}
    assert len(found) == 3


def test_one_file_of_several_may_be_named(folder, run):
    folder.write("annotations/instances_val2017.json", [folder.image("val2017/2.jpg")])
    _, found = run(folder.root / "annotations/instances_val2017.json")
    assert {name: one.reserved for name, one in found.items()} == {"2.jpg": "val"}


def test_what_an_image_says_of_its_split_goes_before_what_its_file_is_called(folder, run):
    images = [folder.image("images/1.jpg", split="test"), folder.image("images/2.jpg", split="x")]
    folder.write("annotations.json", images)
    imported, found = run()
    assert {name: one.reserved for name, one in found.items()} == {"1.jpg": "test", "2.jpg": None}
    assert [one.text for one in imported.notes] == ["image field 'split' is not kept (1 times)"]
    _, found = run(branch="dealt", ignore_splits=True)
    assert {one.reserved for one in found.values()} == {None}


def test_a_split_field_that_is_a_slice_is_no_split(folder, run):
    folder.write("annotations.json", [folder.image("images/1.jpg", split="test")])
    _, found = run(slice_fields=["split"])
    assert (found["1.jpg"].reserved, found["1.jpg"].slices) == (None, {"split": "test"})


def test_boxes_and_keypoints_of_one_image_in_two_files_are_one_object(folder, run):
    image = folder.image("images/1.jpg")
    folder.write("annotations/instances_train.json", [image], [box(7, 1, area=9.5), box(8, 1)])
    points = box(7, 1, keypoints=[2, 2, 2], num_keypoints=1)
    people = [{**CATS[0], "keypoints": ["nose"]}]
    folder.write("annotations/person_keypoints_train.json", [image], [points], people)
    _, found = run(strict=True)
    shapes = sorted(type(one.geometry).__name__ for one in found["1.jpg"].annotations)
    assert shapes == ["BoxPx", "KeypointsPx"]
    (whole,) = [o for o in found["1.jpg"].annotations if isinstance(o.geometry, KeypointsPx)]
    assert whole.attributes == {"area": 9.5}


def test_files_that_disagree_about_a_category_are_named(folder, run):
    train, val = folder.image("train/1.jpg"), folder.image("val/2.jpg")
    folder.write("instances_train.json", [train], [box(7, 1)])
    folder.write("instances_val.json", [val], [box(8, 2)], [{"id": 1, "name": "dog"}])
    imported, found = run()
    of_class, of_object = map(str, imported.problems)
    assert of_class == (
        "instances_val.json: category 1 is 'dog' here and 'cat' in instances_train.json; "
        "its objects here are left out"
    )
    assert of_object == (
        "instances_val.json: val/2.jpg (image instances_val:2, annotation 8): "
        "no category has the id instances_val:1"
    )
    assert found["val/2.jpg"].labelled_for == []
    with pytest.raises(BadImport, match=r"instances_val\.json: category 1 is 'dog' here"):
        run(strict=True, branch="other")


def test_files_that_number_their_categories_differently_agree_by_name(folder, run):
    train, val = folder.image("train/1.jpg"), folder.image("val/2.jpg")
    folder.write("instances_train.json", [train], [box(7, 1)])
    folder.write("instances_val.json", [val], [box(8, 2, 2)], [{"id": 2, "name": "cat"}])
    _, found = run(strict=True)
    assert [one.class_id for one in found["val/2.jpg"].annotations] == ["cat"]
    assert found["val/2.jpg"].labelled_for == ["cat"]
    assert found["train/1.jpg"].labelled_for == ["cat", "dog"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": 31}, "its size is 31 x 24 here and 32 x 24"),
        ({"split": "test"}, "its split is 'test' here and 'train'"),
    ],
)
def test_files_that_disagree_about_an_image_are_named(folder, run, fields, said):
    image = folder.image("images/1.jpg")
    folder.write("annotations/instances_train.json", [image], [box(7, 1)])
    folder.write("annotations/person_keypoints_train.json", [{**image, **fields}], [box(9, 1)])
    imported, found = run()
    (problem,) = imported.problems
    assert problem.kind == "disagreement"
    assert str(problem) == (
        "annotations/person_keypoints_train.json: 1.jpg (image person_keypoints_train:1): "
        f"{said} in annotations/instances_train.json; what is said here is left out"
    )
    assert len(found["1.jpg"].annotations) == 1


def test_files_that_disagree_about_an_object_are_named_and_the_image_is_not_exhaustive(folder, run):
    image = folder.image("images/1.jpg")
    folder.write("annotations/instances_train.json", [image], [box(7, 1)])
    folder.write("annotations/person_keypoints_train.json", [image], [box(7, 1, 90)])
    imported, found = run()
    (problem,) = imported.problems
    assert (problem.kind, problem.annotation_id) == ("disagreement", 7)
    assert "it is another object in annotations/instances_train.json" in problem.text
    assert found["1.jpg"].labelled_for == ["cat"]


def test_ids_may_be_zero_whole_floats_text_and_have_holes(folder, run):
    image = folder.image("images/1.jpg", id="one")
    cats = [{"id": 0, "name": "cat"}, {"id": 3.0, "name": "dog"}]
    found = [box(0, "one", 0), box("x", "one", 3.0, (2, 2, 3, 3))]
    folder.write("annotations.json", [image], found, cats)
    _, samples = run(strict=True)
    classes = {one.class_id: one.geometry for one in samples["1.jpg"].annotations}
    assert classes == {"cat": BoxPx(1, 1, 6, 6), "dog": BoxPx(2, 2, 5, 5)}


def test_images_that_are_not_exhaustively_labelled_may_say_so(folder, run):
    first = folder.image("images/1.jpg", not_exhaustive_category_ids=[90])
    second = folder.image("images/2.jpg", neg_category_ids=[90])
    third = folder.image("images/3.jpg", neg_category_ids=[])
    folder.write("annotations.json", [first, second, third], [box(1, 3)])
    _, found = run(strict=True)
    labelled_for = {name: one.labelled_for for name, one in found.items()}
    assert labelled_for == {"1.jpg": ["cat"], "2.jpg": ["dog"], "3.jpg": ["cat"]}


def test_a_folder_without_a_file_says_what_it_needs(folder, run):
    folder.image("images/1.jpg")
    with pytest.raises(NotFound, match=r"annotations/instances_\*\.json"):
        run(format="coco")


def test_a_file_whose_images_are_nowhere_asks_for_their_folder(folder, run):
    folder.write("annotations/instances_val.json", [folder.image("elsewhere/1.jpg")])
    _, found = run(images=str(folder.root / "elsewhere"))
    assert list(found) == ["1.jpg"]
    with pytest.raises(NotFound, match=r"no image folder '.*images'; name it with --images"):
        run(branch="none")


def test_an_image_under_a_wrong_ending_is_kept_as_what_it_is_and_noted(folder, run, png):
    image = folder.image("images/1.jpg")
    (folder.root / "images/1.jpg").write_bytes(png)
    folder.write("annotations.json", [image])
    imported, found = run(strict=True)
    assert found["1.jpg"].media_type == "image/png"
    assert [str(one) for one in imported.notes] == [
        "1.jpg (image 1): its name ends in .jpg, but it is image/png; kept as what it is"
    ]


def test_a_picture_that_would_fill_memory_is_refused_undecoded(folder, run, png):
    image = folder.image("images/1.png", width=60000, height=60000)
    huge = bytearray(png)
    huge[16:24] = (60000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(bytes(huge[12:29])).to_bytes(4, "big")
    (folder.root / "images/1.png").write_bytes(huge)
    folder.write("annotations.json", [image, folder.image("images/2.jpg")])
    imported, found = run()
    (problem,) = imported.problems
    assert problem.kind == "unreadable_image"
    assert "has 3600000000 pixels, more than the 200000000 allowed" in problem.text
    assert list(found) == ["2.jpg"]


@pytest.fixture
def png():
    return cv2.imencode(".png", np.full((24, 32, 3), 77, np.uint8))[1].tobytes()
