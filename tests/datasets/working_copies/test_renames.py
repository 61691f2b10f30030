"""Labels follow their image."""

import json

import pytest

from sightloop.datasets.working_copies.errors import FilesRefused


def test_a_renamed_image_keeps_its_labels_and_slices(user, labelled):
    before = user.samples(user.status(labelled).base)["1.jpg"]
    (labelled / "images/1.jpg").rename(labelled / "images/one.jpg")
    made = user.commit(labelled)
    after = user.samples(made.commit)["one.jpg"]
    assert before.annotations
    assert (after.annotations, after.slices) == (before.annotations, before.slices)
    assert (labelled / "labels/one.jpg.json").is_file()
    assert not (labelled / "labels/1.jpg.json").exists()
    assert user.status(labelled).is_clean
    assert not user.commit(labelled).is_new


def test_an_edited_label_file_under_the_old_name_counts(user, labelled):
    (labelled / "images/1.jpg").rename(labelled / "images/one.jpg")
    path = labelled / "labels/1.jpg.json"
    labels = json.loads(path.read_text())
    labels["tags"] = ["night"]
    path.write_text(json.dumps(labels))
    made = user.commit(labelled)
    assert user.samples(made.commit)["one.jpg"].tags == ["night"]
    assert user.status(labelled).is_clean


@pytest.mark.parametrize("is_moved", [True, False])
def test_a_label_file_under_the_new_name_counts(user, labelled, is_moved):
    (labelled / "images/1.jpg").rename(labelled / "images/one.jpg")
    old, new = labelled / "labels/1.jpg.json", labelled / "labels/one.jpg.json"
    new.write_text('{"tags": ["new"]}')
    if is_moved:
        old.unlink()
    made = user.commit(labelled)
    assert user.samples(made.commit)["one.jpg"].tags == ["new"]
    assert user.status(labelled).is_clean


def test_a_rename_with_its_label_file_lost_loses_no_annotations(user, labelled):
    (labelled / "images/1.jpg").rename(labelled / "images/one.jpg")
    (labelled / "labels/1.jpg.json").unlink()
    made = user.commit(labelled)
    assert user.samples(made.commit)["one.jpg"].annotations


def test_a_second_file_of_an_image_takes_no_labels_away(user, labelled):
    (labelled / "images/twin.jpg").write_bytes((labelled / "images/1.jpg").read_bytes())
    user.commit(labelled)
    assert user.samples(user.status(labelled).base)["1.jpg"].annotations


def swap(folder, kind, ending):
    first, second = (folder / kind / f"{n}.jpg{ending}" for n in (1, 2))
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)


def test_images_that_changed_places_without_their_labels_are_held_back(user, labelled):
    base = user.status(labelled).base
    swap(labelled, "images", "")
    assert [one.split(":")[0] for one in user.status(labelled).problems] == [
        "images/1.jpg",
        "images/2.jpg",
    ]
    with pytest.raises(FilesRefused, match="still has the labels of"):
        user.commit(labelled)
    swap(labelled, "labels", ".json")
    made = user.commit(labelled)
    before, after = (
        {one.id: one for one in user.samples(at).values()} for at in (base, made.commit)
    )
    assert {key: one.annotations for key, one in after.items()} == {
        key: one.annotations for key, one in before.items()
    }
    assert user.status(labelled).is_clean


def test_a_sample_whose_image_is_held_back_is_not_removed(user, labelled):
    (labelled / "labels/2.jpg.json").unlink()
    user.commit(labelled)
    swap(labelled, "images", "")
    user.put(labelled, "images/4.jpg", 4)
    made = user.commit(labelled)
    assert (made.n_removed, len(made.problems)) == (0, 1)
    assert len(user.samples(made.commit)) == 4
