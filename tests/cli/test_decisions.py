"""Approving at the terminal, and looking at runs there."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightloop.cli.main import app
from tests.server.console import plant

furnished = plant.furnished


@pytest.fixture
def root(furnished: Path, tmp_path: Path) -> Path:
    shutil.copytree(furnished, tmp_path / "plant")
    return tmp_path / "plant"


def run(root: Path, *arguments: str):
    return CliRunner().invoke(app, [*arguments, "--workspace", str(root)])


def test_a_version_is_approved_once_and_not_rejected_after_that(root):
    made = run(root, "models", "approve", "blobs@2", "-m", "looked at [line] b", "--json")
    assert made.exit_code == 0
    assert json.loads(made.stdout)["comment"] == "looked at [line] b"
    refused = run(root, "models", "reject", "blobs@2", "-m", "no", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "REG-023"
    assert "approved by local" in run(root, "models", "show", "blobs@2").stdout


def test_a_decision_without_a_comment_is_a_usage_error(root):
    assert run(root, "models", "approve", "blobs@2").exit_code == 2


def test_what_differs_between_runs_is_shown_side_by_side(root):
    shown = run(root, "runs", "compare", "run_1", "run_2").stdout
    assert "lr0" in shown
    assert "metrics/mAP50" in shown
    assert "epochs" not in shown


def test_the_output_of_an_engine_is_shown_as_it_was_printed(root):
    assert run(root, "runs", "log", "run_1").stdout.strip().splitlines()[-1] == "all done"
