"""`sightloop train` and `runs list`, `show` and `compare`, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import sightloop
from sightloop.cli.main import app


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--workspace", str(root)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with three runs, the later the better."""
    assert run(tmp_path, "init").exit_code == 0
    for number in range(3):
        params = {"lr": 0.1**number}
        name = f"try {number}"
        with sightloop.run("pcb", name=name, params=params, workspace=tmp_path) as tracked:
            tracked.log({"val/loss": 1 / (3 + number)}, step=1)
            tracked.set_tags(line="A")
    return tmp_path


def listed(root: Path, *options: str) -> list[str]:
    shown = run(root, "runs", "list", *options, "--json")
    assert shown.exit_code == 0, shown.output
    return [row["run"]["name"] for row in json.loads(shown.stdout)["rows"]]


def test_runs_are_filtered_and_sorted_as_on_the_page(root: Path):
    assert listed(root) == ["try 2", "try 1", "try 0"]
    assert listed(root, "--filter", "metrics.`val/loss` < 0.3") == ["try 2", "try 1"]
    assert listed(root, "--sort", "-metrics.val/loss") == ["try 0", "try 1", "try 2"]
    assert listed(root, "--sort", "metrics.val/loss", "--limit", "1") == ["try 2"]
    assert listed(root, "--experiment", "other") == []


def test_a_list_shows_the_values_that_were_asked_for_and_says_when_there_are_more(root: Path):
    shown = run(
        root,
        "runs",
        "list",
        "--column",
        "metrics.val/loss",
        "--column",
        "tags.line",
        "--limit",
        "1",
    )
    head, row, *rest = shown.stdout.splitlines()
    assert head.split()[-2:] == ["val/loss", "line"]
    assert row.split()[-2:] == ["0.2", "A"]
    assert rest == ["there are more; --limit shows them"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--filter", "metrics.loss < and"), "at character 16"),
        (("--sort", "nonsense"), "TRACK-021"),
        (("--column", "loss"), "is no metrics.NAME"),
    ],
)
def test_what_cannot_be_listed_by_is_one_clear_error(root: Path, options, problem: str):
    shown = run(root, "runs", "list", *options)
    assert shown.exit_code != 0
    assert problem in shown.stderr


def test_a_run_is_shown_with_what_went_into_it(root: Path):
    found = json.loads(run(root, "runs", "list", "--limit", "1", "--json").stdout)["rows"][0]
    shown = run(root, "runs", "show", found["run"]["id"]).stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["line", "A"] in lines
    assert any(line[:1] == ["lr"] for line in lines)
    assert any(line[:1] == ["command"] for line in lines)
    assert ["val/loss", "0.2", "1"] in lines


def test_an_id_stays_in_one_piece_however_narrow_the_terminal_is(root: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    found = json.loads(run(root, "runs", "list", "--limit", "1", "--json").stdout)["rows"][0]
    assert found["run"]["id"] in run(root, "runs", "list").stdout


def test_one_run_cannot_be_compared(root: Path):
    found = json.loads(run(root, "runs", "list", "--limit", "1", "--json").stdout)["rows"][0]
    shown = run(root, "runs", "compare", found["run"]["id"])
    assert shown.exit_code == 2
    assert "two or more" in shown.stderr


@pytest.mark.parametrize("given", ["lr0", "=0.1"])
def test_a_setting_without_a_name_or_a_value_is_refused_before_anything_starts(
    root: Path, given: str
):
    refused = run(root, "train", "--set", given)
    assert refused.exit_code == 2
    assert f"'{given}' is no NAME=VALUE" in refused.output
    assert len(listed(root)) == 3
