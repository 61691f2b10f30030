"""Erasing: gone from every version and from the disk, and everything else goes on."""

import msgspec
import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.browsing import ShowStatistics, show_statistics
from sightloop.datasets.errors import BadFilter, ImageErased
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.indexes import index_of
from sightloop.datasets.samples import iterate_samples, read_samples
from sightloop.datasets.store import list_refs
from sightloop.datasets.tombstones import find_tombstones, unfinished_tombstones
from sightloop.datasets.upkeep.collecting import CollectGarbage, collect_garbage
from sightloop.datasets.upkeep.erasing import DATA_ERASED, EraseData, erase_data
from sightloop.datasets.upkeep.errors import NothingNamed, NothingToErase
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.datasets.values import Capture
from sightloop.datasets.working_copies.checkout import CheckoutCopy, checkout_copy
from sightloop.datasets.working_copies.committing import CommitCopy, commit_copy
from sightloop.datasets.working_copies.errors import FilesRefused
from sightloop.kernel import steps
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL

JANE = {"file_name": "visitors/jane-doe.jpg", "slices": {"person": "Jane"}}


def erase(workspace, *, is_dry_run=False, **wanted):
    request = EraseData(wanted=Wanted(**wanted), reason="she asked", is_dry_run=is_dry_run)
    return erase_data(workspace, LOCAL_CALL, request)


def ids_on(workspace, branch):
    with workspace.db.read() as tx:
        (head,) = (ref.commit for ref in list_refs(tx, "branch") if ref.name == branch)
        return {one.id for one in iterate_samples(tx, head)}


def finds(workspace, needle):
    """Files of the workspace that hold these bytes."""
    return [
        path.relative_to(workspace.root).as_posix()
        for path in workspace.root.rglob("*")
        if path.is_file() and needle in path.read_bytes()
    ]


def test_a_sample_goes_from_every_branch_and_every_version(workspace, stored, commit):
    jane, other = stored(1, **JANE), stored(2)
    first = commit(jane, other)
    commit(msgspec.structs.replace(jane, tags=["edited"]))
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="side", at=first))
    account = erase(workspace, samples=[jane.id])
    assert (account.n_samples, account.n_images, account.n_rows) == (1, 1, 2)
    assert [(one.branch, one.n_samples) for one in account.branches] == [("main", 1), ("side", 1)]
    assert account.n_commits == 2
    assert [one.id for one in read_samples(workspace, first)] == [other.id]
    assert ids_on(workspace, "main") == ids_on(workspace, "side") == {other.id}
    assert not workspace.blobs.has(jane.image)
    assert workspace.blobs.has(other.image)


def test_each_branch_says_why_it_moved(workspace, stored, commit):
    jane = stored(1, **JANE)
    commit(jane, stored(2))
    account = erase(workspace, samples=[jane.id])
    with workspace.db.read() as tx:
        (head,) = list_refs(tx, "branch")
        told = [one for one in history(tx) if one.kind == "dataset.committed"]
    assert account.branches[0].commit == head.commit
    assert told[-1].data["n_removed"] == 1


@pytest.mark.parametrize(
    "wanted",
    [{"slices": ["person=Jane"]}, {"tag": "visitor"}, {"slices": ["person=Jane"], "ref": "old"}],
)
def test_samples_are_found_by_what_any_version_says_of_them(workspace, stored, commit, wanted):
    jane = stored(1, tags=["visitor"], **JANE)
    commit(jane, stored(2), branch="old")
    commit(msgspec.structs.replace(jane, tags=[], slices={}), stored(2))
    account = erase(workspace, **wanted)
    assert (account.n_samples, account.n_rows) == (1, 2)
    assert len(ids_on(workspace, "main")) == 1


def test_every_sample_that_shows_the_same_image_goes(workspace, stored, commit):
    one = stored(1)
    twin = stored(1, capture=Capture("cam", "s", 5))
    commit(one, twin, stored(2))
    account = erase(workspace, images=[one.image])
    assert (account.n_samples, account.n_images) == (2, 1)
    assert len(ids_on(workspace, "main")) == 1


