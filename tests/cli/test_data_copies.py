"""`sightloop data status|commit|checkout` as a person types them."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sightloop.cli.main import app
from tests.datasets.conftest import jpeg

RUNNER = CliRunner()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0):
        result = RUNNER.invoke(app, [*words, "--workspace", str(tmp_path)])
        assert result.exit_code == code, result.output
        return result.output

    call("init")
    (tmp_path / "photos").mkdir()
    for seed in (1, 2):
        (tmp_path / "photos" / f"{seed}.jpg").write_bytes(jpeg(seed))
    call("data", "import", "photos")
    return call


def test_a_day_with_a_folder(run, tmp_path):
    assert "nothing to commit" in run("data", "status", "photos")
    (tmp_path / "photos/3.jpg").write_bytes(jpeg(3))
    assert "new: 3.jpg" in run("data", "status")
    assert "1 new, 0 changed, 0 removed" in run("data", "commit", "-m", "one more")
    assert "3 written as" in run("data", "checkout", "main", "out", "--format", "images")
    (tmp_path / "out/3.jpg").write_bytes(b"scribble")
    (tmp_path / "photos/3.jpg").unlink()
    run("data", "commit", "photos")
    refused = run("data", "checkout", "main", "out", code=1)
    assert "DATA-072" in refused
    assert "1 removed" in run("data", "checkout", "main", "out", "--force")


def test_the_folder_one_stands_in_is_meant(run, tmp_path, monkeypatch):
    run("data", "checkout", "main", "out")
    monkeypatch.chdir(tmp_path / "photos")
    assert json.loads(run("data", "status", "--json"))["folder"] == str(tmp_path / "photos")


def test_a_branch_that_moved_on_is_told_with_what_to_do(run, tmp_path):
    run("data", "checkout", "main", "out", "--format", "images")
    (tmp_path / "photos/3.jpg").write_bytes(jpeg(3))
    run("data", "commit", "photos")
    assert "branch main moved on" in run("data", "status", "out")
    (tmp_path / "out/4.jpg").write_bytes(jpeg(4))
    assert "--branch" in run("data", "commit", "out", code=1)
    assert "mine" in run("data", "commit", "out", "--branch", "mine")


def test_a_status_loads_no_database_layer(run, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from sightloop.datasets.working_copies.quick_status import quick_status\n"
        f"assert quick_status(Path({str(tmp_path)!r}), '') is not None\n"
        "print(sorted({'numpy', 'sqlalchemy', 'cv2', 'typer'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
