"""`sightloop runs import` and `runs export`, as a person runs them."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightloop.cli.main import app

LOGS = Path(__file__).parents[1] / "tracking" / "event_files"


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--workspace", str(root)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    assert run(root, "init").exit_code == 0
    return root


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs" / "one").mkdir(parents=True)
    shutil.copy(LOGS / "tensorflow2.tfevents", tmp_path / "logs" / "one")
    return tmp_path / "logs"


def test_imported_runs_are_listed_with_what_was_left_out(root: Path, logs: Path):
    shown = run(root, "runs", "import", str(logs))
    assert shown.exit_code == 0, shown.output
    assert "points added  5" in shown.stdout
    assert "graph" in shown.stdout
    told = json.loads(run(root, "runs", "import", str(logs), "--json").stdout)
    assert [(one["name"], one["is_new"], one["n_points"]) for one in told["runs"]] == [
        ("one", False, 0)
    ]


def test_an_imported_run_is_exported_to_a_folder_of_its_own(root: Path, logs: Path, tmp_path: Path):
    told = json.loads(run(root, "runs", "import", str(logs), "--json").stdout)
    shown = run(root, "runs", "export", told["runs"][0]["run"], str(tmp_path / "out"))
    assert shown.exit_code == 0, shown.output
    assert [path.parent.name for path in (tmp_path / "out").rglob("*tfevents*")] == ["one"]


def test_a_folder_without_runs_is_one_clear_error(root: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    shown = run(root, "runs", "import", str(tmp_path / "empty"))
    assert shown.exit_code == 1
    assert "TRACK-040" in shown.stderr
