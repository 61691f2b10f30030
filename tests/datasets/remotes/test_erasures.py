"""What is erased in one workspace leaves the remote and the others, and never comes back."""

import pytest

from sightloop.datasets.errors import PushedMeanwhile
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.folder import FolderStore
from sightloop.datasets.remotes.pulling import Pull, pull
from sightloop.datasets.remotes.pushing import Push, push
from sightloop.datasets.remotes.receiving import fetch_blobs, fetch_objects
from sightloop.datasets.remotes.rewriting import rewrite_without
from sightloop.datasets.remotes.sources import reading
from sightloop.datasets.samples import read_samples
from sightloop.datasets.tombstones import find_tombstones, unfinished_tombstones
from sightloop.datasets.upkeep.erasing import EraseData, erase_data
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.datasets.upkeep.verifying import VerifyData, verify_data
from sightloop.datasets.values import encode_row
from sightloop.kernel.digests import digest_of
from sightloop.testing.faults import CrashPlan, SimulatedCrash
from sightloop.testing.remote_stores import crashing_store
from sightloop.testing.workspaces import LOCAL_CALL


def erase(workspace, *images):
    wanted = Wanted(images=list(images))
    erase_data(workspace, LOCAL_CALL, EraseData(wanted=wanted, reason="asked for it"))


def remote_bytes(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def shared(ours, theirs, commit):
    """A commit of twelve images that both have."""
    commit(ours, *range(8))
    head = commit(ours, *range(8, 12))
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    return read_samples(ours, head)


def test_what_is_erased_here_is_gone_from_the_remote_after_a_push(
    shared, ours, theirs, remote_folder, make_workspace
):
    gone, kept = shared[0], shared[1:]
    content = ours.blobs.read(gone.image)
    assert content in remote_bytes(remote_folder)
    erase(ours, gone.image)
    push(ours, LOCAL_CALL, Push())
    assert content not in remote_bytes(remote_folder)
    row = digest_of(encode_row(gone))
    assert fetch_objects(theirs, "origin", [row]) == []
    assert fetch_blobs(theirs, "origin", [gone.image]).missing == [gone.image]
    third = make_workspace("third")
    pulled = pull(third, LOCAL_CALL, Pull())
    assert read_samples(third, pulled.commit) == kept
    assert all(third.blobs.has(one.image) for one in kept)
    assert verify_data(third, LOCAL_CALL, VerifyData()).is_whole
    with third.db.read() as tx:
        assert unfinished_tombstones(tx) == []


def test_a_pull_destroys_what_was_erased_elsewhere(shared, ours, theirs):
    gone = shared[0]
    erase(ours, gone.image)
    push(ours, LOCAL_CALL, Push())
    pulled = pull(theirs, LOCAL_CALL, Pull())
    assert pulled.fetched.n_erased == 2
    assert not theirs.blobs.has(gone.image)
    with theirs.db.read() as tx:
        found = find_tombstones(tx, [gone.image])[gone.image]
    assert (found.reason, found.is_finished) == ("asked for it", True)
    assert gone.id not in {one.id for one in read_samples(theirs, pulled.commit)}
    assert verify_data(theirs, LOCAL_CALL, VerifyData()).is_whole
    assert pull(theirs, LOCAL_CALL, Pull()).fetched.n_erased == 0


def test_who_does_not_know_of_an_erasure_must_pull_before_pushing(shared, ours, theirs, commit):
    erase(ours, shared[0].image)
    push(ours, LOCAL_CALL, Push())
    commit(theirs, 50, branch="other")
    with pytest.raises(PushedMeanwhile, match="an erasure of remote origin"):
        push(theirs, LOCAL_CALL, Push(ref="other"))
    pull(theirs, LOCAL_CALL, Pull())
    assert push(theirs, LOCAL_CALL, Push(ref="other")).n_images == 1


def test_an_erasure_reaches_the_remote_although_no_branch_moves(
    shared, ours, remote_folder, theirs
):
    erase(ours, shared[0].image)
    push(ours, LOCAL_CALL, Push())
    content = theirs.blobs.read(shared[1].image)
    pull(theirs, LOCAL_CALL, Pull())
    erase(theirs, shared[1].image)
    push(theirs, LOCAL_CALL, Push())
    assert content not in remote_bytes(remote_folder)


def test_a_rewrite_that_dies_before_any_write_is_simply_repeated(
    shared, ours, remote_folder, tmp_path, make_workspace
):
    import shutil

    from sightloop.datasets.remotes.connecting import connect

    gone, kept = shared[0], shared[1:]
    content = ours.blobs.read(gone.image)
    digests = [gone.image, digest_of(encode_row(gone))]
    before = tmp_path / "before"
    shutil.copytree(remote_folder, before)

    def rewrite(plan):
        store = crashing_store(FolderStore(remote_folder), plan)
        remote = Remote("origin", store, ours.state / "remotes" / "origin")
        with reading(remote) as source:
            return rewrite_without(source, digests)

    plan = CrashPlan()
    rewritten = rewrite(plan)
    assert (rewritten.n_packs, rewritten.n_erased) == (2, 2)
    assert plan.n_writes == 8
    for step in range(plan.n_writes):
        shutil.rmtree(remote_folder)
        shutil.copytree(before, remote_folder)
        with pytest.raises(SimulatedCrash):
            rewrite(CrashPlan(before_write=step))
        reader = make_workspace(f"reader-{step}")
        assert fetch_blobs(reader, "origin", [one.image for one in kept]).missing == []
        rewrite(CrashPlan())
        assert content not in remote_bytes(remote_folder)
        found = fetch_objects(reader, "origin", [digest_of(encode_row(one)) for one in kept])
        assert len(found) == len(kept)
    assert connect(ours, "origin").name == "origin"


def test_a_reader_that_knows_the_old_pack_finds_the_new_one(shared, ours, theirs, remote_folder):
    with reading(Remote("origin", FolderStore(remote_folder), theirs.state / "r")) as old:
        old.packs.refresh(old.requests)
        erase(ours, shared[0].image)
        push(ours, LOCAL_CALL, Push())
        from sightloop.datasets.keys import object_key
        from sightloop.datasets.remotes.key_columns import KeyColumn

        keys = KeyColumn.of(object_key(one.image) for one in shared)
        assert {number for number, _ in old.blobs(keys)} == set(range(1, 12))


def test_a_damaged_store_is_mended_from_the_remote(shared, ours):
    from sqlalchemy import delete

    from sightloop.kernel.database import metadata

    paths = [one for one in (ours.state / "blobs" / "sha256").rglob("*") if one.is_file()]
    paths[0].unlink()
    paths[1].chmod(0o644)
    paths[1].write_bytes(b"changed")
    objects = metadata.tables["dataset_objects"]
    with ours.db.write() as tx:
        tx.execute(delete(objects).where(objects.c.kind.in_(("row", "node"))))
    found = verify_data(ours, LOCAL_CALL, VerifyData(repair_from="origin"))
    assert found.is_whole
    assert len(found.flaws) >= 2 + 12
    again = verify_data(ours, LOCAL_CALL, VerifyData())
    assert (again.flaws, again.n_images) == ([], 12)


def test_images_that_were_left_on_purpose_are_not_missed(shared, make_workspace):
    partial = make_workspace("partial")
    pulled = pull(partial, LOCAL_CALL, Pull(split="val"))
    found = verify_data(partial, LOCAL_CALL, VerifyData())
    assert found.is_whole
    assert (found.n_promised, found.n_images) == (pulled.n_left, pulled.n_images)
    assert pulled.n_left > 0
