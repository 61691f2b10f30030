"""What is no plain file: never opened, never taken for a deletion, always told."""

import os
import shutil

import pytest

from sightloop.datasets.working_copies.errors import FilesRefused


def as_link(path, elsewhere):
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def as_pipe(path, elsewhere):
    path.rename(elsewhere)
    os.mkfifo(path)


def as_folder(path, elsewhere):
    path.rename(elsewhere)
    path.mkdir()


BECOMES = pytest.mark.parametrize("become", [as_link, as_pipe, as_folder])


@BECOMES
def test_a_label_file_that_is_no_plain_file_is_a_problem(user, labelled, tmp_path, become):
    become(labelled / "labels/1.jpg.json", tmp_path / "aside")
    user.put(labelled, "images/4.jpg", 4)
    (told,) = user.status(labelled).problems
    assert told.startswith("labels/1.jpg.json: ")
    made = user.commit(labelled)
    assert (made.n_added, made.n_changed, made.problems) == (1, 0, [told])
    assert user.samples(made.commit)["1.jpg"].annotations
    assert user.status(labelled).problems == [told]


@BECOMES
def test_the_label_file_of_a_new_image_is_never_followed(user, labelled, tmp_path, become):
    user.put(labelled, "images/4.jpg", 4)
    path = labelled / "labels/4.jpg.json"
    path.write_text("{}")
    become(path, tmp_path / "aside")
    with pytest.raises(FilesRefused, match=r"labels/4\.jpg\.json"):
        user.commit(labelled)


def test_a_label_file_of_enormous_size_is_not_read(user, labelled):
    with (labelled / "labels/1.jpg.json").open("r+b") as file:
        file.truncate(1 << 33)
    with pytest.raises(FilesRefused, match="8589934592 bytes"):
        user.commit(labelled)


@BECOMES
def test_an_image_that_is_no_plain_file_is_a_problem_and_no_deletion(
    user, labelled, tmp_path, become
):
    become(labelled / "images/1.jpg", tmp_path / "aside")
    found = user.status(labelled)
    assert (found.gone, [one.split(":")[0] for one in found.problems]) == ([], ["images/1.jpg"])
    with pytest.raises(FilesRefused):
        user.commit(labelled, strict=True)
    user.put(labelled, "images/4.jpg", 4)
    made = user.commit(labelled)
    assert (made.n_added, made.n_removed, len(made.problems)) == (1, 0, 1)
    assert "1.jpg" in user.samples(made.commit)
    assert user.status(labelled).problems == found.problems


@pytest.mark.parametrize("format_", ["sightloop", "images", "coco", "yolo"])
def test_an_image_folder_behind_a_link_deletes_nothing(user, labelled, tmp_path, format_):
    out = tmp_path / "out"
    user.checkout("main", out, format=format_)
    (folder,) = {path.parent for path in out.rglob("*.jpg")}
    if folder == out:
        pytest.skip("images lie in the folder itself")
    as_link(folder, tmp_path / "aside")
    assert len(user.status(out).problems) >= 3
    with pytest.raises(FilesRefused):
        user.commit(out)


def test_a_label_folder_behind_a_link_deletes_no_labels(user, labelled, tmp_path):
    as_link(labelled / "labels", tmp_path / "aside")
    with pytest.raises(FilesRefused, match="labels/1"):
        user.commit(labelled)


def test_a_coco_file_behind_a_link_changes_nothing(user, labelled, tmp_path):
    user.checkout("main", tmp_path / "out", format="coco")
    as_link(tmp_path / "out/annotations.json", tmp_path / "aside")
    with pytest.raises(FilesRefused, match=r"annotations\.json"):
        user.commit(tmp_path / "out")


def test_a_removed_image_folder_is_still_a_deletion(user, labelled):
    shutil.rmtree(labelled / "images")
    assert user.commit(labelled).n_removed == 3
