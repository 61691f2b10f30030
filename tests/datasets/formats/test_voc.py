"""Pascal VOC as people have it: what is right goes in, what is wrong is named."""

import pytest

from sightloop.datasets.errors import BadImport, WrongFormat
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_samples
from sightloop.testing.workspaces import LOCAL_CALL


def xml(name, *objects, size=(32, 24), more=""):
    width, height = size
    return (
        f"<annotation>\n<filename>{name}</filename>\n<size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{more}\n{''.join(objects)}</annotation>"
    )


def thing(*corners, name="RBC", more=""):
    keys = ("xmin", "ymin", "xmax", "ymax")
    box = "".join(f"<{key}>{one}</{key}>" for key, one in zip(keys, corners, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>\n"


class VocFolder:
    """A VOC data set that a test can spoil."""

    def __init__(self, root, jpeg):
        self.root = root
        self._jpeg = jpeg
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / name).mkdir(parents=True)

    def add(self, stem, *objects, **fields):
        (self.root / f"Annotations/{stem}.xml").write_text(xml(f"{stem}.jpg", *objects, **fields))
        return self.image(f"{stem}.jpg")

    def image(self, name):
        content = self._jpeg(sum(name.encode()))
        (self.root / "JPEGImages" / name).write_bytes(content)
        return content

    def lists(self, **names):
        for split, stems in names.items():
            (self.root / f"ImageSets/Main/{split}.txt").write_text("\n".join(stems) + "\n")


@pytest.fixture
def voc(tmp_path, jpeg):
    return VocFolder(tmp_path / "voc", jpeg)


@pytest.fixture
def run(workspace):
    def run(folder, **fields):
        imported = import_dataset(
            workspace, LOCAL_CALL, ImportDataset(source=str(folder.root), **fields)
        )
        samples = {one.file_name: one for one in read_samples(workspace, imported.commit)}
        return imported, samples

    return run


def boxes_of(sample):
    found = (one.geometry for one in sample.annotations)
    return sorted((one.x1, one.y1, one.x2, one.y2) for one in found)


def lines_of(findings):
    return [str(one) for one in findings]


def test_pixels_count_from_one_and_the_last_one_belongs_to_the_box(voc, run):
    voc.add("a", thing(1, 1, 32, 24), thing(5, 6, 5, 9), thing(2.5, 3, 4.25, 4))
    _, samples = run(voc, strict=True)
    assert boxes_of(samples["a.jpg"]) == [(0, 0, 32, 24), (1.5, 2, 4.25, 4), (4, 5, 5, 9)]


def test_a_zero_shows_that_a_tool_counted_from_zero_in_all_files(voc, run):
    voc.add("a", thing(5, 6, 9, 9))
    voc.add("b", thing(0, 6, 9, 9))
    imported, samples = run(voc, strict=True)
    assert boxes_of(samples["a.jpg"]) == [(5, 6, 9, 9)]
    assert boxes_of(samples["b.jpg"]) == [(0, 6, 9, 9)]
    assert lines_of(imported.notes) == [
        (
            "Annotations/b.xml:4: pixels count from 0 here: xmin and ymin were taken as they are, "
            "in all files"
        )
    ]


def test_impossible_boxes_are_named_by_file_and_object_and_nothing_else_is_lost(
    voc, run, workspace
):
    contents = {
        "a.jpg": voc.add("a", thing(1, 2, 9, 9), thing(5, 7, 5, 7, name="WBC")),
        "b.jpg": voc.add("b", thing(9, 2, 3, 9), thing(1, 1, 4, 4)),
    }
    imported, samples = run(voc)
    assert lines_of(imported.problems) == [
        (
            "Annotations/a.xml:5: a.jpg (annotation 2): xmin, ymin, xmax, ymax "
            "[5.0, 7.0, 5.0, 7.0] has no extent"
        ),
        (
            "Annotations/b.xml:4: b.jpg (annotation 1): xmin, ymin, xmax, ymax "
            "[9.0, 2.0, 3.0, 9.0] has no extent"
        ),
    ]
    assert imported.n_annotations == 2
    assert {name: workspace.blobs.read(one.image) for name, one in samples.items()} == contents
    assert samples["a.jpg"].labelled_for == ["rbc"]
    assert samples["b.jpg"].labelled_for == ["wbc"]
    with pytest.raises(BadImport, match=r"a\.xml:5"):
        run(voc, strict=True)


def test_lists_say_the_split_and_other_lists_say_nothing(voc, run):
    for stem in "abcd":
        voc.add(stem, thing(1, 2, 9, 9))
    voc.lists(train=["a"], val=["b"], test=["c"], trainval=["a", "b"], RBC_train=["d"])
    _, samples = run(voc, strict=True)
    assert {name: one.reserved for name, one in samples.items()} == {
        "a.jpg": "train",
        "b.jpg": "val",
        "c.jpg": "test",
        "d.jpg": None,
    }
    _, samples = run(voc, ignore_splits=True, branch="other")
    assert {one.reserved for one in samples.values()} == {None}


def test_an_image_on_two_lists_is_put_on_none_and_a_name_without_image_is_named(voc, run):
    voc.add("a", thing(1, 2, 9, 9))
    voc.lists(train=["a", "", "zz"], test=["a 1"])
    imported, samples = run(voc)
    assert lines_of(imported.problems) == [
        "ImageSets/Main/train.txt:3: there is no annotation and no image 'zz'",
        "a.jpg: it is on the lists test, train: it was put in none",
    ]
    assert samples["a.jpg"].reserved is None


def test_flags_pose_and_other_fields_become_attributes(voc, run):
    more = (
        "<pose>Left</pose><truncated>1</truncated><difficult>0</difficult><occluded>1</occluded>"
        "<score>0.5</score><attributes><attribute><name>id</name><value>007</value></attribute>"
        "</attributes>"
    )
    voc.add("a", thing(1, 2, 9, 9, more=more))
    voc.add("b", thing(1, 2, 9, 9, more="<pose>Unspecified</pose><difficult>1</difficult>"))
    _, samples = run(voc, strict=True)
    assert samples["a.jpg"].annotations[0].attributes == {
        "pose": "Left",
        "truncated": True,
        "occluded": True,
        "score": 0.5,
        "id": "007",
    }
    assert samples["b.jpg"].annotations[0].attributes == {"difficult": True}


def test_parts_and_masks_are_left_out_with_a_note(voc, run):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    voc.add("a", thing(1, 2, 9, 9, more=part + part), more="<segmented>1</segmented>")
    (voc.root / "SegmentationObject").mkdir()
    imported, _ = run(voc, strict=True)
    assert lines_of(imported.notes) == [
        "SegmentationObject/ is not read: masks stay behind, boxes came in",
        "a part of an object is not kept (2 times)",
        "the mark 'segmented' is not kept (1 times)",
    ]


def test_images_without_an_annotation_file_come_in_as_not_labelled(voc, run):
    voc.add("a", thing(1, 2, 9, 9))
    voc.image("b.jpg")
    imported, samples = run(voc, strict=True)
    assert samples["b.jpg"].labelled_for == []
    assert samples["a.jpg"].labelled_for == ["rbc"]
    assert lines_of(imported.notes) == [
        "b.jpg: it has no readable annotation file and counts as not labelled"
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("<annotation>", "no element found"),
        ("<html/>", "its root is <html>, not <annotation>"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation/>', "it declares entities"),
    ],
)
def test_an_annotation_file_that_cannot_be_read_is_named_and_the_rest_comes_in(
    voc, run, content, why
):
    voc.add("a", thing(1, 2, 9, 9))
    voc.add("b")
    (voc.root / "Annotations/b.xml").write_text(content)
    imported, samples = run(voc)
    assert [(one.kind, one.at) for one in imported.problems] == [
        ("wrong_shape", "Annotations/b.xml")
    ]
    assert why in imported.problems[0].text
    assert samples["b.jpg"].labelled_for == []  # nobody can tell what is on it


@pytest.mark.parametrize(
    ("element", "why"),
    [
        ("<object><name>RBC</name></object>", "it has no bndbox of four numbers"),
        (thing(1, 2, "nan", 4), "it has no bndbox of four numbers"),
        (thing(1, 2, "x", 4), "it has no bndbox of four numbers"),
        (thing(1, 2, 3, 4, name=""), "it has no name"),
        (thing(1, 2, 99, 9), "reaches 67 px out of the image"),
    ],
)
def test_an_object_that_makes_no_sense_is_named(voc, run, element, why):
    voc.add("a", thing(1, 2, 9, 9), element)
    imported, samples = run(voc)
    assert [one.at for one in imported.problems] == ["Annotations/a.xml:5"]
    assert why in imported.problems[0].text
    assert imported.n_annotations == 1
    assert samples["a.jpg"].labelled_for == []


def test_a_missing_image_and_a_size_of_another_image_are_named(voc, run):
    voc.add("a", thing(1, 2, 9, 9))
    voc.add("b", thing(1, 2, 9, 9), size=(99, 9))
    voc.add("c", thing(1, 2, 9, 9), size=(0, 0))
    (voc.root / "JPEGImages/a.jpg").unlink()
    imported, samples = run(voc)
    assert [(one.kind, one.file) for one in imported.problems] == [
        ("missing_file", "a.jpg"),
        ("size_mismatch", "b.jpg"),
    ]
    assert list(samples) == ["c.jpg"]


def test_the_image_with_the_annotation_files_name_wins_over_the_one_it_names(voc, run):
    voc.add("a", thing(1, 2, 9, 9))
    path = voc.root / "Annotations/a.xml"
    path.write_text(path.read_text().replace("a.jpg", "old/name.png"))
    imported, samples = run(voc, strict=True)
    assert list(samples) == ["a.jpg"]
    assert [one.kind for one in imported.notes] == ["other_name"]


def test_two_annotation_files_of_one_image_are_named(voc, run):
    voc.add("a", thing(1, 2, 9, 9))
    (voc.root / "Annotations/b.xml").write_text(xml("a.jpg", thing(3, 4, 9, 9)))
    imported, _ = run(voc)
    assert lines_of(imported.problems) == [
        "Annotations/b.xml: a.jpg: another annotation file is about this image"
    ]


def test_xml_beside_its_images_is_read_and_folders_say_the_split(tmp_path, jpeg, run):
    class Folder:
        root = tmp_path / "flat"

    for at, split in enumerate(("train", "valid", "other")):
        (Folder.root / split).mkdir(parents=True)
        (Folder.root / split / "a.jpg").write_bytes(jpeg(at))
        (Folder.root / split / "a.xml").write_text(xml("a.jpg", thing(1, 2, 9, 9)))
    _, samples = run(Folder, strict=True)
    assert {name: one.reserved for name, one in samples.items()} == {
        "train/a.jpg": "train",
        "valid/a.jpg": "val",
        "other/a.jpg": None,
    }


def test_names_that_are_no_utf8_and_symbolic_links_are_named(voc, run, tmp_path):
    voc.add("a", thing(1, 2, 9, 9))
    (voc.root / "Annotations" / "b\udcff.xml").write_text(xml("b.jpg"))
    (tmp_path / "c.xml").write_text(xml("c.jpg"))
    (voc.root / "Annotations/c.xml").symlink_to(tmp_path / "c.xml")
    imported, _ = run(voc)
    assert [(one.kind, one.at) for one in imported.problems] == [
        ("wrong_shape", "'Annotations/b\\udcff.xml'"),
        ("symlink", "Annotations/c.xml"),
    ]


def test_a_folder_without_xml_is_no_voc(workspace, tmp_path):
    request = ImportDataset(source=str(tmp_path), format="voc")
    with pytest.raises(WrongFormat, match="has an XML file") as caught:
        import_dataset(workspace, LOCAL_CALL, request)
    assert caught.value.code == "DATA-085"
