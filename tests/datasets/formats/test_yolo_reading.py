"""YOLO in the layouts people have; what is wrong with one is named by file and line."""

import os
from pathlib import Path

import pytest

from sightloop.datasets.errors import BadImport, NotClassFolders, NotYolo
from sightloop.datasets.geometry import BoxPx, KeypointsPx, OrientedBoxPx, PolygonPx, WholeImage
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.testing.workspaces import LOCAL_CALL

NAMES = "names: [cat, dog]\n"
SPLITS = "train: images/train\nval: images/val\n"


class Folder:
    """A data set of 32 x 24 px images that a test can spoil."""

    def __init__(self, root, jpeg):
        self.root = root
        root.mkdir()
        self._jpeg = jpeg
        self._seed = 0

    def image(self, path, labels=None):
        self._seed += 1
        self.write(f"images/{path}", self._jpeg(self._seed))
        if labels is not None:
            self.write(f"labels/{Path(path).with_suffix('.txt')}", labels)

    def write(self, path, content):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def yaml(self, content):
        self.write("data.yaml", content)


@pytest.fixture
def folder(tmp_path, jpeg):
    return Folder(tmp_path / "set", jpeg)


@pytest.fixture
def plain(folder):
    """Two images in train with a box each, one in val without."""
    folder.image("train/1.jpg", "0 0.5 0.5 0.25 0.5\n")
    folder.image("train/2.jpg", "1 0.25 0.25 0.25 0.25\n")
    folder.image("val/3.jpg")
    folder.yaml(SPLITS + NAMES)
    return folder


@pytest.fixture
def run(workspace, folder):
    def run(source=folder.root, **fields):
        request = ImportDataset(source=str(source), **fields)
        imported = import_dataset(workspace, LOCAL_CALL, request)
        found = {one.file_name: one for one in read_samples(workspace, imported.commit)}
        return imported, found

    return run


def shapes_of(sample):
    return [one.geometry for one in sample.annotations]


def test_boxes_splits_and_classes_are_read(plain, run, workspace):
    imported, found = run(strict=True)
    assert {name: one.reserved for name, one in found.items()} == {
        "train/1.jpg": "train",
        "train/2.jpg": "train",
        "val/3.jpg": "val",
    }
    assert shapes_of(found["train/1.jpg"]) == [BoxPx(12, 6, 20, 18)]
    assert found["train/2.jpg"].annotations[0].class_id == "dog"
    assert {tuple(one.labelled_for) for one in found.values()} == {("cat", "dog")}
    assert read_commit(workspace, imported.commit).taxonomy.class_names == ["cat", "dog"]


@pytest.mark.parametrize(
    "yaml",
    [
        SPLITS + "names:\n  0: cat\n  1: dog\n",
        SPLITS + NAMES + "nc: 2\n",
        "train: ../images/train\nval: ../images/val\n" + NAMES,
        "path: .\n" + SPLITS + NAMES,
        "train: train.txt\nval: [images/val]\n" + NAMES,
        "train: [images/train/1.jpg, images/train/2.jpg]\nvalidation: images/val\n" + NAMES,
    ],
)
def test_every_way_to_name_splits_leads_to_the_same(plain, run, yaml):
    _, before = run(strict=True)
    plain.write("train.txt", "./images/train/1.jpg\n\nimages/train/2.jpg\nimages/train/2.jpg\n")
    plain.yaml(yaml)
    _, after = run(strict=True, branch="other")
    assert before == after


def test_a_folder_without_a_yaml_is_read_by_its_folders(plain, run):
    _, before = run(strict=True)
    (plain.root / "data.yaml").unlink()
    plain.write("classes.txt", "cat\ndog\n")
    _, after = run(strict=True, branch="other")
    assert before == after


def test_splits_outside_and_images_inside_are_read_too(folder, run):
    folder.write("train/images/1.jpg", folder._jpeg(1))
    folder.write("train/labels/1.txt", "0 0.5 0.5 0.25 0.5\n")
    folder.write("valid/images/2.jpg", folder._jpeg(2))
    _, found = run(strict=True)
    assert {name: one.reserved for name, one in found.items()} == {
        "train/images/1.jpg": "train",
        "valid/images/2.jpg": "val",
    }
    assert found["train/images/1.jpg"].annotations[0].class_id == "class_0"


