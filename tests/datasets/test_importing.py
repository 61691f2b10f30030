"""Importing COCO: what is right goes in as it is, what is wrong is named, record by record."""

import os

import cv2
import numpy as np
import pytest

from sightloop.datasets.branches import list_branches
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import (
    BadFieldName,
    BadImport,
    BadRefName,
    NotCoco,
    SplitRuleDiffers,
)
from sightloop.datasets.geometry import BoxPx, KeypointsPx, MaskPx, PolygonPx
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.masks import compressed
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import SplitRule
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Call
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL


@pytest.fixture
def run(workspace):
    return lambda request: import_dataset(workspace, LOCAL_CALL, request)


@pytest.fixture
def samples_of(workspace):
    def read(imported):
        return {one.file_name: one for one in read_samples(workspace, imported.commit)}

    return read


def kinds_of(findings):
    return [one.kind for one in findings]


def boxes_of(sample):
    return sorted(
        (one.geometry.x1, one.geometry.y1, one.geometry.x2, one.geometry.y2)
        for one in sample.annotations
    )


def test_an_import_holds_every_image_and_box(workspace, coco, run, samples_of):
    imported = run(coco.request())
    assert (imported.n_samples, imported.n_new, imported.n_annotations) == (3, 3, 3)
    assert (imported.problems, imported.notes) == ([], [])
    samples = samples_of(imported)
    assert boxes_of(samples["a/1.jpg"]) == [(1, 2, 11, 12), (5.5, 2.25, 13.5, 11.25)]
    assert samples["a/2.jpg"].slices == {"line": "B"}
    assert samples["3.jpg"].split_key == "b3"
    assert {one.source for one in samples["a/1.jpg"].annotations} == {"import"}
    assert read_commit(workspace, imported.commit).taxonomy.class_names == ["Spot", "hole"]


def test_every_image_is_labelled_for_every_class_of_the_file(coco, run, samples_of):
    samples = samples_of(run(coco.request()))
    assert {tuple(one.labelled_for) for one in samples.values()} == {("hole", "spot")}


def test_original_bytes_are_kept_and_the_files_untouched(workspace, coco, run, samples_of):
    content = {
        path: path.read_bytes() for path in (coco.root / "images").rglob("*") if path.is_file()
    }
    for name, sample in samples_of(run(coco.request())).items():
        assert workspace.blobs.read(sample.image) == content[coco.root / "images" / name]
    assert content == {path: path.read_bytes() for path in content}


def test_importing_the_same_again_makes_no_commit(coco, run):
    first, second = run(coco.request()), run(coco.request())
    assert (second.commit, second.is_new) == (first.commit, False)
    assert (second.n_samples, second.n_new, second.n_changed) == (3, 0, 0)


def test_importing_changed_labels_changes_their_samples_only(coco, run, samples_of):
    before = samples_of(run(coco.request()))
    coco.annotations[0]["bbox"] = [2, 2, 10, 10]
    imported = run(coco.request())
    assert (imported.n_new, imported.n_changed) == (0, 1)
    assert samples_of(imported)["a/2.jpg"] == before["a/2.jpg"]


def test_the_order_of_the_file_does_not_matter(workspace, coco, run):
    coco.add("again.jpg", (coco.root / "images/3.jpg").read_bytes())
    first = run(coco.request())
    for records in (coco.images, coco.annotations, coco.categories):
        records.reverse()
    second = run(coco.request(branch="reversed"))
    roots = {read_commit(workspace, one.commit).root for one in (first, second)}
    assert len(roots) == 1


def test_without_a_split_key_every_image_stands_alone(coco, run, samples_of):
    samples = samples_of(run(coco.request(split_key=None, slice_fields=[])))
    assert {one.split_key for one in samples.values()} == {one.image for one in samples.values()}


def test_a_new_class_joins_those_of_the_branch(workspace, coco, run):
    run(coco.request())
    coco.categories.append({"id": 1, "name": "dent", "supercategory": "shape"})
    taxonomy = read_commit(workspace, run(coco.request()).commit).taxonomy
    assert taxonomy.class_ids == ["spot", "hole", "dent"]
    assert (taxonomy.classes[2].coco_id, taxonomy.classes[2].supercategory) == (1, "shape")


