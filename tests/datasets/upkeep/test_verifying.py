"""Verifying: every flaw is found and named with what it touches; repair needs right bytes."""

import pytest
from sqlalchemy import text

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.errors import NoSuchRef
from sightloop.datasets.keys import object_key
from sightloop.datasets.records import decode_commit
from sightloop.datasets.samples import read_samples
from sightloop.datasets.store import read_object
from sightloop.datasets.upkeep import store
from sightloop.datasets.upkeep.erasing import EraseData, erase_data
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.datasets.upkeep.verifying import VerifyData, verify, verify_data
from sightloop.datasets.values import encode_row
from sightloop.kernel.digests import digest_of
from sightloop.kernel.workspace import Call
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL


def check(workspace, ref=""):
    return verify_data(workspace, LOCAL_CALL, VerifyData(ref=ref))


class Copies:
    """A source that remembers what a workspace held when it was whole."""

    def __init__(self, workspace):
        with workspace.db.read() as tx:
            found = store.find_objects(tx, list(store.every_key(tx)))
            self.stored = {digest_of(one.content): one.content for one in found}
        self.pictures = {
            one.digest: workspace.blobs.read(one.digest) for one in workspace.blobs.list_blobs()
        }
        self.n_asked = 0

    def objects(self, digests):
        return self._some(self.stored, digests)

    def images(self, digests):
        return self._some(self.pictures, digests)

    def _some(self, known, digests):
        self.n_asked += len(digests)
        return ((one, known[one]) for one in list(digests) if one in known)


@pytest.fixture
def damage_object(workspace):
    def damage(digest, content=b"{"):
        with workspace.db.write() as tx:
            key = {"key": object_key(digest), "content": content}
            statement = "DELETE FROM dataset_objects WHERE digest = :key"
            if content:
                statement = "UPDATE dataset_objects SET content = :content WHERE digest = :key"
            tx.execute(text(statement), key)

    return damage


def part_of(workspace, commit, kind, sample):
    if kind == "commit":
        return commit
    if kind == "row":
        return digest_of(encode_row(sample))
    with workspace.db.read() as tx:
        stored = decode_commit(read_object(tx, commit), what="commit")
    return stored.root if kind == "node" else stored.taxonomy


def test_a_whole_store_verifies_and_says_how_much_it_hashed(workspace, stored, commit):
    samples = [stored(seed) for seed in range(70)]
    commit(*samples[:10])
    commit(*samples)
    found = check(workspace)
    assert (found.flaws, found.is_whole) == ([], True)
    assert (found.refs, found.n_commits, found.n_images) == (["branch main"], 2, 70)
    pictures = sum(one.size_bytes for one in workspace.blobs.list_blobs())
    assert found.size_bytes > pictures


def test_a_flipped_bit_names_the_commits_branches_and_files_it_touches(
    workspace, stored, commit, flip_bit
):
    bad, other = stored(1, file_name="a/bad.jpg"), stored(2)
    first = commit(bad)
    second = commit(other)
    commit(stored(3), removals=(bad.id,))
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="side", at=second))
    flip_bit(workspace.blobs.local_path(bad.image))
    before = workspace.blobs.local_path(bad.image).read_bytes()
    (flaw,) = check(workspace).flaws
    assert (flaw.digest, flaw.kind, flaw.state) == (bad.image, "image", "damaged")
    assert (set(flaw.commits), flaw.n_commits) == ({first, second}, 2)
    assert (flaw.refs, flaw.file_names) == (["branch side"], ["a/bad.jpg"])
    assert workspace.blobs.local_path(bad.image).read_bytes() == before


def test_a_missing_image_is_told_apart(workspace, stored, commit):
    gone = stored(1)
    commit(gone)
    workspace.blobs.local_path(gone.image).unlink()
    (flaw,) = check(workspace).flaws
    assert (flaw.state, flaw.samples) == ("missing", [gone.id])


