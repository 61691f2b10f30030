"""Commands mean the workspace one stands in, at any depth; `init` means the folder itself."""

from pathlib import Path

from typer.testing import CliRunner

from sightloop.cli.main import app
from sightloop.wiring import create_workspace


def test_a_command_below_a_workspace_means_that_workspace(tmp_path: Path, monkeypatch):
    (tmp_path / "plant").mkdir()
    create_workspace(tmp_path / "plant")
    below = tmp_path / "plant" / "work" / "images"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert CliRunner().invoke(app, ["data", "branch"]).exit_code == 0


def test_init_makes_a_workspace_where_one_stands(tmp_path: Path, monkeypatch):
    (tmp_path / "plant").mkdir()
    create_workspace(tmp_path / "plant")
    below = tmp_path / "plant" / "other"
    below.mkdir()
    monkeypatch.chdir(below)
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    assert (below / "sightloop.toml").exists()
