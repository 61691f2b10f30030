"""Committing a folder: exactly what status shows, onto exactly the branch it was seen on."""

import json

import pytest

from sightloop.datasets.branches import list_branches
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.comparing import DiffCommits, diff_commits
from sightloop.datasets.samples import read_commit
from sightloop.datasets.upkeep.erasing import EraseData, erase_data
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.datasets.working_copies.errors import CopyBehind, FilesRefused, NoBranch
from sightloop.testing.workspaces import LOCAL_CALL


def box_kinds(user, before, after):
    found = diff_commits(user.workspace, LOCAL_CALL, DiffCommits(before=before, after=after))
    return {kind: n for kind, n in found.summary.boxes.items() if n}


def edit_labels(folder, name, change):
    path = folder / "labels" / f"{name}.json"
    labels = json.loads(path.read_text())
    change(labels)
    path.write_text(json.dumps(labels))


def test_what_status_shows_is_committed_and_then_nothing_is_left(user, folder):
    user.import_(folder)
    user.put(folder, "b/4.jpg", 4)
    user.put(folder, "a/1.jpg", 5)
    (folder / "3.jpg").unlink()
    (folder / "a/2.jpg").rename(folder / "a/two.jpg")
    made = user.commit(folder, message="four things")
    assert (made.n_added, made.n_changed, made.n_removed) == (2, 1, 2)
    assert set(user.samples(made.commit)) == {"b/4.jpg", "a/1.jpg", "a/two.jpg"}
    assert user.status(folder).is_clean
    again = user.commit(folder)
    assert (again.is_new, again.commit) == (False, made.commit)


def test_a_folder_never_removes_what_it_did_not_contain(user, folder, tmp_path):
    user.import_(folder)
    user.put(tmp_path / "more", "9.jpg", 9)
    user.import_(tmp_path / "more")
    (tmp_path / "more/9.jpg").unlink()
    made = user.commit(tmp_path / "more")
    assert made.n_removed == 1
    assert set(user.samples(made.commit)) == {"a/1.jpg", "a/2.jpg", "3.jpg"}


def test_a_second_file_of_the_same_image_is_no_sample_and_no_loss(user, folder):
    user.import_(folder)
    user.put(folder, "twin.jpg", 3)
    assert user.commit(folder).n_added == 0
    (folder / "3.jpg").unlink()
    made = user.commit(folder)
    assert (made.n_removed, len(user.samples(made.commit))) == (0, 3)
    (folder / "twin.jpg").unlink()
    assert user.commit(folder).n_removed == 1


def test_a_branch_that_moved_on_refuses_and_nothing_is_lost(user, folder, tmp_path):
    base = user.import_(folder).commit
    user.put(tmp_path / "more", "9.jpg", 9)
    head = user.import_(tmp_path / "more").commit
    user.put(folder, "4.jpg", 4)
    with pytest.raises(CopyBehind, match="--branch") as refused:
        user.commit(folder)
    assert (refused.value.code, refused.value.facts["base"]) == ("DATA-073", base)
    assert user.status(folder).new == ["4.jpg"]
    made = user.commit(folder, branch="mine")
    assert set(user.samples(made.commit)) == {"a/1.jpg", "a/2.jpg", "3.jpg", "4.jpg"}
    heads = {one.name: one.commit for one in list_branches(user.workspace, LOCAL_CALL)}
    assert heads == {"main": head, "mine": made.commit}
    assert user.status(folder).branch == "mine"


def test_of_two_writers_one_wins_and_the_other_keeps_his_files(user, folder, tmp_path):
    user.import_(folder)
    first, second = tmp_path / "first", tmp_path / "second"
    for at, copy in enumerate((first, second)):
        user.checkout("main", copy, format="images")
        user.put(copy, f"new{at}.jpg", 20 + at)
    made = user.commit(first)
    with pytest.raises(CopyBehind):
        user.commit(second)
    assert "new0.jpg" in user.samples(made.commit)
    assert user.status(second).new == ["new1.jpg"]


def test_files_that_are_no_images_are_named_and_stay_a_change(user, folder):
    user.import_(folder)
    user.put(folder, "4.jpg", 4)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "a/1.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(FilesRefused, match="2 files") as refused:
        user.commit(folder, strict=True)
    assert refused.value.code == "DATA-076"
    made = user.commit(folder)
    assert (made.n_added, made.n_removed, len(made.problems)) == (1, 0, 2)
    left = user.status(folder)
    assert (left.new, left.changed) == (["bad.jpg"], ["a/1.jpg"])


def test_a_copy_of_a_commit_needs_a_branch_to_commit_to(user, folder, tmp_path):
    base = user.import_(folder).commit
    user.checkout(base, tmp_path / "out")
    user.put(tmp_path / "out", "images/4.jpg", 4)
    with pytest.raises(NoBranch, match="--branch"):
        user.commit(tmp_path / "out")
    assert user.commit(tmp_path / "out", branch="fix").n_added == 1


def test_an_edited_label_file_changes_that_sample_and_keeps_ids(user, labelled):
    base = user.status(labelled).base

    def move(labels):
        labels["annotations"][0]["geometry"] = ["box", 2, 2, 12, 12]

    edit_labels(labelled, "1.jpg", move)
    assert user.status(labelled).relabelled == ["images/1.jpg"]
    made = user.commit(labelled)
    assert (made.n_added, made.n_changed, made.n_removed) == (0, 1, 0)
    assert box_kinds(user, base, made.commit) == {"moved": 1}


