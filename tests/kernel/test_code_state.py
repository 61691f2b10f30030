import subprocess
from pathlib import Path

import pytest

from sightloop.kernel import code_state
from sightloop.kernel.code_state import Code, capture_code


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "train.py").write_text("epochs = 3\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_a_clean_repository_is_its_commit(repository: Path):
    expected = Code(commit=git(repository, "rev-parse", "HEAD"), patch=None, dirty=False)
    assert capture_code(repository) == expected
    assert len(expected.commit or "") == 40


def test_the_patch_makes_the_changed_files_again(repository: Path):
    (repository / "train.py").write_text("epochs = 4\n")
    captured = capture_code(repository)
    assert captured.dirty
    git(repository, "checkout", "--", "train.py")
    (repository / "change.patch").write_bytes(captured.patch or b"")
    git(repository, "apply", "change.patch")
    assert (repository / "train.py").read_text() == "epochs = 4\n"


@pytest.mark.parametrize(
    "setting",
    [
        "diff.noprefix=true",
        "diff.mnemonicPrefix=true",
        "diff.relative=true",
        "diff.context=0",
        "diff.orderFile=/nonexistent",
        "diff.words.textconv=tr a-z A-Z <",
        "diff.external=false",
        "color.ui=always",
    ],
)
def test_nobodys_settings_of_git_spoil_the_patch(repository: Path, setting: str):
    files = {"train.py": "epochs = 3\n", "sub/net.py": "deep = 1\n" * 9}
    (repository / "sub").mkdir()
    (repository / "sub" / "net.py").write_text(files["sub/net.py"])
    (repository / ".gitattributes").write_text("*.py diff=words\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "second")
    for name, text in files.items():
        (repository / name).write_text(text + "more = 2\n")
    git(repository, "config", *setting.split("=", 1))
    captured = capture_code(repository / "sub")
    assert captured.dirty
    git(repository, "reset", "--quiet", "--hard")
    (repository / "change.patch").write_bytes(captured.patch or b"")
    git(repository, "apply", "change.patch")
    for name, text in files.items():
        assert (repository / name).read_text() == text + "more = 2\n"


def test_a_git_that_gives_no_answer_is_not_taken_for_a_clean_tree(
    repository: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(code_state, "_PLAIN_PATCH", ("--no-such-option",))
    captured = capture_code(repository)
    assert (captured.patch, captured.dirty) == (None, True)


def test_an_untracked_file_makes_it_dirty_without_a_patch(repository: Path):
    (repository / "notes.txt").write_text("x")
    captured = capture_code(repository)
    assert (captured.patch, captured.dirty) == (None, True)


def test_a_huge_patch_is_not_kept_but_told_of(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(code_state, "PATCH_LIMIT_BYTES", 10)
    (repository / "train.py").write_text("epochs = 4\n")
    captured = capture_code(repository)
    assert (captured.patch, captured.dirty) == (None, True)


def test_a_folder_in_no_repository_has_no_commit(tmp_path: Path):
    assert capture_code(tmp_path) == Code(commit=None, patch=None, dirty=False)


def test_looking_at_a_repository_changes_nothing_in_it(repository: Path):
    (repository / "train.py").touch()
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    capture_code(repository)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before
