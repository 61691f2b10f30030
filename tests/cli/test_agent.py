"""`sightloop agent` is the agent, and the group of what is done beside it."""

import subprocess
import sys
from pathlib import Path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sightloop.cli.main", "agent", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_flags_go_to_the_agent_with_or_without_the_word_run(tmp_path: Path):
    for words in ([], ["run"]):
        done = run(*words, "--home", str(tmp_path / "home"), "--port", "0")
        assert done.returncode == 1
        assert done.stderr.startswith(f"DEV-002 {tmp_path}/home is not enrolled")


def test_what_is_done_beside_the_agent_has_words_of_its_own():
    assert "Usage:" in run("tune", "--help").stdout
    assert "tune" in run("--help").stdout
    assert "--enrol-token-file" in run("run", "--help").stdout


def test_a_flag_that_is_none_is_refused_by_the_agent(tmp_path: Path):
    done = run("--home", str(tmp_path), "--sauce", "x")
    assert done.returncode == 2
    assert "--sauce" in done.stderr
