"""`checkout --force` gives up every local change of what is tracked; a file may become a folder."""

import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.working_copies.errors import LocalChanges
from sightloop.testing.workspaces import LOCAL_CALL


@pytest.mark.parametrize("format_", ["sightloop", "images", "coco", "yolo"])
def test_force_restores_every_tracked_file_and_leaves_others(user, labelled, tmp_path, format_):
    out = tmp_path / "out"
    user.checkout("main", out, format=format_)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    first, second, third = sorted(out.rglob("*.jpg"))
    first.write_bytes(user._jpeg(70))
    second.rename(second.with_name("two.jpg"))
    third.unlink()
    for path in kept:
        if path.suffix in (".json", ".txt"):
            path.write_text("{}")
    (out / "notes.md").write_text("mine")
    user.put(out, "images/mine.jpg", 30)
    user.checkout("main", out, force=True)
    assert {path: path.read_bytes() for path in kept} == kept
    assert (out / "notes.md").exists()
    assert (out / "images/mine.jpg").exists()
    assert not second.with_name("two.jpg").exists()


def test_force_brings_labels_back_and_leaves_nothing_to_commit(user, labelled):
    (labelled / "labels/1.jpg.json").write_text("{}")
    (labelled / "labels/2.jpg.json").unlink()
    for kind, ending in (("images", ""), ("labels", ".json")):
        path = labelled / kind / f"3.jpg{ending}"
        path.rename(path.with_name(f"three.jpg{ending}"))
    user.checkout("main", labelled, force=True)
    assert user.status(labelled).is_clean
    assert not (labelled / "labels/three.jpg.json").exists()


def test_force_puts_a_file_where_a_link_to_elsewhere_stood(user, labelled, tmp_path):
    path = labelled / "images/1.jpg"
    path.rename(tmp_path / "aside.jpg")
    path.symlink_to(tmp_path / "aside.jpg")
    user.checkout("main", labelled, force=True)
    assert path.is_file()
    assert not path.is_symlink()
    assert user.status(labelled).is_clean


def test_without_force_local_changes_stay(user, labelled):
    path = labelled / "labels/1.jpg.json"
    path.write_text("{}")
    user.checkout("main", labelled)
    assert path.read_text() == "{}"


@pytest.fixture
def turned(user, stored, tmp_path):
    """A copy of main with x.png, and a branch with x.png/y.png instead."""

    def commit(branch, sample, **fields):
        request = CommitSamples(branch=branch, message="m", upserts=[sample], **fields)
        commit_samples(user.workspace, LOCAL_CALL, request)

    file, below = stored(1, file_name="x.png"), stored(2, file_name="x.png/y.png")
    commit("main", file, new_classes=["spot"])
    create_branch(user.workspace, LOCAL_CALL, CreateBranch(name="two", at="main"))
    commit("two", below, removals=[file.id])
    user.checkout("main", tmp_path / "copy")
    return tmp_path / "copy"


def test_a_file_may_become_a_folder_and_a_file_again(user, turned):
    user.checkout("two", turned)
    assert (turned / "images/x.png/y.png").is_file()
    assert user.status(turned).is_clean
    user.checkout("main", turned)
    assert (turned / "images/x.png").is_file()
    assert user.status(turned).is_clean


def test_a_folder_with_files_of_others_does_not_become_a_file(user, turned):
    user.checkout("two", turned)
    (turned / "images/x.png/mine.txt").write_text("mine")
    with pytest.raises(LocalChanges, match=r"images/x\.png"):
        user.checkout("main", turned)
    assert {path.name for path in (turned / "images/x.png").iterdir()} == {"mine.txt", "y.png"}
