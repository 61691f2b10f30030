"""The command line: exit codes, one error shape, JSON where asked, nothing half done."""

import json
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from sightloop.cli.main import app
from sightloop.wiring import create_workspace, open_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_workspace(tmp_path / "plant", {}).db.close()
    return tmp_path / "plant"


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    (folder / "images").mkdir(parents=True)
    for name in ("a", "b"):
        picture = np.full((40, 60, 3), ord(name), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), picture)
    write_annotations(folder, boxes=[[5, 5, 10, 10]])
    return folder


def write_annotations(folder: Path, *, boxes: list[list[float]]) -> None:
    document = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40, "board": "1", "line": "x"},
            {"id": 2, "file_name": "b.jpg", "width": 60, "height": 40, "board": "2", "line": "x"},
        ],
        "categories": [{"id": 7, "name": "scratch"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 7, "bbox": box}
            for number, box in enumerate(boxes, start=1)
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(document))


def run(root: Path, *arguments: str):
    return CliRunner().invoke(app, [*arguments, "--workspace", str(root)])


def import_(root: Path, coco: Path, *more: str):
    fields = ("--split-key", "board", "--slice-field", "line")
    return run(root, "data", "import", str(coco), *fields, *more)


def test_an_import_can_be_seen_in_the_log(root: Path, coco: Path):
    assert import_(root, coco, "-m", "first images").exit_code == 0
    log = run(root, "data", "log", "--json")
    (commit,) = json.loads(log.stdout)
    assert (commit["message"], commit["n_samples"]) == ("first images", 2)


def test_facts_are_printed_for_people_too(root: Path, coco: Path):
    import_(root, coco)
    shown = run(root, "data", "show")
    assert shown.exit_code == 0
    assert "line=x" in shown.stdout
    assert "scratch" in shown.stdout


def test_an_impossible_box_is_named_and_nothing_is_imported(root: Path, coco: Path):
    write_annotations(coco, boxes=[[5, 5, 10, 10], [5, 5, -3, 4]])
    refused = import_(root, coco, "--strict", "--json")
    assert refused.exit_code == 1
    error = json.loads(refused.stdout)["error"]
    assert "a.jpg" in error["message"]
    assert "--strict" in error["message"]
    assert run(root, "data", "log").exit_code == 1


def test_without_strict_the_rest_is_imported_and_what_was_left_out_is_listed(root, coco):
    write_annotations(coco, boxes=[[5, 5, 10, 10], [5, 5, -3, 4]])
    imported = import_(root, coco, "--json")
    assert imported.exit_code == 0
    assert len(json.loads(imported.stdout)["problems"]) == 1


def test_a_truncated_image_is_named(root: Path, coco: Path):
    path = coco / "images" / "b.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    refused = import_(root, coco, "--strict")
    assert refused.exit_code == 1
    assert "b.jpg" in refused.stderr


def test_a_file_of_the_wrong_shape_is_refused(root: Path, coco: Path):
    (coco / "annotations.json").write_text('["not", "coco"]')
    refused = import_(root, coco)
    assert refused.exit_code == 1
    assert "annotations.json" in refused.stderr


def test_a_folder_that_is_no_workspace_says_how_to_make_one(tmp_path: Path):
    refused = run(tmp_path, "data", "log")
    assert refused.exit_code == 1
    assert "sightloop init" in refused.stderr