@pytest.mark.parametrize(
    ("labels", "format_", "shape"),
    [
        ("0 .25 .5 .5 .5 .5 .75", "auto", PolygonPx(8, 12, 16, 18, ((8, 12, 16, 12, 16, 18),))),
        ("0 0 0 1 0 1 1 0 1", "auto", OrientedBoxPx((0, 0, 32, 0, 32, 24, 0, 24))),
        (
            "0 0 0 1 0 1 1 0 1",
            "yolo-segment",
            PolygonPx(0, 0, 32, 24, ((0, 0, 32, 0, 32, 24, 0, 24),)),
        ),
        ("0 .5 .5 .25 .5", "yolo-detect", BoxPx(12, 6, 20, 18)),
    ],
)
def test_the_task_is_told_by_columns_or_asked_for(folder, run, labels, format_, shape):
    folder.image("train/1.jpg", labels)
    folder.yaml(SPLITS + NAMES)
    (folder.root / "images/val").mkdir()
    imported, found = run(format=format_, strict=True)
    assert shapes_of(found["train/1.jpg"]) == [shape]
    told = [one.kind for one in imported.notes]
    assert told == (["format_told"] if isinstance(shape, OrientedBoxPx) else [])


@pytest.mark.parametrize(
    ("shape", "numbers", "points"),
    [
        ("[2, 3]", ".5 .5 2 0 0 0", (16, 12, 2, 0, 0, 0)),
        ("[2, 2]", ".5 .5 0 0", (16, 12, 2, 0, 0, 0)),
    ],
)
def test_keypoints_are_read_with_their_names(folder, run, workspace, shape, numbers, points):
    folder.image("train/1.jpg", f"0 .5 .5 .25 .5 {numbers}")
    more = f"kpt_shape: {shape}\nflip_idx: [1, 0]\nkpt_names:\n  0: [left, right]\n"
    folder.yaml("train: images/train\n" + NAMES + more)
    imported, found = run(strict=True)
    assert shapes_of(found["train/1.jpg"]) == [KeypointsPx(12, 6, 20, 18, points)]
    assert read_commit(workspace, imported.commit).taxonomy.classes[0].keypoints == [
        "left",
        "right",
    ]
    assert [one.at for one in imported.notes] == ["data.yaml"]


def test_a_class_called_no_is_called_no(plain, run, workspace):
    plain.yaml(SPLITS + "names: {0: no, 1: 007}\n")
    imported, _ = run(strict=True)
    assert read_commit(workspace, imported.commit).taxonomy.class_names == ["no", "007"]


def test_a_download_is_named_and_never_run(plain, run, tmp_path):
    script = f"open({str(tmp_path / 'ran')!r}, 'w')"
    plain.yaml(SPLITS + NAMES + f"download: |\n  {script}\n")
    imported, _ = run(strict=True)
    (note,) = imported.notes
    assert str(note) == (
        "data.yaml: 'download' is not followed: what it names is neither fetched nor run"
    )
    assert not (tmp_path / "ran").exists()


def test_tags_in_a_yaml_make_no_objects(plain, run, tmp_path):
    tag = f"x: !!python/object/apply:os.mkdir ['{tmp_path / 'ran'}']\n"
    plain.yaml(SPLITS + NAMES + tag)
    run()
    assert not (tmp_path / "ran").exists()


BAD_YAML = {
    "aliases": ("a: &a [1]\nnames: [*a, *a]\n", "alias *a is not allowed"),
    "no yaml": ("names: [", "it is not YAML"),
    "no mapping": ("- names:\n", "it holds no mapping"),
    "not utf-8": (b"names: [caf\xe9]\n", "it is not YAML"),
    "too large": ("names: [" + "a" * (1 << 20) + "]", "more than 1048576 bytes"),
    "deep": ("names: " + "[" * 5000, "it is not YAML"),
    "names": ("names: cat\n" + SPLITS, "'names' is neither a list nor a mapping"),
    "index": ("names: {a: cat}\n", "'names' has the index 'a'"),
    "nested names": ("names: [[cat]]\n", "'names' has no text for class 0"),
    "nc": ("nc: many\nnames: [a]\n", "'nc' is 'many'"),
    "splits": ("train: {a: b}\nnames: [a]\n", "'train' is neither a path nor a list"),
    "kpt": ("names: [a]\nkpt_shape: [2, 4]\n", "'kpt_shape' is ['2', '4']"),
}


@pytest.mark.parametrize(("content", "problem"), BAD_YAML.values(), ids=BAD_YAML)
def test_a_yaml_of_another_kind_is_refused(plain, run, content, problem):
    plain.write("data.yaml", content)
    with pytest.raises(NotYolo, match="is not a YOLO data set") as caught:
        run(plain.root / "data.yaml", format="yolo")
    assert caught.value.code == "DATA-080"
    assert problem in caught.value.message