@pytest.mark.sqlite_only
def test_no_byte_of_it_is_left_in_the_workspace(workspace, stored, commit, jpeg):
    jane = stored(1, **JANE)
    head = commit(jane, *(stored(seed) for seed in range(2, 90)))
    show_statistics(workspace, LOCAL_CALL, ShowStatistics(ref="main"))
    commit(msgspec.structs.replace(jane, tags=["again"]))
    view = workspace.state / "jobs" / "run_1" / "view" / "1.jpg"
    view.parent.mkdir(parents=True)
    view.write_bytes(jpeg(1))
    half = workspace.blobs.root / "incoming" / "half"
    half.write_bytes(jpeg(1)[:-20])
    needles = (b"jane-doe", b"person=Jane", b'"Jane"', jpeg(1)[-150:-50])
    assert all(finds(workspace, needle) for needle in needles)
    account = erase(workspace, samples=[jane.id])
    assert [finds(workspace, needle) for needle in needles] == [[]] * len(needles)
    assert account.copies == [".sightloop/jobs/run_1/view/1.jpg"]
    assert account.is_log_empty
    assert index_of(workspace, head).n == 88


def test_the_record_of_it_names_nobody(workspace, stored, commit):
    jane = stored(1, **JANE)
    commit(jane, stored(2))
    erase(workspace, samples=[jane.id])
    with workspace.db.read() as tx:
        (told,) = [one for one in history(tx) if one.kind == DATA_ERASED]
        (tombstone,) = find_tombstones(tx, [jane.image]).values()
    assert told.data == {"n_samples": 1, "n_images": 1, "reason": "she asked"}
    assert (tombstone.erased_by, tombstone.reason) == ("local", "she asked")
    assert tombstone.is_finished


def test_a_dry_run_tells_the_same_and_changes_nothing(workspace, stored, commit):
    jane = stored(1, **JANE)
    commit(jane, stored(2))
    before = ids_on(workspace, "main")
    planned = erase(workspace, samples=[jane.id], is_dry_run=True)
    assert ids_on(workspace, "main") == before
    assert workspace.blobs.has(jane.image)
    done = erase(workspace, samples=[jane.id])
    assert planned.file_names == done.file_names == ["visitors/jane-doe.jpg"]
    assert (planned.n_rows, planned.image_bytes) == (done.n_rows, done.image_bytes)


def test_the_account_tells_what_else_knows_of_it(workspace, stored, commit, tmp_path):
    jane = stored(1, **JANE)
    head = commit(jane, stored(2))
    (tmp_path / "copy.jpg").hardlink_to(workspace.blobs.local_path(jane.image))
    with workspace.db.write() as tx:
        for number, inputs in enumerate([{"i": jane.image}, {"c": head}, {"c": head, "n": 1}]):
            steps.ask_for(tx, steps.StepSpec("s", number, inputs), now_ms=1)
    account = erase(workspace, samples=[jane.id])
    (named,) = account.named_by
    assert (named.table, named.n_of_images, named.n_of_commits) == ("steps", 1, 2)
    assert account.n_linked == 1


def test_the_same_bytes_cannot_be_imported_again(workspace, coco):
    import_dataset(workspace, LOCAL_CALL, coco.request())
    with workspace.db.read() as tx:
        (head,) = list_refs(tx, "branch")
        (jane,) = (one for one in iterate_samples(tx, head.commit) if one.file_name == "3.jpg")
    erase(workspace, samples=[jane.id])
    again = import_dataset(workspace, LOCAL_CALL, coco.request(strict=False))
    (problem,) = again.problems
    assert (problem.kind, problem.file) == ("erased", "3.jpg")
    assert "by local (she asked)" in problem.text
    assert again.n_samples == 2
    assert not workspace.blobs.has(jane.image)


def import_folder(workspace, coco):
    coco.request()
    return import_dataset(workspace, LOCAL_CALL, ImportDataset(source=str(coco.root)))


def test_files_in_working_copies_are_listed_and_no_longer_known_by_name(workspace, coco):
    imported = import_folder(workspace, coco)
    with workspace.db.read() as tx:
        (jane,) = (
            one for one in iterate_samples(tx, imported.commit) if one.file_name == "a/1.jpg"
        )
    planned = erase(workspace, samples=[jane.id], is_dry_run=True)
    account = erase(workspace, samples=[jane.id])
    assert planned.in_sources == account.in_sources
    assert account.in_sources == [str(coco.root / "images" / "a" / "1.jpg")]
    assert account.in_folders == []
    assert (coco.root / "images" / "a" / "1.jpg").exists()
    assert finds(workspace, b"a/1.jpg") == []


def test_label_files_of_checkouts_are_listed_and_no_longer_known_by_name(
    workspace, stored, commit, tmp_path
):
    jane = stored(1, **JANE)
    commit(jane, stored(2))
    out = tmp_path / "out"
    checkout_copy(workspace, LOCAL_CALL, CheckoutCopy(ref="main", folder=str(out)))
    account = erase(workspace, samples=[jane.id])
    paths = ("images/visitors/jane-doe.jpg", "labels/visitors/jane-doe.jpg.json")
    assert account.in_folders == [str(out / path) for path in paths]
    assert account.in_sources == []
    assert all((out / path).exists() for path in paths)
    copies = workspace.state / "copies"
    assert not any(b"jane-doe" in path.read_bytes() for path in copies.iterdir())


