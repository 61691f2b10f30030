"""Checkout: a folder becomes a commit's, at the cost of the difference, losing nothing local."""

import os

import pytest

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import BadFilter, FolderInUse, NoSuchRef, UnknownFormat
from sightloop.datasets.working_copies.errors import LocalChanges, OtherFormat
from sightloop.testing.workspaces import LOCAL_CALL


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def commit(user, *samples, **fields):
    request = CommitSamples(branch="main", message="m", upserts=list(samples), **fields)
    return commit_samples(user.workspace, LOCAL_CALL, request).commit


def test_a_checkout_has_every_image_as_it_came_in_and_is_clean(user, folder, tmp_path):
    user.import_(folder)
    made = user.checkout("main", tmp_path / "out", format="images")
    assert (made.n_samples, made.n_written, made.branch) == (3, 3, "main")
    for name in ("a/1.jpg", "a/2.jpg", "3.jpg"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
    assert user.status(tmp_path / "out").is_clean


def test_images_without_labels_have_no_label_file(user, folder, tmp_path):
    user.import_(folder)
    user.checkout("main", tmp_path / "out")
    assert names_in(tmp_path / "out") == {"images/a/1.jpg", "images/a/2.jpg", "images/3.jpg"}


@pytest.mark.parametrize("format_", ["sightloop", "images", "coco", "yolo", "yolo-ndjson"])
def test_a_checkout_of_any_format_commits_nothing_of_its_own(user, coco, tmp_path, format_):
    coco.request()
    base = user.import_(coco.root).commit
    user.checkout("main", tmp_path / "out", format=format_)
    assert user.status(tmp_path / "out").is_clean
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            os.utime(path)
    made = user.commit(tmp_path / "out")
    assert (made.is_new, made.commit) == (False, base)


@pytest.mark.parametrize("format_", ["sightloop", "images", "coco", "yolo", "yolo-ndjson"])
def test_a_switch_writes_what_differs_and_removes_what_is_gone(user, stored, tmp_path, format_):
    first = commit(user, stored(1), stored(2), stored(3), new_classes=["spot"])
    gone = stored(3)
    commit(user, stored(4), stored(2, boxes=[]), removals=[gone.id])
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    user.checkout(first, out, format=format_)
    before = {path: path.stat().st_ino for path in out.rglob("1.jpg")}
    switched = user.checkout("main", out)
    user.checkout("main", fresh, format=format_)
    assert {path: path.stat().st_ino for path in out.rglob("1.jpg")} == before
    assert names_in(out) == names_in(fresh)
    assert all((out / one).read_bytes() == (fresh / one).read_bytes() for one in names_in(out))
    assert (
        switched.n_written
        <= {"sightloop": 3, "images": 1, "coco": 2, "yolo": 4, "yolo-ndjson": 2}[format_]
    )
    assert user.status(out).is_clean
    user.checkout(first, out)
    assert user.status(out).base == first


def test_a_switch_refuses_to_overwrite_local_changes_and_names_them(user, labelled, stored):
    commit(user, stored(2, boxes=[]))
    path = labelled / "labels/2.jpg.json"
    path.write_text("{}")
    with pytest.raises(LocalChanges, match=r"labels/2\.jpg\.json") as refused:
        user.checkout("main", labelled)
    assert (refused.value.code, path.read_text()) == ("DATA-072", "{}")
    assert user.status(labelled).relabelled == ["images/2.jpg"]
    user.checkout("main", labelled, force=True)
    assert user.status(labelled).is_clean


def test_local_changes_that_are_not_in_the_way_stay(user, labelled, stored):
    commit(user, stored(2, boxes=[]))
    path = labelled / "labels/1.jpg.json"
    path.write_text("{}")
    user.put(labelled, "images/mine.jpg", 30)
    (labelled / "notes.txt").write_text("mine")
    user.checkout("main", labelled)
    found = user.status(labelled)
    assert (found.relabelled, found.new) == (["images/1.jpg"], ["images/mine.jpg"])
    assert (labelled / "notes.txt").read_text() == "mine"


def test_an_untracked_file_in_the_way_is_not_overwritten_unless_it_is_the_same(
    user, labelled, stored, jpeg
):
    commit(user, stored(4))
    user.put(labelled, "images/4.jpg", 99)
    with pytest.raises(LocalChanges, match=r"images/4\.jpg"):
        user.checkout("main", labelled)
    user.put(labelled, "images/4.jpg", 4)
    user.checkout("main", labelled)
    assert user.status(labelled).is_clean


def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(
    user, labelled, stored, tmp_path
):
    commit(user, stored(4, file_name="deep/4.jpg"))
    (tmp_path / "elsewhere").mkdir()
    (labelled / "images/deep").symlink_to(tmp_path / "elsewhere")
    for force in (False, True):
        with pytest.raises(LocalChanges, match="images/deep"):
            user.checkout("main", labelled, force=force)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_emptied_folder_is_removed_and_one_with_something_else_stays(user, stored, tmp_path):
    samples = stored(1, file_name="a/1.jpg"), stored(2, file_name="b/2.jpg")
    first = commit(user, *samples, new_classes=["spot"])
    commit(user, stored(3), removals=[one.id for one in samples])
    user.checkout(first, tmp_path / "out", format="images")
    (tmp_path / "out/b/notes.txt").write_text("mine")
    user.checkout("main", tmp_path / "out")
    assert names_in(tmp_path / "out") == {"3.jpg", "b/notes.txt"}
    assert not (tmp_path / "out/a").exists()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"slices": ["line=A"]}, {"2.jpg"}),
        ({"slices": ["line=B"]}, {"1.jpg", "3.jpg"}),
        ({"class_name": "spot"}, {"1.jpg", "2.jpg", "3.jpg"}),
        ({"lane": "none", "tag": "odd"}, set()),
    ],
)
def test_a_sparse_copy_has_what_the_query_fits_and_removes_nothing_else(
    user, labelled, tmp_path, query, names
):
    out = tmp_path / "sparse"
    made = user.checkout("main", out, **query)
    assert {path.name for path in (out / "images").rglob("*")} == names if names else True
    assert made.n_samples == len(names)
    for path in out.rglob("*.jp*"):
        path.unlink()
    made = user.commit(out)
    assert made.n_removed == len(names)
    if made.commit is not None and len(names) < 3:
        assert len(user.samples(made.commit)) == 3 - len(names)