BAD_LINES = {
    "words": ("cat 0.5 0.5 0.1 0.1", "'cat' is no class index", []),
    "half a class": ("0.5 0.5 0.5 0.1 0.1", "'0.5' is no class index", []),
    "negative class": ("-1 0.5 0.5 0.1 0.1", "'-1' is no class index", []),
    "endless class": ("inf 0.5 0.5 0.1 0.1", "'inf' is no class index", []),
    "no number": ("1 0.5 x 0.1 0.1", "'x' is no number", ["cat"]),
    "four columns": ("1 0.5 0.5 0.1", "it has 4 columns; labels of boxes have 5", ["cat"]),
    "a score": ("1 0.5 0.5 0.1 0.1 0.9", "a sixth is a score", ["cat"]),
    "unknown class": ("9 0.5 0.5 0.1 0.1", "no category has the id 9", []),
    "NaN": ("1 nan 0.5 0.1 0.1", "is not all numbers", ["cat"]),
    "no area": ("1 0.5 0.5 0 0.1", "has no area", ["cat"]),
    "pixels": ("1 16 12 8 8", "px out of the image of 32 x 24 px", ["cat"]),
}


@pytest.mark.parametrize(("line", "text", "labelled_for"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named_and_its_image_not_exhaustive(plain, run, line, text, labelled_for):
    plain.write("labels/train/1.txt", f"0 0.5 0.5 0.25 0.5\n\n{line}\n")
    imported, found = run()
    (problem,) = imported.problems
    assert problem.at == "labels/train/1.txt:3"
    assert problem.file == "train/1.jpg"
    assert text in problem.text
    assert len(found["train/1.jpg"].annotations) == 1
    assert found["train/1.jpg"].labelled_for == labelled_for
    with pytest.raises(BadImport, match=r"labels/train/1\.txt:3: train/1\.jpg"):
        run(strict=True, branch="other")


def spoil(what):
    def link_labels(folder):
        (folder.root / "labels/train/1.txt").rename(folder.root / "elsewhere.txt")
        (folder.root / "labels/train/1.txt").symlink_to(folder.root / "elsewhere.txt")

    def link_image(folder):
        (folder.root / "images/train/1.jpg").unlink()
        (folder.root / "images/train/1.jpg").symlink_to("/etc/passwd")

    def link_folder(folder):
        (folder.root / "images/train/more").symlink_to("/etc")

    def link_split(folder):
        (folder.root / "images/val").rename(folder.root / "elsewhere")
        (folder.root / "images/val").symlink_to(folder.root / "elsewhere")

    def latin(folder):
        folder.write("labels/train/1.txt", b"0 0.5 0.5 0.1 0.1 \xe9\n")

    def listed(line):
        def put(folder):
            folder.write("train.txt", f"images/train/1.jpg\n{line}\n")
            folder.yaml("train: train.txt\nval: images/val\n" + NAMES)
            (folder.root / "images/train/2.jpg").unlink()

        return put

    return {
        "labels": link_labels,
        "image": link_image,
        "folder": link_folder,
        "split": link_split,
        "latin": latin,
        "leads out": listed("../../up.jpg"),
        "absolute": listed("/etc/up.jpg"),
        "no image": listed("notes.md"),
        "missing": listed("images/train/none.jpg"),
        "unlisted": lambda folder: folder.image("more/9.jpg"),
        "hidden": lambda folder: folder.image("train/._1.jpg"),
        "split out": lambda folder: folder.yaml("train: /etc\nval: images/val\n" + NAMES),
        "no split": lambda folder: folder.yaml(SPLITS + "test: images/test\n" + NAMES),
        "twice": lambda folder: folder.yaml(SPLITS + "test: images/train\n" + NAMES),
        "two names": lambda folder: folder.yaml(SPLITS + "names: [cat, dog, cat]\n"),
        "wrong nc": lambda folder: folder.yaml(SPLITS + NAMES + "nc: 3\n"),
        "fake": lambda folder: folder.write("images/train/1.jpg", "hello"),
        "tiff": lambda folder: folder.write("images/train/4.tif", "II*"),
    }[what]


PROBLEMS = {
    "labels": ["labels/train/1.txt: train/1.jpg: its labels cannot be read: it is behind a symb"],
    "image": ["train/1.jpg: it is a symbolic link; its target may change"],
    "folder": ["train/more: it is a symbolic link and is not followed"],
    "split": ["data.yaml: val: val is behind a symbolic link"],
    "latin": ["labels/train/1.txt: train/1.jpg: its labels cannot be read: it is not UTF-8 text"],
    "leads out": ["train.txt:2: ../../up.jpg: it leads out of the data set's folder"],
    "absolute": ["train.txt:2: /etc/up.jpg: it leads out of the data set's folder"],
    "no image": ["train.txt:2: notes.md: it is no image file's name"],
    "missing": ["train/none.jpg: there is no file"],
    "unlisted": ["more/9.jpg: it is in the folder but in no split"],
    "hidden": [],
    "split out": [
        "data.yaml: /etc: train leads out of the data set's folder",
        "train/1.jpg: it is in the folder but in no split",
        "train/2.jpg: it is in the folder but in no split",
    ],
    "no split": ["data.yaml: test: test names what is not there"],
    "twice": ["data.yaml: train/1.jpg: 2 images of test are in train too and stay there"],
    "two names": ["data.yaml: 'names' has 'cat' twice; class 2 is left out"],
    "wrong nc": ["data.yaml: 'nc' is 3, but 'names' has 2; the names count"],
    "fake": ["train/1.jpg: it is none of JPEG, PNG, WebP and BMP"],
    "tiff": ["train/4.tif: it is none of JPEG, PNG, WebP and BMP"],
}


@pytest.mark.parametrize("what", PROBLEMS)
def test_whatever_is_wrong_is_named_and_the_rest_imported(plain, run, what):
    spoil(what)(plain)
    imported, found = run(format="yolo")
    said = [str(one) for one in imported.problems]
    assert len(said) == len(PROBLEMS[what]), said
    for one, expected in zip(said, PROBLEMS[what], strict=True):
        assert one.removeprefix("images/").startswith(expected)
    assert found
    if said:
        with pytest.raises(BadImport):
            run(format="yolo", strict=True, branch="other")


def test_a_name_that_is_not_utf8_is_reported_in_escapes(plain, run):
    name = os.fsencode(plain.root) + b"/images/train/caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(plain._jpeg(77))
    imported, found = run()
    (problem,) = imported.problems
    assert str(problem) == r"train/caf\xe9.jpg: its name is not UTF-8; rename the file"
    assert len(found) == 3


def test_a_path_that_leads_elsewhere_is_not_followed(plain, run):
    plain.yaml("path: ../datasets/set\n" + SPLITS + NAMES)
    imported, found = run(strict=True)
    assert len(found) == 3
    assert "'path' is '../datasets/set', no folder below" in imported.notes[0].text


def test_fields_that_yolo_has_not_are_refused_by_strict_and_named(plain, run):
    imported, found = run(split_key="board")
    assert [one.kind for one in imported.problems] == ["missing_split_key"]
    assert "'board' cannot be read" in imported.problems[0].text
    assert len(found) == 3


def test_a_yaml_that_leads_to_no_image_is_refused(folder, run):
    folder.yaml(NAMES)
    with pytest.raises(NotYolo, match="it leads to no image"):
        run()


def test_class_folders_are_classes_of_whole_images(tmp_path, run, jpeg):
    root = tmp_path / "classes"
    files = ["train/cat/1.jpg", "train/dog/2.jpg", "val/cat/deep/3.jpg", "val/4.jpg"]
    for seed, path in enumerate([*files, "test/cat/note.txt"]):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(jpeg(seed))
    imported, found = run(root)
    assert {name: one.reserved for name, one in found.items()} == {
        "train/cat/1.jpg": "train",
        "train/dog/2.jpg": "train",
        "val/cat/deep/3.jpg": "val",
    }
    labels = [(one.class_id, one.geometry) for one in found["val/cat/deep/3.jpg"].annotations]
    assert labels == [("cat", WholeImage())]
    assert [str(one) for one in imported.problems] == ["val/4.jpg: it is in no class folder"]


def test_class_folders_without_splits_are_read_when_asked_for(tmp_path, run, jpeg):
    (tmp_path / "c/cat").mkdir(parents=True)
    (tmp_path / "c/cat/1.jpg").write_bytes(jpeg(1))
    _, found = run(tmp_path / "c", format="yolo-classify", strict=True)
    assert [(one.file_name, one.reserved) for one in found.values()] == [("cat/1.jpg", None)]


def test_a_folder_without_class_folders_is_refused(tmp_path, run):
    with pytest.raises(NotClassFolders, match="train/CLASS/IMAGE") as caught:
        run(tmp_path, format="yolo-classify")
    assert caught.value.code == "DATA-082"