def test_the_same_bytes_cannot_be_committed_again(workspace, stored, commit):
    jane = stored(1)
    commit(jane, stored(2))
    erase(workspace, samples=[jane.id])
    with pytest.raises(ImageErased, match="she asked"):
        commit(stored(1))
    account = collect_garbage(workspace, LOCAL_CALL, CollectGarbage())
    assert [one.kind for one in account.removed] == ["image or file"]
    assert not workspace.blobs.has(jane.image)


def test_a_crash_before_any_write_is_finished_by_the_next_call(workspace, stored, commit, jpeg):
    other = stored(500)
    commit(other)
    n_steps, step = None, 0
    while n_steps is None or step < n_steps:
        jane = stored(step, file_name=f"jane-{step}.jpg")
        commit(jane)
        commit(msgspec.structs.replace(jane, tags=["again"]), branch="side")
        plan = CrashPlan(before_write=step)
        try:
            erase(crashing(workspace, plan), samples=[jane.id])
            n_steps = step
        except SimulatedCrash:
            assert other.id in ids_on(workspace, "main")
            erase(workspace, samples=[jane.id])
        assert ids_on(workspace, "main") == {other.id}
        assert finds(workspace, f"jane-{step}".encode()) == []
        assert not workspace.blobs.has(jane.image)
        with workspace.db.read() as tx:
            assert unfinished_tombstones(tx) == []
            told = [one for one in history(tx) if one.kind == DATA_ERASED]
        assert len(told) == step + 1
        step += 1
    assert n_steps >= 7


def test_a_commit_between_the_look_and_the_decision_brings_nothing_back(
    workspace, stored, commit, monkeypatch
):
    from sightloop.datasets.upkeep import erasing

    jane = stored(1, **JANE)
    commit(jane, stored(2))
    decide = erasing._decide

    def commit_then_decide(*args, **kwargs):
        commit(msgspec.structs.replace(jane, tags=["late"]), branch="late")
        decide(*args, **kwargs)

    monkeypatch.setattr(erasing, "_decide", commit_then_decide)
    erase(workspace, samples=[jane.id])
    assert ids_on(workspace, "late") == set()
    assert finds(workspace, b"jane-doe") == []


@pytest.mark.sqlite_only
def test_a_reader_that_stays_leaves_the_erasure_unfinished_and_the_next_call_ends_it(
    workspace, stored, commit
):
    jane = stored(1, **JANE)
    commit(jane, stored(2))
    with workspace.db.read() as tx:
        list_refs(tx, "branch")
        account = erase(quick(workspace), samples=[jane.id])
    assert not account.is_log_empty
    account = erase(workspace, samples=[jane.id])
    assert account.is_log_empty
    assert finds(workspace, b"jane-doe") == []


def quick(workspace):
    from dataclasses import replace

    from sightloop.kernel.database import Database

    return replace(workspace, db=Database(workspace.db.url, busy_timeout_s=0.05))


def test_what_fits_nothing_or_everything_is_refused(workspace, stored, commit):
    commit(stored(1))
    with pytest.raises(NothingNamed, match="nothing says what to erase") as caught:
        erase(workspace)
    assert caught.value.code == "DATA-061"
    with pytest.raises(NothingToErase, match="'person=Jane'") as missing:
        erase(workspace, slices=["person=Jane"])
    assert missing.value.code == "DATA-062"
    with pytest.raises(BadFilter):
        erase(workspace, slices=["Jane"])


def test_only_an_admin_may_erase(workspace):
    engineer = Call(Actor(ActorId("eve"), "person", Role.ENGINEER))
    request = EraseData(wanted=Wanted(tag="x"), reason="r")
    with pytest.raises(NotAllowed):
        erase_data(workspace, engineer, request)


def test_a_folder_that_still_has_the_image_cannot_commit_it_again(workspace, coco):
    imported = import_folder(workspace, coco)
    with workspace.db.read() as tx:
        (jane,) = (
            one for one in iterate_samples(tx, imported.commit) if one.file_name == "a/1.jpg"
        )
    erase(workspace, samples=[jane.id])
    again = import_folder(workspace, coco)
    assert [one.kind for one in again.problems] == ["erased"]
    request = CommitCopy(folder=str(coco.root), strict=False)
    with pytest.raises(FilesRefused, match="erased"):
        commit_copy(workspace, LOCAL_CALL, request)
    assert not workspace.blobs.has(jane.image)
