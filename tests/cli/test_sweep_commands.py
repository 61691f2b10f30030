"""`sightloop sweep`, as a person types it; no trial is made."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from sightloop.cli.main import app
from sightloop.wiring import create_workspace

SPACE = ("--search", "lr0={type: float, low: 1e-4, high: 0.1, log: true}")
NEEDED = (
    *("--name", "which rate", "--engine", "tiny"),
    *(*SPACE, "--set", "optimizer=SGD", "--objective", "ap=maximize"),
)


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--workspace", str(root)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with one commit and an engine."""
    root, images = tmp_path / "plant", tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), np.zeros((8, 8, 3), np.uint8))
    create_workspace(root, {}).db.close()
    with (root / "sightloop.toml").open("a") as settings:
        settings.write('\n[training.commands]\ntiny = ["true"]\n')
    imported = run(root, "data", "import", str(images))
    assert imported.exit_code == 0, imported.output
    return root


def started(root: Path, *options: str) -> str:
    """The id of a sweep that waits for a worker."""
    shown = run(root, "sweep", "start", *NEEDED, *options, "--json")
    assert shown.exit_code == 0, shown.output
    return str(json.loads(shown.stdout)["id"])


def test_options_alone_begin_a_sweep(root: Path) -> None:
    sweep = started(root, "--trials", "7", "--seed", "0", "--time-limit-s", "60")
    facts = json.loads(run(root, "sweep", "show", sweep, "--json").stdout)["sweep"]
    assert (facts["n_trials"], facts["time_limit_s"], facts["state"]) == (7, 60, "running")
    assert facts["spec"]["fixed"] == {"optimizer": "SGD"}


@pytest.mark.parametrize(
    ("option", "value"),
    [("--trials", "0"), ("--epochs", "0"), ("--parallel", "0"), ("--seed", "-1")],
)
def test_a_number_that_cannot_be_meant_is_refused_and_never_passed_over(
    root: Path, option: str, value: str
) -> None:
    refused = run(root, "sweep", "start", *NEEDED, option, value)
    assert refused.exit_code == 1
    assert option.removeprefix("--") in refused.output
    assert value in refused.output
    assert json.loads(run(root, "sweep", "list", "--json").stdout)["sweeps"] == []


def test_a_file_that_is_not_there_is_named(root: Path) -> None:
    refused = run(root, "sweep", "start", "nowhere.yaml")
    assert refused.exit_code == 1
    assert "nowhere.yaml" in refused.output


def test_a_stopped_sweep_goes_on_with_what_is_given_and_keeps_the_rest(root: Path) -> None:
    sweep = started(root, "--trials", "7", "--time-limit-s", "60")
    assert run(root, "sweep", "stop", sweep).exit_code == 0
    resumed = run(root, "sweep", "resume", sweep, "--trials", "9", "--json")
    facts = json.loads(resumed.stdout)
    assert (facts["state"], facts["n_trials"], facts["time_limit_s"]) == ("running", 9, 60)


def test_a_sweep_without_a_complete_trial_has_no_best(root: Path) -> None:
    refused = run(root, "sweep", "best", started(root))
    assert refused.exit_code == 1
    assert "none is complete" in refused.output