def test_a_sparse_copy_stays_sparse_until_everything_is_asked_for(user, labelled, stored, tmp_path):
    out = tmp_path / "sparse"
    user.checkout("main", out, slices=["line=B"])
    commit(user, stored(5, slices={"line": "B"}), stored(6, slices={"line": "A"}))
    assert user.checkout("main", out).n_samples == 3
    assert user.checkout("main", out, everything=True).n_samples == 5
    assert user.status(out).wanted.is_everything


def test_a_folder_with_an_imported_part_of_a_branch_becomes_all_of_it(user, folder, tmp_path):
    user.import_(folder)
    user.put(tmp_path / "more", "9.jpg", 9)
    user.import_(tmp_path / "more")
    assert user.checkout("main", tmp_path / "more").n_samples == 4
    assert names_in(tmp_path / "more") == {"9.jpg", "3.jpg", "a/1.jpg", "a/2.jpg"}


def test_images_that_share_a_name_or_have_an_impossible_one_get_one_each(user, stored, tmp_path):
    names = ["a.jpg", "a.jpg", "../up.jpg", "/abs.jpg", ".hidden.jpg", "a.jpg/b.jpg", "x\0.jpg", ""]
    samples = [stored(seed, file_name=name) for seed, name in enumerate(names, start=1)]
    commit(user, *samples, new_classes=["spot"])
    user.checkout("main", tmp_path / "out/copy")
    images = [one for one in names_in(tmp_path / "out") if one.startswith("copy/images/")]
    assert len(images) == len(names_in(tmp_path / "out")) / 2 == len(names)
    assert user.status(tmp_path / "out/copy").is_clean
    assert not (tmp_path / "up.jpg").exists()
    assert not (tmp_path / "out/copy/up.jpg").exists()


def test_a_renamed_class_is_renamed_in_every_label_file(user, labelled, stored, workspace):
    import msgspec

    from sightloop.datasets.changes import Change
    from sightloop.datasets.drafts import Target, commit_change

    def change_on(head):
        classes = [msgspec.structs.replace(one, name="Fleck") for one in head.taxonomy.classes]
        return Change([], msgspec.structs.replace(head.taxonomy, classes=classes))

    commit_change(workspace, LOCAL_CALL, target=Target("main", "m"), change_on=change_on)
    user.checkout("main", labelled)
    texts = [path.read_text() for path in (labelled / "labels").iterdir()]
    assert all("Fleck" in text and "spot" not in text for text in texts)


def test_links_are_the_stored_files_and_nobody_may_write_to_them(user, folder, tmp_path):
    user.import_(folder)
    made = user.checkout("main", tmp_path / "out", format="images", link=True)
    path = tmp_path / "out/3.jpg"
    assert (made.links, path.stat().st_nlink) == ("hard link", 2)
    assert path.stat().st_mode & 0o222 == 0
    assert user.status(tmp_path / "out").is_clean


def test_copies_can_be_edited_without_touching_the_store(user, folder, tmp_path):
    commit_ = user.import_(folder).commit
    user.checkout("main", tmp_path / "out", format="images")
    with (tmp_path / "out/3.jpg").open("ab") as file:
        file.write(b"more")
    image = user.samples(commit_)["3.jpg"].image
    assert user.workspace.blobs.read(image) == (folder / "3.jpg").read_bytes()


def test_refusals_come_before_anything_is_written(user, folder, tmp_path):
    user.import_(folder)
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").write_text("mine")
    for ref, target, fields, error in (
        ("nothing", "out", {}, NoSuchRef),
        ("main", "used", {}, FolderInUse),
        ("main", "out", {"format": "nonsense"}, UnknownFormat),
        ("main", "out", {"class_name": "nonsense"}, BadFilter),
        ("main", "out", {"split": "nonsense"}, BadFilter),
        ("main", "out", {"slices": ["nonsense"]}, BadFilter),
    ):
        with pytest.raises(error):
            user.checkout(ref, tmp_path / target, **fields)
    assert not (tmp_path / "out").exists()
    with pytest.raises(OtherFormat, match="images"):
        user.checkout("main", folder, format="coco")
