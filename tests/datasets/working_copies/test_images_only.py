"""A folder of images without labels is a data set too."""

import os

import pytest

from sightloop.datasets.errors import UnknownFormat
from sightloop.datasets.working_copies.labels import labels_of


def test_names_are_relative_and_nothing_is_labelled(user, folder):
    samples = user.samples(user.import_(folder).commit)
    assert set(samples) == {"a/1.jpg", "a/2.jpg", "3.jpg"}
    assert all(one.labelled_for == [] for one in samples.values())
    assert labels_of(samples["3.jpg"], {}) is None


def test_what_is_no_image_is_counted_and_left_alone(user, folder):
    (folder / "notes.txt").write_text("hello")
    imported = user.import_(folder)
    assert (imported.n_samples, len(imported.notes)) == (3, 1)
    assert "1 files are no images" in imported.notes[0].text


def test_links_odd_names_and_broken_files_are_problems_and_the_rest_goes_in(user, folder, tmp_path):
    user.put(tmp_path / "elsewhere", "secret.jpg", 7)
    (folder / "link.jpg").symlink_to(tmp_path / "elsewhere/secret.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / os.fsdecode(b"\xff.jpg")).touch()
    imported = user.import_(folder)
    assert imported.n_samples == 3
    assert sorted(one.file for one in imported.problems) == ["\\xff.jpg", "broken.jpg", "link.jpg"]


def test_a_folder_without_an_image_is_no_data_set(user, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("hello")
    with pytest.raises(UnknownFormat, match="--format"):
        user.import_(tmp_path / "notes")


def test_importing_images_again_leaves_their_labels_alone(user, labelled, jpeg, tmp_path):
    user.put(tmp_path / "plain", "other.jpg", 1)
    imported = user.import_(tmp_path / "plain")
    assert not imported.is_new
    assert user.samples(imported.commit)["1.jpg"].annotations
