"""Remotes at the command line: what a Git user expects."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sightloop.cli.main import app
from sightloop.wiring import create_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with three images on main, and the remote as origin."""
    folder = tmp_path / "coco"
    (folder / "images").mkdir(parents=True)
    images, boxes = [], []
    for number, name in enumerate(("scratch", "dent", "dent"), start=1):
        cv2.imwrite(str(folder / f"images/{number}.jpg"), np.full((40, 60, 3), number, np.uint8))
        image = {"id": number, "file_name": f"{number}.jpg", "width": 60, "height": 40}
        images.append({**image, "line": name[0]})
        box = {"id": number, "image_id": number, "bbox": [5, 5, 10, 10]}
        boxes.append({**box, "category_id": 1 if name == "scratch" else 2})
    categories = [{"id": 1, "name": "scratch"}, {"id": 2, "name": "dent"}]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))
    create_workspace(tmp_path / "plant", {}).db.close()
    assert run(tmp_path / "plant", "import", str(folder), "--slice-field", "line").exit_code == 0
    added = run(tmp_path / "plant", "remote", "add", "origin", str(tmp_path / "remote"))
    assert added.exit_code == 0
    return tmp_path / "plant"


def run(root: Path, *arguments: str):
    return CliRunner().invoke(app, ["data", *arguments, "--workspace", str(root)])


def clone(tmp_path: Path, name: str, *arguments: str):
    source, folder = str(tmp_path / "remote"), str(tmp_path / name)
    return CliRunner().invoke(app, ["data", "clone", source, folder, *arguments])


def test_a_data_set_is_pushed_cloned_changed_and_pulled_back(root, tmp_path):
    pushed = run(root, "push")
    assert pushed.exit_code == 0
    assert "1 commits, 6 rows and nodes" in pushed.stdout
    assert "origin has main" in run(root, "push").stdout
    assert clone(tmp_path, "clone").exit_code == 0
    copy = tmp_path / "clone"
    marked = run(copy, "export", "main", str(tmp_path / "out"))
    assert marked.exit_code == 0
    assert len(list((tmp_path / "out" / "images").iterdir())) == 3
    assert json.loads(run(copy, "pull", "--json").stdout)["n_images"] == 0
    assert run(copy, "fetch").stdout.startswith("nothing new at origin")


def test_a_partial_clone_says_where_the_rest_is_and_how_to_get_it(root, tmp_path):
    run(root, "push")
    cloned = clone(tmp_path, "clone", "--class", "scratch")
    assert "2 images stay at origin; another pull fetches them" in cloned.stdout
    copy = tmp_path / "clone"
    refused = run(copy, "export", "main", str(tmp_path / "out"))
    assert refused.exit_code == 1
    assert "DATA-059" in refused.stderr
    assert "sightloop data pull --from origin" in refused.stderr
    assert run(copy, "verify").exit_code == 0
    assert "only there" in run(copy, "remote").stdout
    assert json.loads(run(copy, "pull", "--slice", "line=d", "--json").stdout)["n_left"] == 0
    assert run(copy, "export", "main", str(tmp_path / "out")).exit_code == 0


def test_a_clone_goes_into_a_folder_of_its_own_and_can_be_repeated(root, tmp_path):
    run(root, "push")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    refused = clone(tmp_path, "used")
    assert refused.exit_code == 1
    assert "DATA-024" in refused.stderr
    assert [one.name for one in (tmp_path / "used").iterdir()] == ["notes.txt"]
    assert clone(tmp_path, "clone").exit_code == 0
    assert clone(tmp_path, "clone").exit_code == 0


def test_a_clone_that_found_nothing_is_repeated_once_there_is_something(root, tmp_path):
    assert "there is no data set at" in clone(tmp_path, "clone").stderr
    run(root, "push")
    assert clone(tmp_path, "clone").exit_code == 0


def test_remotes_are_told_apart_by_name(root, tmp_path):
    assert "origin" in run(root, "remote").stdout
    assert run(root, "remote", "remove", "origin").exit_code == 0
    assert "no remote yet" in run(root, "remote").stdout
    refused = run(root, "push")
    assert (refused.exit_code, "DATA-051" in refused.stderr) == (1, True)
    assert run(root, "remote", "add").exit_code == 2
    assert run(root, "remote", "rename", "a").exit_code == 2


def test_an_unknown_class_is_named(root, tmp_path):
    run(root, "push")
    refused = clone(tmp_path, "clone", "--class", "scrach")
    assert refused.exit_code == 1
    assert "scrach" in refused.stderr
    assert "scratch" in refused.stderr