def test_a_workspace_of_a_later_version_is_left_alone(root: Path):
    workspace = open_workspace(root, {})
    with workspace.db.write() as tx:
        tx.execute(text("UPDATE schema_info SET version = 99"))
    workspace.db.close()
    refused = run(root, "loop", "status", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "SL-120"


def test_a_port_in_use_is_named(root: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = run(root, "up", "--port", port)
    assert refused.exit_code == 1
    assert port in refused.stderr
    assert "--port" in refused.stderr


def test_wrong_usage_is_exit_code_2(root: Path):
    assert run(root, "data", "conjure").exit_code == 2
    assert run(root, "data", "log", "--limit", "many").exit_code == 2


def test_init_twice_keeps_the_token_and_the_settings(tmp_path: Path):
    first = run(tmp_path, "init")
    token = (tmp_path / ".sightloop" / "token").read_text()
    (tmp_path / "sightloop.toml").write_text("[server]\nport = 9000\n")
    assert (first.exit_code, run(tmp_path, "init").exit_code) == (0, 0)
    assert (tmp_path / ".sightloop" / "token").read_text() == token
    assert "9000" in (tmp_path / "sightloop.toml").read_text()


def test_the_token_is_readable_by_its_owner_alone(tmp_path: Path):
    run(tmp_path, "init")
    assert (tmp_path / ".sightloop" / "token").stat().st_mode & 0o077 == 0


def test_doctor_says_that_keys_on_the_server_protect_nothing(root: Path):
    checked = run(root, "doctor", "--json")
    findings = {one["name"]: one for one in json.loads(checked.stdout)}
    assert findings["root key"]["is_well"] is False
    assert findings["audit log"]["is_well"] is True
    assert checked.exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "list"),
        ("models", "list"),
        ("devices", "list"),
        ("monitor", "status"),
        ("monitor", "incidents"),
        ("review", "list"),
        ("loop", "status"),
        ("loop", "events"),
        ("data", "branch"),
    ],
)
def test_an_empty_workspace_answers_every_question(root: Path, arguments: tuple[str, ...]):
    shown = run(root, *arguments)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.strip()
    assert json.loads(run(root, *arguments, "--json").stdout) is not None


def committed_twice(root: Path, coco: Path) -> None:
    import_(root, coco)
    write_annotations(coco, boxes=[[5, 5, 10, 10], [20, 5, 10, 10]])
    import_(root, coco)


def test_a_diff_counts_and_lists_what_changed(root: Path, coco: Path):
    committed_twice(root, coco)
    log = json.loads(run(root, "data", "log", "--json").stdout)
    before, after = log[1]["commit"], log[0]["commit"]
    shown = run(root, "data", "diff", before, after)
    assert shown.exit_code == 0
    assert "0 added, 0 removed, 1 changed" in shown.stdout
    facts = json.loads(run(root, "data", "diff", before, after, "--json").stdout)
    assert facts["summary"]["boxes"]["added"] == 1
    assert facts["samples"][0]["after"]["file_name"] == "a.jpg"


def test_samples_can_be_filtered_and_looked_at(root: Path, coco: Path):
    committed_twice(root, coco)
    found = run(root, "data", "samples", "--class", "scratch", "--slice", "line=x", "--json")
    (listed,) = json.loads(found.stdout)["samples"]
    assert listed["sample"]["file_name"] == "a.jpg"
    shown = run(root, "data", "sample", "main", listed["sample"]["id"])
    assert "scratch" in shown.stdout
    assert "b.jpg" in run(root, "data", "samples", "--without-boxes").stdout


def test_statistics_are_printed_for_people_too(root: Path, coco: Path):
    committed_twice(root, coco)
    shown = run(root, "data", "stats")
    assert shown.exit_code == 0
    assert "2, 1 of them without a box" in shown.stdout


def test_a_filter_with_a_value_that_is_none_says_which_there_are(root: Path, coco: Path):
    import_(root, coco)
    refused = run(root, "data", "samples", "--split", "dev")
    assert refused.exit_code == 1
    assert "one of: train, val, test, audit, quarantined" in refused.stderr


def test_review_tells_where_people_disagree_and_of_one_task(root: Path):
    assert "nobody has been asked twice" in run(root, "review", "disagreements").stdout
    unknown = run(root, "review", "show", "task_x", "--json")
    assert unknown.exit_code == 1
    assert json.loads(unknown.stdout)["error"]["code"] == "REV-010"
