"""A process may die before any write: what was there is readable, and repeating it works."""

import errno

import pytest

from sightloop.datasets.branches import head_of
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.keys import object_key
from sightloop.datasets.samples import read_samples
from sightloop.datasets.upkeep.mentions import in_files
from sightloop.datasets.working_copies import switching
from sightloop.datasets.working_copies.copies import one_at_a_time
from sightloop.datasets.working_copies.errors import CopyBusy, LocalChanges, UnfinishedCheckout
from sightloop.kernel.blobs import BlobDamaged
from sightloop.kernel.errors import DiskFull
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing, dying_disk
from sightloop.testing.workspaces import LOCAL_CALL


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def dying(user):
    """Runs an action of a user who may die; True when he did."""

    def run(plan, action):
        healthy, user.workspace = user.workspace, crashing(user.workspace, plan)
        try:
            with dying_disk(plan):
                action()
        except SimulatedCrash:
            return True
        finally:
            user.workspace = healthy
        return False

    return run


def head(user):
    with user.workspace.db.read() as tx:
        return head_of(tx, "main")


def test_an_import_that_dies_is_simply_run_again(user, tmp_path, dying):
    step = 0
    while True:
        folder = tmp_path / f"images{step}"
        for at in range(2):
            user.put(folder, f"{at}.jpg", 100 * step + at)
        before = head(user)
        died = dying(CrashPlan(before_write=step), lambda folder=folder: user.import_(folder))
        if head(user) != before:
            assert len(read_samples(user.workspace, head(user))) == 2 * step + 2
        imported = user.import_(folder)
        assert len(read_samples(user.workspace, imported.commit)) == 2 * step + 2
        assert user.status(folder).is_clean
        if not died:
            break
        step += 1
    assert step > 6


def test_a_commit_that_dies_is_simply_run_again(user, folder, dying):
    user.import_(folder)
    step = 0
    while True:
        user.put(folder, f"new{step}.jpg", 100 + step)
        path = next(folder.rglob("*.jpg"))
        user.put(folder, path.relative_to(folder).as_posix(), 1000 + step)
        before = head(user)
        n_before = len(read_samples(user.workspace, before))
        died = dying(CrashPlan(before_write=step), lambda: user.commit(folder))
        if head(user) == before:
            assert not user.status(folder).is_clean
        user.commit(folder)
        assert user.status(folder).is_clean
        assert not user.status(folder).has_moved_on
        assert len(read_samples(user.workspace, head(user))) == n_before + 1
        if not died:
            break
        step += 1
    assert step > 6


@pytest.fixture
def two_commits(user, stored):
    """Digests of a commit and of one that adds, removes, renames and relabels."""

    def commit(*samples, **fields):
        request = CommitSamples(branch="main", message="m", upserts=list(samples), **fields)
        return commit_samples(user.workspace, LOCAL_CALL, request).commit

    first = commit(*(stored(seed) for seed in (1, 2, 3, 4)), new_classes=["spot"])
    changed = stored(2, boxes=[]), stored(3, file_name="deep/three.jpg"), stored(5)
    return first, commit(*changed, removals=[stored(4).id])


@pytest.mark.parametrize("format_", ["sightloop", "images", "coco"])
def test_a_checkout_that_dies_is_simply_run_again(user, tmp_path, dying, two_commits, format_):
    first, second = two_commits
    user.checkout(first, tmp_path / "first", format=format_)
    user.checkout(second, tmp_path / "second", format=format_)
    step = 0
    while True:
        out = tmp_path / f"out{step}"
        plan = CrashPlan(before_write=step)
        died = dying(plan, lambda out=out: user.checkout(first, out, format=format_))
        user.checkout(first, out, format=format_)
        assert content_of(out) == content_of(tmp_path / "first")
        assert user.status(out).is_clean
        switched = dying(CrashPlan(before_write=step), lambda out=out: user.checkout(second, out))
        user.checkout(second, out)
        assert content_of(out) == content_of(tmp_path / "second")
        assert user.status(out).is_clean
        if not died and not switched:
            break
        step += 1
    assert step > 5


def test_between_death_and_repetition_nothing_can_be_committed(user, tmp_path, dying, two_commits):
    first, second = two_commits
    out = tmp_path / "out"
    user.checkout(first, out)
    both_ways = CrashPlan()
    with dying_disk(both_ways):
        user.checkout(second, out)
        user.checkout(first, out)
    halfway = CrashPlan(before_write=both_ways.n_writes // 4)
    assert dying(halfway, lambda: user.checkout(second, out))
    assert user.status(out).unfinished == second
    with pytest.raises(UnfinishedCheckout, match=second) as refused:
        user.commit(out, branch="mine")
    assert refused.value.code == "DATA-074"
    user.checkout(first, out)
    user.checkout(first, tmp_path / "fresh")
    assert user.status(out).is_clean
    assert content_of(out) == content_of(tmp_path / "fresh")


def test_a_refused_checkout_leaves_no_trace(user, tmp_path, two_commits):
    first, second = two_commits
    out = tmp_path / "out"
    user.checkout(first, out)
    (out / "images/4.jpg").write_bytes(b"mine")
    before = content_of(out)
    with pytest.raises(LocalChanges):
        user.checkout(second, out)
    assert content_of(out) == before
    assert user.status(out).unfinished is None


def test_a_full_disk_is_told_and_the_checkout_can_be_repeated(
    user, tmp_path, two_commits, monkeypatch
):
    first, second = two_commits
    out = tmp_path / "out"
    user.checkout(first, out)

    def full(*_args, **_fields):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(switching, "link_blob", full)
        with pytest.raises(DiskFull):
            user.checkout(second, out)
    user.checkout(second, out)
    assert user.status(out).is_clean


def test_a_flipped_bit_in_the_store_is_not_handed_out(user, folder, tmp_path):
    commit = user.import_(folder).commit
    image = user.samples(commit)["3.jpg"].image
    path = user.workspace.blobs.local_path(image)
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(BlobDamaged):
        user.checkout("main", tmp_path / "out", format="images")
    assert not (tmp_path / "out/3.jpg").exists()


def test_one_process_at_a_time_commits_or_switches_a_copy(user, folder):
    user.import_(folder)
    user.put(folder, "new.jpg", 50)
    with one_at_a_time(user.workspace.state, str(folder)):
        with pytest.raises(CopyBusy, match="another process"):
            user.commit(folder)
        with pytest.raises(CopyBusy):
            user.checkout("main", folder)
        assert user.status(folder).new == ["new.jpg"]
    assert user.commit(folder).n_added == 1


def test_garbage_collection_spares_what_copies_are_of_or_shall_be(user, folder, tmp_path, dying):
    first = user.import_(folder).commit
    user.put(folder, "new.jpg", 50)
    second = user.commit(folder).commit
    user.checkout(first, tmp_path / "old")
    (user.workspace.state / "copies").rename(tmp_path / "aside")
    assert not {one.key for one in in_files(user.workspace)} & {object_key(first)}
    (tmp_path / "aside").rename(user.workspace.state / "copies")
    assert dying(CrashPlan(before_write=6), lambda: user.checkout("main", tmp_path / "third"))
    named = {one.key for one in in_files(user.workspace)}
    assert {object_key(first), object_key(second)} <= named
