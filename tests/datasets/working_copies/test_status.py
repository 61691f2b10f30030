"""Status: exactly what a commit would take, and no look at what has not changed."""

import os

import pytest

from sightloop.datasets.folder_scan import scan_folder
from sightloop.datasets.working_copies import folder_changes
from sightloop.datasets.working_copies.errors import NotOneCopy, NoWorkingCopy
from sightloop.datasets.working_copies.quick_status import quick_status


def test_an_imported_folder_is_a_clean_copy_of_its_branch(user, folder):
    imported = user.import_(folder)
    found = user.status(folder)
    assert (found.branch, found.base, found.head) == ("main", imported.commit, imported.commit)
    assert (found.is_clean, found.n_files, found.format) == (True, 3, "images")


def test_every_kind_of_change_is_told(user, folder):
    user.import_(folder)
    user.put(folder, "b/4.jpg", 4)
    user.put(folder, "a/1.jpg", 5)
    (folder / "3.jpg").unlink()
    (folder / "a/2.jpg").rename(folder / "a/two.jpg")
    found = user.status(folder)
    assert (found.new, found.changed, found.gone) == (["b/4.jpg"], ["a/1.jpg"], ["3.jpg"])
    assert found.renamed == [("a/2.jpg", "a/two.jpg")]


def test_unchanged_files_are_not_opened(user, folder, monkeypatch):
    user.import_(folder)
    monkeypatch.setattr(folder_changes, "hash_file", None)
    assert user.status(folder).is_clean


def test_a_touched_file_with_the_same_bytes_is_no_change(user, folder):
    user.import_(folder)
    os.utime(folder / "3.jpg")
    assert user.status(folder).is_clean


def test_a_write_within_one_tick_of_the_clock_is_seen(user, folder):
    path = folder / "3.jpg"
    stamp = path.stat()
    os.utime(path)  # as fresh as a file can be
    fresh = path.stat().st_mtime_ns
    user.import_(folder)
    other = bytes(stamp.st_size)
    with path.open("r+b") as file:  # same inode, same size
        file.write(other)
    os.utime(path, ns=(fresh, fresh))  # same time
    assert user.status(folder).changed == ["3.jpg"]


def test_a_branch_that_moved_on_is_told(user, folder, tmp_path):
    user.import_(folder)
    user.put(tmp_path / "more", "9.jpg", 9)
    user.import_(tmp_path / "more")
    assert user.status(folder).has_moved_on
    assert not user.status(tmp_path / "more").has_moved_on


def test_the_copy_is_found_from_below_and_when_it_is_the_only_one(user, folder, tmp_path):
    with pytest.raises(NoWorkingCopy, match="working copy"):
        user.status(folder)
    user.import_(folder)
    assert user.status(folder / "a").folder == str(folder)
    assert user.status().folder == str(folder)
    user.put(tmp_path / "more", "9.jpg", 9)
    user.import_(tmp_path / "more")
    with pytest.raises(NotOneCopy, match=r"2 folders are working copies; name one: .*images here"):
        user.status()
    user.checkout("main", tmp_path / "out")
    assert user.status().folder == str(tmp_path / "out")


def test_links_and_odd_names_are_told_and_never_followed(user, folder, tmp_path):
    user.import_(folder)
    user.put(tmp_path / "elsewhere", "secret.jpg", 7)
    (folder / "link.jpg").symlink_to(tmp_path / "elsewhere/secret.jpg")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / os.fsdecode(b"\xff.jpg")).touch()
    found = user.status(folder)
    assert found.is_clean
    assert [one.split(":")[0] for one in sorted(found.not_looked_at)] == [
        "\\xff.jpg",
        "link.jpg",
        "linked",
    ]


def test_hidden_files_and_folders_are_not_looked_at(user, folder):
    user.import_(folder)
    user.put(folder, ".cache/9.jpg", 9)
    user.put(folder, ".hidden.jpg", 9)
    assert user.status(folder).is_clean
    assert set(scan_folder(str(folder)).files) == {"3.jpg", "a/1.jpg", "a/2.jpg"}


@pytest.mark.sqlite_only
def test_the_quick_status_is_the_status(user, folder):
    user.import_(folder)
    assert quick_status(user.workspace.root, str(folder)) == user.status(folder)
    user.put(folder, "b/4.jpg", 4)  # it has to be read, and may be one that was erased
    assert quick_status(user.workspace.root, str(folder)) is None


def test_a_damaged_note_of_a_copy_is_as_good_as_none(user, folder):
    user.import_(folder)
    (path,) = (user.workspace.state / "copies").glob("*.copy")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(NoWorkingCopy):
        user.status(folder)
    assert not user.import_(folder).is_new
    assert user.status(folder).is_clean
