"""Which format a folder holds: also under names of its own, and never silently none."""

import io
import json
import os
import tarfile

import pytest

from sightloop.datasets.branches import list_branches
from sightloop.datasets.errors import BadArchive, BadImport, UnknownFormat, WrongFormat
from sightloop.datasets.exporting import ExportDataset, export_dataset
from sightloop.datasets.formats.archives import unpacked
from sightloop.datasets.formats.readers import format_of
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_commit
from sightloop.kernel.errors import NotFound
from sightloop.kernel.progress import silent
from sightloop.testing.workspaces import LOCAL_CALL

TASKS = [{"data": {"image": "a.jpg"}, "annotations": []}]


@pytest.fixture
def folder(tmp_path, jpeg):
    found = tmp_path / "set"
    (found / "images").mkdir(parents=True)
    (found / "images/a.jpg").write_bytes(jpeg(0))
    return found


@pytest.fixture
def run(workspace, folder):
    def run(**fields):
        request = ImportDataset(source=str(folder), **fields)
        return import_dataset(workspace, LOCAL_CALL, request)

    return run


def kinds_of(imported):
    return [one.kind for one in imported.problems]


def test_tasks_are_found_under_the_name_of_their_project(folder, run):
    (folder / "project-1-at-2026.json").write_text(json.dumps(TASKS))
    assert format_of(folder, "auto") == "label-studio"
    assert run().n_samples == 1


def test_the_only_json_file_is_read_when_it_is_coco(folder, run):
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [box],
        "categories": [{"id": 1, "name": "spot"}],
    }
    (folder / "labels.json").write_text(json.dumps(content))
    assert format_of(folder, "auto") == "coco"
    assert run().n_annotations == 1


@pytest.mark.parametrize("fmt", ["coco", "dvc"])
def test_an_export_without_classes_comes_back_by_its_folder(workspace, folder, run, tmp_path, fmt):
    run()
    target = str(tmp_path / "out")
    export_dataset(workspace, LOCAL_CALL, ExportDataset(ref="main", folder=target, format=fmt))
    assert format_of(tmp_path / "out", "auto") == fmt
    request = ImportDataset(source=target, branch="again")
    assert import_dataset(workspace, LOCAL_CALL, request).n_samples == 1


@pytest.mark.parametrize(
    "name", ["labels.csv", "notes.xml", "labels/a.json", "annotations/a.xml", "x.ndjson", "x.json"]
)
def test_labels_that_no_reader_knows_are_named_and_not_dropped(workspace, folder, run, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("?")
    with pytest.raises(UnknownFormat) as caught:
        run()
    assert caught.value.facts["unread"] == name
    assert "--format images" in caught.value.message
    assert list_branches(workspace, LOCAL_CALL) == []
    assert run(format="images").n_samples == 1


def labelled(folder):
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.25\n")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 50_000], ids=["bytes", "deep"])
def test_a_broken_yaml_is_a_problem(folder, run, content):
    labelled(folder)
    (folder / "data.yaml").write_bytes(content)
    assert kinds_of(run()) == ["unreadable_labels"]
    with pytest.raises(BadImport, match=r"data\.yaml: it describes nothing"):
        run(strict=True)


def test_a_pipe_in_place_of_a_yaml_is_a_problem(folder, run):
    labelled(folder)
    os.mkfifo(folder / "data.yaml")
    os.mkfifo(folder / "classes.txt")
    imported = run()
    assert kinds_of(imported) == ["unreadable_labels"]
    assert "not a plain file" in imported.problems[0].text


def test_a_yaml_that_leads_elsewhere_is_not_read(folder, run, tmp_path):
    labelled(folder)
    (tmp_path / "private.yaml").write_text("names: [secret]\n")
    (folder / "data.yaml").symlink_to(tmp_path / "private.yaml")
    with pytest.raises(NotFound, match="leads out of"):
        run()


def test_annotations_behind_a_link_are_not_read(folder, run, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private/a.xml").write_text("<annotation><object/></annotation>")
    (folder / "Annotations").symlink_to(tmp_path / "private")
    with pytest.raises(BadImport, match="leads out of"):
        run(format="voc", strict=True)


def test_a_pipe_among_annotations_is_a_problem(folder, run):
    (folder / "Annotations").mkdir()
    os.mkfifo(folder / "Annotations/a.xml")
    with pytest.raises(BadImport, match="not a plain file"):
        run(format="voc", strict=True)


def test_a_pipe_among_images_is_a_problem(folder, run):
    os.mkfifo(folder / "images/b.jpg")
    imported = run()
    assert (kinds_of(imported), imported.n_samples) == (["unreadable_image"], 1)


def test_names_that_no_file_can_have_are_problems_of_a_list(folder, run):
    labelled(folder)
    (folder / "data.yaml").write_text("names: [a]\ntrain: train.txt\n")
    (folder / "train.txt").write_text("images/a.jpg\n" + "x" * 10_000 + ".jpg\n")
    assert kinds_of(run()) == ["bad_name"]
    (folder / "data.yaml").write_text(f"names: [a]\ntrain: train.txt\nval: {'x' * 5000}\n")
    assert kinds_of(run()) == ["bad_name", "bad_name"]


def test_a_member_too_deep_for_any_folder_is_refused(tmp_path):
    path = tmp_path / "t_deep.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a/" * 1500 + "x.jpg")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(BadArchive, match="folders deep"), unpacked(path, silent):
        pass


def test_a_dvc_file_that_tracks_too_long_a_name_is_refused(folder, run):
    (folder / ".dvc").mkdir()
    name = "x" * 5000
    (folder / "data.dvc").write_text(f"outs:\n- md5: {'0' * 32}.dir\n  path: {name}\n")
    with pytest.raises(WrongFormat, match="longer than any"):
        run()


def test_a_configuration_behind_a_link_is_not_read(folder, run, tmp_path, workspace):
    (folder / "tasks.json").write_text(json.dumps(TASKS))
    (tmp_path / "private.xml").write_text(
        '<View><RectangleLabels name="a"><Label value="secret"/></RectangleLabels></View>'
    )
    (folder / "label_config.xml").symlink_to(tmp_path / "private.xml")
    assert read_commit(workspace, run().commit).taxonomy.class_names == []