@pytest.mark.parametrize("kind", ["commit", "node", "row", "taxonomy"])
@pytest.mark.parametrize(("content", "state"), [(b"{", "damaged"), (b"", "missing")])
def test_an_object_that_changed_or_went_is_found(
    workspace, stored, commit, damage_object, kind, content, state
):
    sample = stored(1)
    head = commit(sample)
    digest = part_of(workspace, head, kind, sample)
    damage_object(digest, content)
    (flaw,) = check(workspace).flaws
    assert (flaw.digest, flaw.kind, flaw.state) == (digest, kind, state)
    assert (flaw.commits, flaw.refs) == ([head], ["branch main"])


def test_only_what_the_ref_leads_to_is_looked_at(workspace, stored, commit, flip_bit):
    good, bad = stored(1), stored(2)
    commit(good)
    commit(bad, branch="other")
    flip_bit(workspace.blobs.local_path(bad.image))
    assert check(workspace, "main").is_whole
    assert not check(workspace, "other").is_whole
    with pytest.raises(NoSuchRef):
        check(workspace, "nowhere")


def test_what_was_erased_is_no_flaw(workspace, stored, commit):
    jane = stored(1)
    commit(jane, stored(2))
    request = EraseData(wanted=Wanted(samples=[jane.id]), reason="asked")
    erase_data(workspace, LOCAL_CALL, request)
    found = check(workspace)
    assert (found.flaws, found.n_erased, found.n_commits) == ([], 1, 2)


def test_everything_can_be_repaired_from_a_source_and_is_then_whole(
    workspace, stored, commit, damage_object, flip_bit
):
    samples = [stored(seed) for seed in range(4)]
    head = commit(*samples)
    source = Copies(workspace)
    parts = [part_of(workspace, head, kind, samples[0]) for kind in ("node", "row", "taxonomy")]
    for part in parts:
        damage_object(part, b"")
    damage_object(head)
    flip_bit(workspace.blobs.local_path(samples[1].image))
    workspace.blobs.local_path(samples[2].image).unlink()
    found = verify(workspace, LOCAL_CALL, source=source)
    assert {one.kind for one in found.flaws} == {"commit", "image", "node", "row", "taxonomy"}
    assert found.is_whole
    assert check(workspace).flaws == []
    assert len(read_samples(workspace, head)) == 4
    assert source.n_asked == 6


def test_a_source_that_lacks_it_or_lies_repairs_nothing(workspace, stored, commit, flip_bit):
    bad, gone = stored(1), stored(2)
    commit(bad, gone)
    source = Copies(workspace)
    flip_bit(workspace.blobs.local_path(bad.image))
    workspace.blobs.local_path(gone.image).unlink()
    source.pictures = {bad.image: b"something else"}
    damaged = workspace.blobs.local_path(bad.image).read_bytes()
    found = verify(workspace, LOCAL_CALL, source=source)
    assert [one.is_repaired for one in found.flaws] == [False, False]
    assert workspace.blobs.local_path(bad.image).read_bytes() == damaged


@pytest.mark.parametrize("step", range(3))
def test_a_crash_while_repairing_leaves_the_rest_to_the_next_call(
    workspace, stored, commit, damage_object, flip_bit, step
):
    samples = [stored(seed) for seed in range(3)]
    head = commit(*samples)
    source = Copies(workspace)
    damage_object(part_of(workspace, head, "row", samples[2]), b"")
    for one in samples[:2]:
        flip_bit(workspace.blobs.local_path(one.image))
    doomed = crashing(workspace, CrashPlan(before_write=step))
    with pytest.raises(SimulatedCrash):
        verify(doomed, LOCAL_CALL, source=source)
    assert len(check(workspace).flaws) == 3 - step
    assert verify(workspace, LOCAL_CALL, source=source).is_whole
    assert check(workspace).flaws == []


def test_progress_is_told_while_hashing(workspace, stored, commit):
    seen = []
    commit(*(stored(seed) for seed in range(3)))
    watched = Call(LOCAL_CALL.actor, lambda *told: seen.append(told))
    verify_data(workspace, watched, VerifyData())
    assert seen[-1] == ("checking images", 3, 3)
