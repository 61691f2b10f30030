import json
from pathlib import Path

import cv2
import pytest

from sightloop.datasets.errors import FolderInUse, NoSuchRef, NotCoco
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.blobs import BlobMissing
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.workspace import Call
from sightloop.review.errors import BadLabelFile
from sightloop.review.exchange import ExportTasks, ImportLabels, export_tasks, import_labels
from sightloop.review.labels import find_labels


@pytest.fixture
def tasks(factory):
    """One audited task with pre-labels and one blind one."""
    seen, found = {}, (factory.audit_task(seed) for seed in range(1, 99))
    while len(seen) < 2:
        task = next(found)
        seen.setdefault(task.blind, task)
    return [seen[False], seen[True]]


def export(factory, folder, **changes):
    request = ExportTasks(**({"folder": str(folder)} | changes))
    return export_tasks(factory.workspace, factory.ann, request)


def export_these(factory, tmp_path, tasks) -> Path:
    """The exported file, cut down to these tasks; what is cut was not asked of this test."""
    made = export(factory, tmp_path / "out")
    path = Path(made.annotations)
    wanted = {task.id for task in tasks}
    change(path, lambda coco: keep_only(coco, wanted))
    return path


def keep_only(coco, tasks):
    coco["images"] = [image for image in coco["images"] if image["task"] in tasks]
    numbers = {image["id"] for image in coco["images"]}
    coco["annotations"] = [one for one in coco["annotations"] if one["image_id"] in numbers]


def change(path: Path, edit) -> None:
    coco = json.loads(path.read_text())
    edit(coco)
    path.write_text(json.dumps(coco))


def bring_in(factory, path, **changes):
    request = ImportLabels(**({"annotations": str(path)} | changes))
    return import_labels(factory.workspace, factory.ann, request)


def labels_of(factory, task):
    with factory.workspace.db.read() as tx:
        return find_labels(tx, task.id)


def test_exported_images_are_whole_and_named_after_their_tasks(factory, tasks, tmp_path):
    export(factory, tmp_path / "out")
    for task in tasks:
        picture = cv2.imread(str(tmp_path / "out" / "images" / f"{task.id}.png"))
        assert picture.shape[:2] == (task.height_px, task.width_px)


def test_prelabels_are_exported_with_their_score_and_blind_tasks_without(factory, tasks, tmp_path):
    coco = json.loads(export_these(factory, tmp_path, tasks).read_text())
    (annotation,) = coco["annotations"]
    image = next(image for image in coco["images"] if image["id"] == annotation["image_id"])
    assert (image["task"], annotation["score"]) == (tasks[0].id, 0.9)
    assert annotation["bbox"] == [2, 2, 10, 10]
    assert [category["name"] for category in coco["categories"]] == ["dent", "scratch"]


def test_a_file_that_comes_back_unchanged_confirms_the_prelabels(factory, tasks, tmp_path):
    done = bring_in(factory, export_these(factory, tmp_path, tasks))
    assert (done.n_tasks, done.n_boxes) == (2, 1)
    (label,) = labels_of(factory, tasks[0]).boxes
    assert (label.class_id, label.box.x1, label.box.y2) == ("dent", 2, 12)
    assert labels_of(factory, tasks[1]).boxes == []


def test_a_tool_may_drop_our_fields_and_rename_files(factory, tasks, tmp_path):
    path = export_these(factory, tmp_path, tasks)

    def as_a_tool_does(coco):
        for image in coco["images"]:
            del image["task"]
            image["file_name"] = "C:\\upload\\3f2a-" + image["file_name"].split("/")[1]
        for annotation in coco["annotations"]:
            del annotation["score"]

    change(path, as_a_tool_does)
    assert bring_in(factory, path).n_tasks == 2


def test_importing_a_file_again_changes_nothing(factory, tasks, tmp_path):
    path = export_these(factory, tmp_path, tasks)
    bring_in(factory, path)
    again = bring_in(factory, path)
    assert (again.n_tasks, again.n_boxes, again.n_known) == (0, 0, 2)
    assert len(factory.told("labels.verified")) == 2


def test_images_without_boxes_can_be_left_open(factory, tasks, tmp_path):
    done = bring_in(factory, export_these(factory, tmp_path, tasks), skip_empty=True)
    assert (done.n_tasks, done.n_skipped) == (1, 1)
    assert factory.task(tasks[1].id).state == "open"


def test_slices_and_split_keys_of_the_file_are_taken(factory, tasks, tmp_path):
    path = export_these(factory, tmp_path, tasks)
    extra = {"slices": {"line": "b"}, "split_key": "board 9"}
    change(path, lambda coco: coco["images"][0].update(extra))
    bring_in(factory, path)
    taken = [labels_of(factory, task) for task in tasks]
    assert [each.split_key for each in taken if each.slices == {"line": "b"}] == ["board 9"]