def test_an_imported_image_of_a_reserved_key_is_reserved(workspace, coco, run, samples_of, stored):
    audited = stored(1000, split_key="b1", reserved="audit")
    request = CommitSamples(branch="main", message="m", upserts=[audited], new_classes=["spot"])
    commit_samples(workspace, LOCAL_CALL, request)
    samples = samples_of(run(coco.request()))
    assert samples["a/1.jpg"].reserved == "audit"
    assert samples["a/2.jpg"].reserved is None


def test_outlines_are_geometry_and_crowds_and_plain_fields_attributes(coco, run, samples_of):
    outline = [[1, 1, 5, 1, 5, 5]]
    coco.label(3, [0, 0, 9, 9], iscrowd=1, segmentation=outline, area=40.0, occluded=True)
    (found,) = samples_of(run(coco.request()))["3.jpg"].annotations
    assert found.geometry == PolygonPx(0, 0, 9, 9, ((1, 1, 5, 1, 5, 5),))
    assert found.attributes == {"iscrowd": True, "area": 40.0, "occluded": True}


def test_masks_are_the_same_however_their_runs_are_written(coco, run, samples_of):
    runs = [24 * 2 + 3, 5, 24 - 5, 5, 24 * 32 - 80]
    size = [24, 32]
    coco.label(3, [2, 3, 2, 5], segmentation={"size": size, "counts": runs}, iscrowd=1)
    coco.label(3, [2, 3, 2, 5], segmentation={"size": size, "counts": compressed(runs)})
    first, second = samples_of(run(coco.request()))["3.jpg"].annotations
    assert first.geometry == second.geometry == MaskPx(2, 3, 4, 8, compressed(runs))


def test_keypoints_keep_their_names_and_what_is_hidden(workspace, coco, run, samples_of):
    coco.categories[0] |= {"keypoints": ["left", "right"], "skeleton": [[1, 2]]}
    coco.label(3, [0, 0, 9, 9], keypoints=[1, 2, 2, 5, 6, 1], num_keypoints=2)
    imported = run(coco.request())
    (found,) = samples_of(imported)["3.jpg"].annotations
    assert found.geometry == KeypointsPx(0, 0, 9, 9, (1, 2, 2, 5, 6, 1))
    spot = read_commit(workspace, imported.commit).taxonomy.classes[0]
    assert (spot.keypoints, spot.skeleton) == (["left", "right"], [(0, 1)])


def test_an_outline_that_cannot_be_leaves_its_box(coco, run, samples_of):
    coco.label(3, [0, 0, 9, 9], segmentation=[[1, 1, 5, 5]])
    imported = run(coco.request())
    (found,) = samples_of(imported)["3.jpg"].annotations
    assert found.geometry == BoxPx(0, 0, 9, 9)
    assert kinds_of(imported.notes) == ["shape_left_out"]
    assert "fewer than three points" in imported.notes[0].text


def test_fields_that_have_no_place_are_counted(coco, run):
    coco.images[0]["night"] = 1
    coco.label(3, [0, 0, 9, 9], caption=[1, 2, 2])
    notes = run(coco.request()).notes
    assert sorted(one.text for one in notes) == [
        "annotation field 'caption' is not kept (1 times)",
        "image field 'night' is not kept (1 times)",
    ]


def test_numbers_and_truth_values_make_slices_and_split_keys(coco, run, samples_of):
    for index, image in enumerate(coco.images):
        image.update(board=index, line=index == 0)
    samples = samples_of(run(coco.request()))
    assert samples["a/1.jpg"].split_key == "0"
    assert samples["a/1.jpg"].slices == {"line": "true"}


def test_a_box_a_little_outside_is_cut_and_noted(coco, run, samples_of):
    coco.label(3, [-0.5, 3, 33, 5])
    imported = run(coco.request())
    assert boxes_of(samples_of(imported)["3.jpg"]) == [(0, 3, 32, 8)]
    assert kinds_of(imported.notes) == ["clipped_box"]
    assert "reaches 0.5 px out of the image of 32 x 24 px and was cut" in imported.notes[0].text


def test_equal_images_with_equal_labels_are_one_sample_and_noted(coco, run, samples_of):
    coco.add("again.jpg", (coco.root / "images/3.jpg").read_bytes())
    imported = run(coco.request())
    assert kinds_of(imported.notes) == ["same_image_twice"]
    assert imported.n_samples == 3
    assert "again.jpg" not in samples_of(imported)


