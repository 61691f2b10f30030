"""`data gc|verify|erase` at the terminal: what they say, and their exit codes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sightloop.cli.data_upkeep import seconds_of
from sightloop.cli.main import app
from sightloop.datasets.upkeep.errors import BadDuration
from sightloop.wiring import create_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with two images on main."""
    folder = tmp_path / "coco"
    (folder / "images").mkdir(parents=True)
    images = []
    for number, name in enumerate(("jane", "line"), start=1):
        picture = np.full((40, 60, 3), number, np.uint8)
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), picture)
        facts = {"file_name": f"{name}.jpg", "width": 60, "height": 40, "person": name}
        images.append({"id": number, **facts})
    categories = [{"id": 7, "name": "scratch"}]
    content = {"images": images, "categories": categories, "annotations": []}
    (folder / "annotations.json").write_text(json.dumps(content))
    create_workspace(tmp_path / "plant", {}).db.close()
    done = run(tmp_path / "plant", "import", str(folder), "--slice-field", "person")
    assert done.exit_code == 0, done.output
    return tmp_path / "plant"


def run(root: Path, *arguments: str, answer: str | None = None):
    call = ["data", *arguments, "--workspace", str(root)]
    return CliRunner().invoke(app, call, input=answer)


def blobs_of(root: Path) -> list[Path]:
    return [path for path in (root / ".sightloop/blobs/sha256").rglob("*") if path.is_file()]


def test_collecting_prints_an_account_for_people_and_for_programs(root: Path):
    shown = run(root, "gc", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "nothing would go" in shown.stdout
    assert "branch main" in shown.stdout
    facts = json.loads(run(root, "gc", "--grace", "0d", "--json").stdout)
    assert (facts["removed"], facts["kept"][0]["n_files"]) == ([], 2)


def test_verifying_ends_with_1_only_when_something_is_damaged(root: Path):
    whole = run(root, "verify")
    assert (whole.exit_code, "whole" in whole.stdout) == (0, True)
    blobs_of(root)[0].unlink()
    damaged = run(root, "verify", "main")
    assert damaged.exit_code == 1
    assert "missing" in damaged.stdout
    assert json.loads(run(root, "verify", "--json").stdout)["flaws"][0]["kind"] == "image"


def test_erasing_without_a_terminal_needs_yes(root: Path):
    named = ("erase", "--slice", "person=jane", "--reason", "she asked")
    refused = run(root, *named)
    assert (refused.exit_code, "DATA-064" in refused.output) == (1, True)
    planned = run(root, *named, "--dry-run")
    assert "jane.jpg" in planned.stdout
    assert len(blobs_of(root)) == 2
    done = run(root, *named, "--yes")
    assert done.exit_code == 0, done.output
    assert len(blobs_of(root)) == 1
    assert run(root, "verify").exit_code == 0


@pytest.mark.parametrize(("answer", "n_left"), [("erase 1\n", 1), ("yes\n", 2)])
def test_erasing_in_a_terminal_asks_for_the_number(root, monkeypatch, answer, n_left):
    monkeypatch.setattr("sightloop.cli.data_upkeep.is_watched", lambda: True)
    run(root, "erase", "--slice", "person=jane", "--reason", "r", answer=answer)
    assert len(blobs_of(root)) == n_left


def test_a_time_that_cannot_be_read_is_refused():
    with pytest.raises(BadDuration, match="'two weeks' is no time"):
        seconds_of("two weeks")
