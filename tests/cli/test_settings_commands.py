"""People, policy and news from the terminal."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightloop.cli.main import app
from sightloop.loop import sending
from sightloop.wiring import create_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_workspace(tmp_path / "plant", {}).db.close()
    return tmp_path / "plant"


def run(root: Path, *arguments: str, **more):
    return CliRunner().invoke(app, [*arguments, "--workspace", str(root)], **more)


def error_of(result) -> dict:
    assert result.exit_code == 1
    return json.loads(result.stdout)["error"]


def test_a_token_is_printed_once(root: Path):
    made = json.loads(run(root, "access", "invite", "anna", "engineer", "--json").stdout)
    listed = run(root, "access", "list")
    assert "anna" in listed.stdout
    assert made["token"] not in listed.stdout
    assert error_of(run(root, "access", "invite", "anna", "viewer", "--json"))["code"] == "SL-430"


def test_a_role_that_is_none_is_refused(root: Path):
    assert error_of(run(root, "access", "invite", "anna", "boss", "--json"))["code"] == "SL-140"


def test_a_role_is_changed_and_access_ends(root: Path):
    run(root, "access", "invite", "anna", "viewer")
    assert "now approver" in run(root, "access", "role", "anna", "approver").stdout
    assert "no longer come in" in run(root, "access", "revoke", "anna").stdout


def test_a_policy_is_checked_previewed_and_saved(root: Path, tmp_path: Path):
    file = tmp_path / "new.yaml"
    file.write_text("models:\n  pcb: {}\n")
    assert "look after pcb" in run(root, "loop", "policy", "--check", str(file)).stdout
    assert not (root / "loop.yaml").exists()
    shown = run(root, "loop", "policy", "--preview", str(file)).stdout
    assert "audit labels" in shown
    assert "! Other rules" in shown
    assert run(root, "loop", "policy", "--save", str(file), "--reason", "first").exit_code == 0
    assert run(root, "loop", "policy").stdout.strip() == file.read_text().strip()


def test_a_policy_with_a_mistake_is_refused_with_its_line(root: Path, tmp_path: Path):
    file = tmp_path / "new.yaml"
    file.write_text("models:\n  pcb:\n    retrian: {}\n")
    error = error_of(run(root, "loop", "policy", "--check", str(file), "--json"))
    assert error["code"] == "LOOP-001"
    assert "line 3" in error["message"]
    missing = error_of(run(root, "loop", "policy", "--check", "nowhere.yaml", "--json"))
    assert "nowhere.yaml" in missing["message"]


def test_a_destination_is_added_out_of_histories_and_tested(root: Path, monkeypatch):
    monkeypatch.setattr(sending, "is_address", lambda _: True)
    monkeypatch.setattr(sending, "send", lambda _address, _message: "nobody answers")
    options = ("--want", "step failed")
    added = run(root, "notify", "add", "ops", "-", *options, input="slack://T0K3N/B0B/C4T\n")
    assert added.stdout == "ops hears of step failed\n"
    listed = run(root, "notify", "list").stdout
    assert "slack://" in listed
    assert "T0K3N" not in listed
    assert error_of(run(root, "notify", "test", "ops", "--json"))["code"] == "LOOP-031"
    assert run(root, "notify", "remove", "ops").exit_code == 0


def test_a_kind_of_news_that_is_none_is_refused(root: Path):
    error = error_of(run(root, "notify", "add", "ops", "json://x", "--want", "gossip", "--json"))
    assert error["code"] == "LOOP-030"