def test_all_problems_of_a_file_are_named_and_nothing_is_imported(factory, tasks, tmp_path):
    path = export_these(factory, tmp_path, tasks)

    def spoil(coco):
        coco["categories"][0]["name"] = "dents"
        coco["images"].append({"id": 77, "file_name": "cat.jpg", "width": 4, "height": 4})
        coco["images"].append(coco["images"][1] | {"id": 78, "task": "task_unknown"})
        coco["images"].append(coco["images"][0] | {"id": 79})
        coco["images"].append(coco["images"][0])
        blank = {"id": 90, "image_id": 500, "category_id": 1, "bbox": [0, 0, 1, 1]}
        coco["annotations"].append(blank)
        coco["annotations"].append(blank | {"id": 91, "image_id": 77, "category_id": 9})
        coco["annotations"].append(blank | {"id": 92, "image_id": 77, "iscrowd": 1})

    change(path, spoil)
    with pytest.raises(BadLabelFile) as refused:
        bring_in(factory, path)
    problems = "\n".join(refused.value.facts["problems"])
    for expected in (
        "box 1: there is no class 'dents' in the taxonomy; did you mean 'dent'?",
        "image 77 (cat.jpg): its name holds no task id",
        "there is no task 'task_unknown'",
        "comes twice",
        "another image has that id",
        "annotation 90: there is no image 500",
        "annotation 91: there is no category 9",
        "annotation 92: it is a crowd",
    ):
        assert expected in problems
    assert refused.value.code == "REV-002"
    assert [labels_of(factory, task) for task in tasks] == [None, None]


def test_a_resized_image_is_a_problem(factory, tasks, tmp_path):
    path = export_these(factory, tmp_path, tasks)
    change(path, lambda coco: coco["images"][0].update(width=80, height=60))
    with pytest.raises(BadLabelFile, match="80 x 60 px, its image has 40 x 30 px"):
        bring_in(factory, path)


def test_a_task_somebody_labelled_otherwise_is_a_problem(factory, tasks, tmp_path):
    path = export_these(factory, tmp_path, tasks)
    factory.submit(tasks[0].id, by=factory.ben)
    with pytest.raises(BadLabelFile, match="was labelled by ben"):
        bring_in(factory, path)
    assert labels_of(factory, tasks[1]) is None


def test_many_problems_are_counted_and_the_first_are_listed(factory, tasks, tmp_path):
    path = export_these(factory, tmp_path, tasks)
    strays = [
        {"id": 100 + n, "image_id": 500, "category_id": 1, "bbox": [0, 0, 1, 1]} for n in range(30)
    ]
    change(path, lambda coco: coco["annotations"].extend(strays))
    with pytest.raises(BadLabelFile, match=r"30 problem(?s:.*)and 10 more") as refused:
        bring_in(factory, path)
    assert len(refused.value.facts["problems"]) == 20


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}', '{"images": [{"id": "x"}]}'])
def test_a_file_of_another_shape_is_refused(factory, tmp_path, content):
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(NotCoco, match=r"labels\.json is not a COCO detection file"):
        bring_in(factory, path)


def test_a_file_that_is_not_there_is_not_found(factory, tmp_path):
    with pytest.raises(NotFound, match="label file"):
        bring_in(factory, tmp_path / "none.json")


def test_a_folder_with_something_in_it_is_not_written_to(factory, tasks, tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(FolderInUse):
        export(factory, tmp_path)


def test_an_export_that_fails_leaves_nothing_behind(factory, tasks, tmp_path):
    factory.workspace.blobs.local_path(tasks[0].image).unlink()
    folder = tmp_path / "here"
    with pytest.raises(BlobMissing):
        export(factory, folder / "out")
    assert list(folder.iterdir()) == []


def test_an_export_needs_a_branch_for_its_classes(factory, tmp_path):
    with pytest.raises(NoSuchRef):
        export(factory, tmp_path / "out", branch="nowhere")


def test_only_the_tasks_asked_for_are_exported(factory, tasks, tmp_path):
    factory.submit(tasks[0].id)
    made = export(factory, tmp_path / "out", states=["done"])
    assert made.n_tasks == 1
    assert export(factory, tmp_path / "none", incident="inc_9").n_tasks == 0


def test_a_viewer_can_neither_export_nor_import(factory, tmp_path):
    viewer = Call(Actor(ActorId("vic"), "person", Role.VIEWER))
    with pytest.raises(NotAllowed):
        export_tasks(factory.workspace, viewer, ExportTasks(folder=str(tmp_path / "out")))
    with pytest.raises(NotAllowed):
        import_labels(factory.workspace, viewer, ImportLabels(annotations="labels.json"))