def turned_jpeg(orientation):
    """40 x 20 px as stored, with a white box at (4, 2, 20, 10)."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[2:10, 4:20] = 255
    tag = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"
    tag += orientation.to_bytes(2, "big") + bytes(6)
    facts = [np.frombuffer(tag, np.uint8)]
    return cv2.imencodeWithMetadata(".jpg", pixels, [cv2.IMAGE_METADATA_EXIF], facts)[1].tobytes()


def test_boxes_drawn_on_turned_pixels_are_turned_upright_and_noted(coco, run, samples_of):
    image_id = coco.add("turned.jpg", turned_jpeg(6), width=40, height=20)
    coco.label(image_id, [4, 2, 16, 8], segmentation=[[4, 2, 20, 2, 20, 10]])
    imported = run(coco.request())
    sample = samples_of(imported)["turned.jpg"]
    assert (sample.width_px, sample.height_px) == (20, 40)
    assert boxes_of(sample) == [(10, 4, 18, 20)]
    assert sample.annotations[0].geometry.rings == ((18, 4, 18, 20, 10, 20),)
    assert kinds_of(imported.notes) == ["turned_boxes"]
    assert "EXIF orientation 6" in imported.notes[0].text


def test_boxes_drawn_on_the_upright_image_stay_as_they_are(coco, run, samples_of):
    image_id = coco.add("turned.jpg", turned_jpeg(6), width=20, height=40)
    coco.label(image_id, [10, 4, 8, 16])
    imported = run(coco.request())
    assert boxes_of(samples_of(imported)["turned.jpg"]) == [(10, 4, 18, 20)]
    assert imported.notes == []


def spoil_truncated(coco):
    path = coco.root / "images/a/1.jpg"
    path.write_bytes(path.read_bytes()[:-40])


def spoil_not_an_image(coco):
    (coco.root / "images/a/1.jpg").write_text("hello")


def spoil_missing(coco):
    (coco.root / "images/a/1.jpg").unlink()


def spoil_symlink(coco):
    path = coco.root / "images/a/1.jpg"
    path.rename(coco.root / "elsewhere.jpg")
    path.symlink_to(coco.root / "elsewhere.jpg")


def spoil_linked_folder(coco):
    folder = coco.root / "images/a"
    folder.rename(coco.root / "elsewhere")
    folder.symlink_to(coco.root / "elsewhere")
    coco.images[1]["file_name"] = "3.jpg"
    coco.images.pop()


def spoil_pipe(coco):
    path = coco.root / "images/a/1.jpg"
    path.unlink()
    os.mkfifo(path)


def spoil_image(**fields):
    return lambda coco: coco.images[0].update(fields)


IMAGE_PROBLEMS = {
    "truncated": (spoil_truncated, "unreadable_image", "ends before its end-of-image marker"),
    "no image": (spoil_not_an_image, "unreadable_image", "none of JPEG, PNG, WebP and BMP"),
    "missing": (spoil_missing, "missing_file", "there is no file"),
    "pipe": (spoil_pipe, "missing_file", "is not a file"),
    "symlink": (spoil_symlink, "symlink", "symbolic link"),
    "linked folder": (spoil_linked_folder, "symlink", "its folder is a symbolic link"),
    "parent": (spoil_image(file_name="../a/1.jpg"), "outside_folder", "out of the image folder"),
    "absolute": (spoil_image(file_name="/etc/passwd"), "outside_folder", "out of the image folder"),
    "zero byte": (spoil_image(file_name="a\0b"), "outside_folder", "out of the image folder"),
    "no name": (spoil_image(file_name=""), "outside_folder", "out of the image folder"),
    "long name": (spoil_image(file_name="x" * 300), "unreadable_image", "name too long"),
    "size": (spoil_image(width=100), "size_mismatch", "says 100 x 24 px, the file has 32 x 24 px"),
    "split key": (spoil_image(board=None), "missing_split_key", "'board' is missing"),
    "wide": (spoil_image(width=10**400), "wrong_shape", "Expected `int` <= 2147483647"),
}


@pytest.mark.parametrize(("spoil", "kind", "text"), IMAGE_PROBLEMS.values(), ids=IMAGE_PROBLEMS)
def test_a_bad_image_is_named_and_skipping_it_loses_nothing_else(coco, run, spoil, kind, text):
    spoil(coco)
    with pytest.raises(BadImport, match="1 problem, nothing was imported") as caught:
        run(coco.request())
    assert caught.value.code == "DATA-004"
    assert text in caught.value.message.replace("File name too long", "name too long")
    imported = run(coco.request(strict=False))
    assert kinds_of(imported.problems) == [kind]
    assert imported.problems[0].image_id == 1
    assert imported.n_samples == len(coco.images) - 1


BOX_PROBLEMS = {
    "no width": ([3, 3, 0, 5], "bbox [3.0, 3.0, 0.0, 5.0] has no area"),
    "negative": ([3, 3, 5, -1], "has no area"),
    "hair": ([3, 3, 0.0001, 5], "has no area"),
    "NaN": ([float("nan"), 3, 5, 5], "is not all numbers"),
    "infinite": ([3, 3, float("inf"), 5], "is not all numbers"),
    "outside": ([20, 3, 20, 5], "reaches 8 px out of the image of 32 x 24 px"),
    "elsewhere": ([100, 100, 5, 5], "reaches 81 px out of the image"),
}


@pytest.mark.parametrize(("bbox", "text"), BOX_PROBLEMS.values(), ids=BOX_PROBLEMS)
def test_an_impossible_box_is_named_with_its_values(coco, run, bbox, text):
    coco.label(1, bbox)
    imported = run(coco.request(strict=False))
    (problem,) = imported.problems
    assert (problem.kind, problem.file) == ("impossible_box", "a/1.jpg")
    assert (problem.image_id, problem.annotation_id) == (1, 103)
    assert text in problem.text
    assert imported.n_annotations == 3


def test_an_image_that_lost_a_box_is_not_exhaustively_labelled_any_more(coco, run, samples_of):
    coco.label(1, [3, 3, 0, 5], category_id=7)
    coco.label(2, [3, 3, 5, 5], category_id=999)
    imported = run(coco.request(strict=False))
    assert kinds_of(imported.problems) == ["impossible_box", "unknown_category"]
    labelled_for = {name: one.labelled_for for name, one in samples_of(imported).items()}
    assert labelled_for == {"a/1.jpg": ["spot"], "a/2.jpg": [], "3.jpg": ["hole", "spot"]}


def spoil_annotation(**fields):
    return lambda coco: coco.annotations[0].update(fields)


RECORD_PROBLEMS = {
    "category": (spoil_annotation(category_id=5), "unknown_category", "no category has the id 5"),
    "image": (spoil_annotation(image_id=99), "unknown_image", "no image has this id"),
    "annotation id": (spoil_annotation(id=101), "duplicate_id", "another annotation has this id"),
    "box of text": (spoil_annotation(bbox="1 2 3 4"), "wrong_shape", "annotations[0]: Expected"),
    "box of three": (spoil_annotation(bbox=[1, 2, 3]), "wrong_shape", "annotations[0]: Expected"),
    "no box": (lambda coco: coco.annotations[0].pop("bbox"), "wrong_shape", "field `bbox`"),
    "no record": (lambda coco: coco.annotations.insert(0, 7), "wrong_shape", "annotations[0]"),
    "image id": (lambda coco: coco.images[1].update(id=1), "duplicate_id", "another image"),
    "half a character": (
        lambda coco: coco.images[2].update(file_name="\udce9.jpg"),
        "wrong_shape",
        "images[2]: holds half a character",
    ),
    "huge number": (
        spoil_annotation(bbox=[10**400, 0, 5, 5]),
        "wrong_shape",
        "annotations[0]: Number out of range",
    ),
    "no image name": (lambda coco: coco.images[0].pop("file_name"), "wrong_shape", "images[0]"),
    "category id": (lambda coco: coco.categories[1].update(id=3), "duplicate_id", "category 3"),
    "category name": (
        lambda coco: coco.categories[1].update(name="Spot"),
        "duplicate_id",
        "'Spot'",
    ),
}


@pytest.mark.parametrize(("spoil", "kind", "text"), RECORD_PROBLEMS.values(), ids=RECORD_PROBLEMS)
def test_a_bad_record_is_named_and_the_others_are_imported(coco, run, spoil, kind, text):
    spoil(coco)
    imported = run(coco.request(strict=False))
    problem = imported.problems[0]
    assert problem.kind == kind
    assert text in problem.text
    assert imported.n_samples >= 2


def test_equal_images_with_different_labels_are_a_problem(coco, run):
    twin = coco.add("twin.jpg", (coco.root / "images/3.jpg").read_bytes())
    coco.label(twin, [1, 1, 5, 5])
    with pytest.raises(BadImport, match=r"twin\.jpg \(image 4\): its bytes are those of 3\.jpg"):
        run(coco.request())


def test_an_import_that_is_refused_names_twenty_problems_and_counts_all(coco, run):
    for _ in range(30):
        coco.label(1, [0, 0, 0, 0])
    with pytest.raises(BadImport, match="has 30 problems") as caught:
        run(coco.request())
    assert caught.value.message.count("has no area") == 20
    assert "and 10 more" in caught.value.message
    assert "--strict" in caught.value.message
    assert caught.value.facts["n_problems"] == 30


def test_an_import_that_is_refused_leaves_nothing(workspace, coco, run):
    coco.label(1, [0, 0, 0, 0])
    with pytest.raises(BadImport):
        run(coco.request())
    assert list_branches(workspace, LOCAL_CALL) == []
    assert isinstance(workspace.blobs, LocalBlobs)
    assert [path for path in workspace.blobs.root.rglob("*") if path.is_file()] == []


def test_an_import_that_cannot_be_committed_is_refused_before_it_reads(workspace, coco, run):
    run(coco.request())
    coco.root.joinpath("images/3.jpg").unlink()
    with pytest.raises(SplitRuleDiffers):
        run(coco.request(split_rule=SplitRule(train=1, val=0, test=0)))
    with pytest.raises(BadRefName):
        run(coco.request(branch="no such name"))


def test_an_import_of_nothing_but_bad_images_makes_no_branch(coco, run):
    for image in coco.images:
        image["file_name"] = "missing.jpg"
    with pytest.raises(BadImport, match=r"there is no file.*missing\.jpg") as caught:
        run(coco.request(strict=False))
    assert "no image is left without them" in caught.value.message


def test_an_import_in_which_no_image_has_the_split_key_says_so(coco, run):
    for image in coco.images:
        del image["board"]
    with pytest.raises(BadImport, match="split key field 'board' is missing"):
        run(coco.request(strict=False))


@pytest.mark.parametrize("value", ["", ["A"]])
def test_an_image_without_the_field_of_a_slice_is_in_no_such_slice(coco, run, samples_of, value):
    coco.images[0]["line"] = value
    imported = run(coco.request())
    assert kinds_of(imported.notes) == ["missing_slice"]
    assert "'line' is missing or empty" in imported.notes[0].text
    samples = samples_of(imported)
    assert (samples["a/1.jpg"].slices, len(samples)) == ({}, 3)


FAR = {
    "box": {"bbox": [1e308, 1, 5, 5]},
    "wide box": {"bbox": [1, 1, 1e308, 5]},
    "minus": {"bbox": [-1e308, 1, 1e308, 5]},
}


@pytest.mark.parametrize("fields", FAR.values(), ids=FAR)
def test_a_box_beyond_any_image_is_one_problem(coco, run, fields):
    coco.label(1, **fields)
    imported = run(coco.request(strict=False))
    assert kinds_of(imported.problems) == ["impossible_box"]
    assert "lies on no image" in imported.problems[0].text
    assert (imported.n_samples, imported.n_annotations) == (3, 3)


ODD_OUTLINES = {
    "far polygon": [[1, 1, 1e308, 1, 5, 5]],
    "huge run": {"size": [24, 32], "counts": [10**400]},
    "huge size": {"size": [10**400, 32], "counts": [768]},
    "half a character": {"\ud800": 1},
}


@pytest.mark.parametrize("outline", ODD_OUTLINES.values(), ids=ODD_OUTLINES)
def test_an_outline_beyond_any_image_leaves_the_box(coco, run, outline):
    coco.label(1, [1, 1, 5, 5], segmentation=outline)
    coco.label(2, [1, 1, 5, 5], segmentation=outline, keypoints=[1, 1, 2])
    imported = run(coco.request())
    assert (imported.n_samples, imported.n_annotations) == (3, 5)
    assert "shape_left_out" in kinds_of(imported.notes)


def test_a_file_without_classes_and_labels_is_images(coco, run):
    coco.categories, coco.annotations = [], []
    assert run(coco.request()).n_samples == 3


def test_a_class_without_a_name_is_a_problem(coco, run):
    coco.categories.append({"id": 9, "name": " "})
    assert kinds_of(run(coco.request(strict=False)).problems) == ["wrong_shape"]


def test_a_label_file_that_leads_elsewhere_is_not_read(coco, run, tmp_path):
    coco.request()
    (coco.root / "annotations.json").rename(tmp_path / "private.json")
    (coco.root / "annotations.json").symlink_to(tmp_path / "private.json")
    with pytest.raises(NotFound, match="symbolic link that leads out of"):
        run(ImportDataset(source=str(coco.root)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "it is not JSON"),
        (b"\xff\xfe\x00\x01\xd8", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        ('{"images": "é"}'.encode("latin-1"), "it is not JSON"),
        (b"[]", "it holds a list, as of detection results"),
        (b"7", "it holds a single value"),
        (b"{}", "'images' is missing"),
        (b'{"images": {}}', "'images' is not a list"),
        (b'{"images": [], "annotations": []}', "'images' is empty"),
        (b'{"images": [{}], "annotations": [{}], "categories": []}', "'categories' is empty"),
    ],
)
def test_a_file_of_another_shape_is_refused(coco, run, content, problem):
    request = coco.request()
    (coco.root / "annotations.json").write_bytes(content)
    with pytest.raises(NotCoco, match="is not a COCO detection file") as caught:
        run(request)
    assert caught.value.code == "DATA-005"
    assert problem in caught.value.message


def test_files_that_are_not_there_are_named(coco, run):
    request = coco.request()
    with pytest.raises(NotFound, match=r"no file or folder '.*nowhere\.json'"):
        run(ImportDataset(source=str(coco.root / "nowhere.json"), images=request.images))
    with pytest.raises(NotFound, match="no annotation file"):
        run(ImportDataset(source=request.images, images=request.images, format="coco"))
    with pytest.raises(NotFound, match=r"no image folder '.*nowhere'"):
        run(ImportDataset(source=request.source, images=str(coco.root / "nowhere")))


def test_a_slice_field_that_would_break_strata_is_refused(coco, run):
    with pytest.raises(BadFieldName, match="without '='") as caught:
        run(coco.request(slice_fields=["a=b"]))
    assert caught.value.code == "DATA-006"


def test_progress_counts_to_the_last_image(workspace, coco):
    seen = []
    watched = Call(LOCAL_CALL.actor, lambda *told: seen.append(told))
    import_dataset(workspace, watched, coco.request())
    assert seen[-1] == ("reading images", 3, 3)


def test_many_images_read_by_several_threads_are_all_there(coco, run, samples_of, jpeg):
    for seed in range(1000, 1250):
        coco.add(f"{seed}.jpg", jpeg(seed))
    samples = samples_of(run(coco.request()))
    assert len(samples) == 253
    assert samples["1249.jpg"].image == digest_of(jpeg(1249))


def test_a_crash_before_any_write_keeps_the_old_head_and_a_retry_works(workspace, coco, run):
    old = run(coco.request())
    coco.label(coco.add("new.jpg"), [1, 1, 5, 5])
    request = coco.request()
    for step in range(2):  # the images' barrier and the commit's transaction
        with pytest.raises(SimulatedCrash):
            import_dataset(crashing(workspace, CrashPlan(before_write=step)), LOCAL_CALL, request)
        assert [one.commit for one in list_branches(workspace, LOCAL_CALL)] == [old.commit]
        assert len(read_samples(workspace, old.commit)) == 3
    plan = CrashPlan()
    imported = import_dataset(crashing(workspace, plan), LOCAL_CALL, request)
    assert (plan.n_writes, imported.n_new) == (2, 1)
    assert len(read_samples(workspace, imported.commit)) == 4


def test_numbers_that_json_cannot_write_are_left_out_of_attributes(coco, run, samples_of):
    nan = float("nan")
    coco.label(3, [0, 0, 9, 9], area=nan, score=nan, huge=10**30, segmentation={"counts": [nan]})
    imported = run(coco.request())
    (found,) = samples_of(imported)["3.jpg"].annotations
    assert found.attributes == {}
    assert len(imported.notes) == 3


def test_a_box_is_the_same_however_its_numbers_are_written(coco, run, samples_of):
    coco.label(3, [0.1, 0.2, 0.30000000000000004, 5])
    (found,) = samples_of(run(coco.request()))["3.jpg"].annotations
    assert found.geometry == BoxPx(0.1, 0.2, 0.4, 5.2)
