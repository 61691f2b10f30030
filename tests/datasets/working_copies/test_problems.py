"""Status tells what a commit leaves out, and a commit that leaves out everything fails."""

import json

import pytest

from sightloop.cli.views import data_copies as views
from sightloop.datasets.upkeep.erasing import EraseData, erase_data
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.datasets.working_copies.errors import FilesRefused
from sightloop.testing.workspaces import LOCAL_CALL

AROUND = '{"annotations": [{"class": "stain", "geometry": ["box", 1, 1, 900, 5]}]}'


def shown(renderable):
    return "\n".join(one.plain for one in renderable.renderables if hasattr(one, "plain"))


@pytest.mark.parametrize("text", ["{", AROUND, AROUND.replace("900", "1")])
def test_status_tells_what_is_wrong_with_a_label_file_as_commit_does(user, labelled, text):
    (labelled / "labels/1.jpg.json").write_text(text)
    (told,) = user.status(labelled).problems
    assert told.startswith("labels/1.jpg.json: ")
    assert "BoxPx" not in told
    with pytest.raises(FilesRefused) as refused:
        user.commit(labelled)
    assert refused.value.facts["problems"] == [told]
    assert "--strict" not in refused.value.message
    assert told in shown(views.status(user.status(labelled)))


def test_a_box_outside_its_image_keeps_no_other_file_from_being_committed(user, labelled):
    (labelled / "labels/1.jpg.json").write_text(AROUND)
    (labelled / "labels/2.jpg.json").write_text('{"tags": ["night"]}')
    made = user.commit(labelled)
    assert (made.n_changed, len(made.problems)) == (1, 1)
    found = user.status(labelled)
    assert (found.relabelled, found.new_classes) == (["images/1.jpg"], [])
    assert found.problems == made.problems


def test_unreadable_and_erased_images_are_told(user, labelled, workspace):
    sample = user.samples(user.status(labelled).base)["3.jpg"]
    erase = EraseData(wanted=Wanted(samples=[sample.id]), reason="a wish")
    erase_data(workspace, LOCAL_CALL, erase)
    user.checkout("main", labelled)
    (labelled / "images/bad.jpg").write_bytes(b"\xff\xd8\xff")
    blobs = sorted(workspace.blobs.root.rglob("*"))
    told = user.status(labelled).problems
    assert sorted(workspace.blobs.root.rglob("*")) == blobs
    assert [one.split(":")[0] for one in told] == ["images/3.jpg", "images/bad.jpg"]
    assert "erased" in told[0]


def test_a_new_class_is_told_before_it_is_committed(user, labelled):
    path = labelled / "labels/1.jpg.json"
    path.write_text(path.read_text().replace('"spot"', '"spott"'))
    found = user.status(labelled)
    assert found.new_classes == ["spott"]
    text = shown(views.status(found))
    assert "new class: spott" in text
    assert "labels changed: images/1.jpg" in text
    user.commit(labelled)
    assert user.status(labelled).new_classes == []


def test_label_files_of_deleted_images_are_told(user, labelled):
    (labelled / "images/1.jpg").unlink()
    found = user.status(labelled)
    assert (found.gone, found.orphaned) == (["images/1.jpg"], ["labels/1.jpg.json"])
    assert json.loads((labelled / "labels/1.jpg.json").read_text())
    assert "labels/1.jpg.json" in shown(views.status(found))