def test_an_object_drawn_by_hand_without_id_is_new_or_the_one_that_was_there(user, labelled):
    base = user.status(labelled).base

    def draw(labels):
        del labels["annotations"][0]["id"]
        labels["annotations"][0]["class"] = "hole"
        labels["annotations"].append({"class": "Pin hole", "geometry": ["box", 20, 10, 30, 20]})

    edit_labels(labelled, "1.jpg", draw)
    made = user.commit(labelled)
    assert box_kinds(user, base, made.commit) == {"added": 1, "relabelled": 1, "edited": 1}
    names = read_commit(user.workspace, made.commit).taxonomy.class_names
    assert names == ["spot", "hole", "Pin hole"]
    assert user.status(labelled).is_clean


def test_a_removed_label_file_means_no_labels(user, labelled):
    (labelled / "labels/2.jpg.json").unlink()
    made = user.commit(labelled)
    sample = user.samples(made.commit)["2.jpg"]
    assert (sample.annotations, sample.labelled_for) == ([], [])


def test_a_new_image_comes_with_its_label_file(user, labelled):
    user.put(labelled, "images/4.jpg", 4)
    text = '{"annotations": [{"class": "spot", "geometry": ["box", 1, 1, 5, 5]}]}'
    (labelled / "labels/4.jpg.json").write_text(text)
    made = user.commit(labelled)
    (drawn,) = user.samples(made.commit)["4.jpg"].annotations
    assert (drawn.class_id, drawn.source, drawn.state) == ("spot", "human", "verified")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no label file"),
        ('{"annotations": [{"class": "spot", "geometry": ["box", 5, 1, 5, 5]}]}', "without area"),
        ('{"annotation": []}', "unknown field"),
        ('{"format": "sightloop.labels/9"}', "Invalid enum value"),
        (
            '{"annotations": [{"class": "a", "geometry": ["box", 1, 1, 5, 5], "id": "x"}]}',
            "the annotation id 'x'",
        ),
    ],
)
def test_a_label_file_that_cannot_be_understood_is_named(user, labelled, text, why):
    (labelled / "labels/1.jpg.json").write_text(text)
    with pytest.raises(FilesRefused, match=why) as refused:
        user.commit(labelled, strict=True)
    assert "labels/1.jpg.json" in refused.value.message
    with pytest.raises(FilesRefused, match=why):
        user.commit(labelled)
    assert user.status(labelled).relabelled == ["images/1.jpg"]


def test_a_moved_box_of_a_coco_folder_stays_the_same_annotation(user, coco):
    base = user.import_(_written(coco)).commit
    coco.annotations[0]["bbox"] = [2, 3, 10, 10]
    coco.annotations[1]["category_id"] = 3
    _written(coco)
    assert user.status(coco.root).relabelled == ["images/a/1.jpg"]
    made = user.commit(coco.root)
    assert made.n_changed == 1
    assert box_kinds(user, base, made.commit) == {"moved": 1, "relabelled": 1}
    assert user.status(coco.root).is_clean


def test_a_moved_box_stays_the_same_annotation_when_a_folder_is_imported_again(user, coco):
    base = user.import_(_written(coco)).commit
    coco.annotations[0]["bbox"] = [2, 3, 10, 10]
    again = user.import_(_written(coco))
    assert box_kinds(user, base, again.commit) == {"moved": 1}


def test_images_of_a_coco_folder_come_and_go_with_its_list(user, coco):
    user.import_(_written(coco))
    coco.add("new.jpg", user._jpeg(50))
    (coco.root / "images/unlisted.jpg").write_bytes(user._jpeg(51))
    coco.images = [one for one in coco.images if one["file_name"] != "3.jpg"]
    _written(coco)
    found = user.status(coco.root)
    assert (found.new, found.gone) == (["images/new.jpg"], ["images/3.jpg"])
    assert found.unlisted == ["images/unlisted.jpg"]
    made = user.commit(coco.root)
    assert set(user.samples(made.commit)) == {"a/1.jpg", "a/2.jpg", "new.jpg"}


def test_what_a_format_cannot_say_stays_with_its_samples(user, stored, tmp_path):
    sample = stored(1, tags=["night"], lane="novel", labelled_for=[], slices={"line": "A"})
    request = CommitSamples(
        branch="main", message="m", upserts=[sample, stored(2)], new_classes=["spot", "hole"]
    )
    commit_samples(user.workspace, LOCAL_CALL, request)
    user.checkout("main", tmp_path / "coco", format="coco")
    path = tmp_path / "coco/annotations.json"
    path.write_text(path.read_text().replace("1.0", "1.5", 1))
    made = user.commit(tmp_path / "coco")
    assert made.n_changed == 1
    after = user.samples(made.commit)["1.jpg"]
    assert (after.tags, after.lane, after.slices) == (["night"], "novel", {"line": "A"})
    assert after.labelled_for == []
    assert after.annotations[0].id == sample.annotations[0].id


def _written(coco):
    coco.request()
    return coco.root


def test_what_was_erased_does_not_come_in_again(user, folder, workspace):
    sample = user.samples(user.import_(folder).commit)["3.jpg"]
    wanted = Wanted(samples=[sample.id])
    erase_data(workspace, LOCAL_CALL, EraseData(wanted=wanted, reason="a wish"))
    user.checkout("main", folder)
    user.put(folder, "again.jpg", 3)
    with pytest.raises(FilesRefused) as refused:
        user.commit(folder)
    problems = refused.value.facts["problems"]
    assert [one.split(":")[0] for one in problems] == ["3.jpg", "again.jpg"]
    assert all("erased" in one for one in problems)
