"""Training views: the right images and boxes, read-only, and any change is found."""

import os
import stat
from dataclasses import replace

import msgspec
import pytest

from sightloop.contracts.decode import decode
from sightloop.contracts.job import LabelledBox, View
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import BadRepeat, FolderInUse, ViewChanged
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.views import check_view, write_view
from sightloop.kernel.blobs import BlobDamaged, BlobMissing
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.testing.workspaces import LOCAL_CALL

RULE = SplitRule(train=0.5, val=0.3, test=0.2)


@pytest.fixture
def commit(workspace, stored):
    """Twenty samples on two lines, one of them for audit."""
    samples = [stored(seed, slices={"line": "AB"[seed % 2]}) for seed in range(20)]
    samples[0] = msgspec.structs.replace(samples[0], reserved="audit")
    request = CommitSamples(
        branch="main", message="m", upserts=samples, new_classes=["spot"], split_rule=RULE
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


@pytest.fixture
def linking(workspace):
    """The workspace where even a byte is too much to copy."""
    return replace(workspace, config=Config(training=TrainingConfig(copy_limit_bytes=0)))


def commit_one(workspace, sample, n_classes=1):
    request = CommitSamples(
        branch="one", message="m", upserts=[sample], new_classes=["spot", "hole"][:n_classes]
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


def overwrite(path, content):
    """As an engine running with all rights does."""
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_view_holds_train_and_val_and_nothing_else(workspace, commit, tmp_path):
    written = write_view(workspace, commit, tmp_path / "view")
    wanted = {
        one.id: split_of(one, RULE)
        for one in read_samples(workspace, commit)
        if split_of(one, RULE) in ("train", "val")
    }
    assert {one.file: one.split for one in written.view.images} == {
        f"images/{sample}.jpg": split for sample, split in wanted.items()
    }
    assert len(list((tmp_path / "view/images").iterdir())) == len(wanted)


def test_the_list_on_disk_is_the_view_returned(workspace, commit, tmp_path):
    written = write_view(workspace, commit, tmp_path / "view")
    content = (tmp_path / "view/view.json").read_bytes()
    assert decode(content, View, what="view") == written.view
    assert written.view.dataset_commit == commit
    assert written.view.class_names == ["spot"]


@pytest.mark.parametrize("kind", ["copy", "hard link"])
def test_the_files_are_the_blobs_and_read_only(workspace, linking, commit, tmp_path, kind):
    chosen = workspace if kind == "copy" else linking
    written = write_view(chosen, commit, tmp_path / "view")
    assert written.links in (kind, "reflink")
    for one in written.files:
        path = tmp_path / "view" / one.file
        assert path.read_bytes() == workspace.blobs.read(one.image)
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "view").stat().st_mode) == 0o700


def test_only_boxes_somebody_vouches_for_are_shown(workspace, stored, tmp_path):
    sample = stored(1, boxes=[BoxPx(0, 0, 4, 4), BoxPx(1, 1, 5, 5), BoxPx(2, 2, 6, 6)])
    annotations = [
        msgspec.structs.replace(one, **fields)
        for one, fields in zip(
            sorted(sample.annotations, key=lambda one: one.geometry.x1),
            [
                {"state": "proposed", "source": "pcb@1"},
                {"state": "verified", "source": "pcb@1"},
                {"attributes": {"iscrowd": True}},
            ],
            strict=True,
        )
    ]
    commit = commit_one(workspace, msgspec.structs.replace(sample, annotations=annotations))
    written = write_view(workspace, commit, tmp_path / "view")
    assert [one.boxes for one in written.view.images] == [[LabelledBox(0, 1, 1, 5, 5)]]


def test_training_images_of_a_stratum_are_shown_as_often_as_asked(workspace, commit, tmp_path):
    written = write_view(workspace, commit, tmp_path / "view", repeats={"line=B": 3, "line=A": 1})
    lines = {one.id: one.slices["line"] for one in read_samples(workspace, commit)}
    for one in written.view.images:
        is_rare = one.split == "train" and lines[one.file[7:39]] == "B"
        assert one.repeat == (3 if is_rare else 1)


@pytest.mark.parametrize("repeat", [0, -1, 101])
def test_an_odd_number_of_repeats_is_refused(workspace, commit, tmp_path, repeat):
    with pytest.raises(BadRepeat, match="from 1 to 100") as caught:
        write_view(workspace, commit, tmp_path / "view", repeats={"line=B": repeat})
    assert caught.value.code == "DATA-009"


def test_images_that_lack_labels_for_a_class_are_counted(workspace, stored, tmp_path):
    commit = commit_one(workspace, stored(1), n_classes=2)
    assert read_commit(workspace, commit).taxonomy.class_ids == ["spot", "hole"]
    assert write_view(workspace, commit, tmp_path / "view").n_partly_labelled == 1


def test_an_untouched_view_passes_its_check(workspace, commit, tmp_path):
    written = write_view(workspace, commit, tmp_path / "view")
    os.utime(tmp_path / "view" / written.files[0].file)  # touched, but not changed
    check_view(workspace, written)


@pytest.mark.parametrize("how", ["changed", "removed", "replaced"])
def test_a_touched_image_is_named(workspace, commit, tmp_path, how):
    written = write_view(workspace, commit, tmp_path / "view")
    touched = tmp_path / "view" / written.files[1].file
    if how == "changed":
        overwrite(touched, b"x" * touched.stat().st_size)
    else:
        touched.unlink()
    if how == "replaced":
        touched.write_bytes(b"other")
    with pytest.raises(ViewChanged, match=written.files[1].file) as caught:
        check_view(workspace, written)
    assert caught.value.code == "DATA-032"
    assert "train again" in caught.value.message


def test_writing_through_a_hard_link_is_told_as_damage_to_the_store(linking, commit, tmp_path):
    written = write_view(linking, commit, tmp_path / "view")
    overwrite(tmp_path / "view" / written.files[0].file, b"x")
    if written.links == "hard link":
        with pytest.raises(ViewChanged, match="the stored images changed too"):
            check_view(linking, written)


def test_writing_into_a_copy_leaves_the_store_alone(workspace, commit, tmp_path):
    written = write_view(workspace, commit, tmp_path / "view")
    overwrite(tmp_path / "view" / written.files[0].file, b"x")
    assert workspace.blobs.read(written.files[0].image)


def test_a_view_is_not_written_over_something_else(workspace, commit, tmp_path):
    (tmp_path / "view").write_text("a file")
    with pytest.raises(FolderInUse):
        write_view(workspace, commit, tmp_path / "view")


def test_a_view_that_cannot_be_finished_is_not_there(workspace, commit, tmp_path):
    image = write_view(workspace, commit, tmp_path / "first").files[-1].image
    blob = workspace.blobs.local_path(image)
    overwrite(blob, b"damaged")
    with pytest.raises(BlobDamaged):
        write_view(workspace, commit, tmp_path / "view")
    blob.unlink()
    with pytest.raises(BlobMissing):
        write_view(workspace, commit, tmp_path / "view")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "workspace"]


def test_what_a_killed_process_left_is_swept_away(workspace, commit, tmp_path):
    (tmp_path / ".view.partial/images").mkdir(parents=True)
    write_view(workspace, commit, tmp_path / "view")
    assert not (tmp_path / ".view.partial").exists()
