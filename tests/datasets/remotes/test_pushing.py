"""A push sends what the remote lacks, moves its branch last, and never takes commits away."""

import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.errors import (
    NoSuchRef,
    NoSuchRemote,
    PushedMeanwhile,
    RefExists,
    RemoteDamaged,
    RemoteUnfit,
)
from sightloop.datasets.remotes import layout, pushing, sending
from sightloop.datasets.remotes.fetching import Fetch, fetch
from sightloop.datasets.remotes.pulling import Pull, pull
from sightloop.datasets.remotes.pushing import Push, push, push_to
from sightloop.datasets.store import Ref, create_ref, find_ref
from sightloop.kernel.blobs import BlobDamaged, BlobMissing
from sightloop.testing.remote_stores import WatchedStore
from sightloop.testing.workspaces import LOCAL_CALL


def tag(workspace, name, commit):
    with workspace.db.write() as tx:
        create_ref(tx, Ref("tag", name, commit, 0))


def names(folder, area):
    return sorted(path.name for path in (folder / area).iterdir())


def test_a_push_makes_packs_and_moves_the_branch(ours, commit, remote_folder):
    head = commit(ours, *range(8))
    pushed = push(ours, LOCAL_CALL, Push())
    assert (pushed.commit, pushed.before, pushed.n_commits) == (head, None, 1)
    assert (pushed.n_images, pushed.n_objects) == (8, 8 + 1 + 2)
    assert (remote_folder / "refs/heads/main").read_text() == f'{{"commit":"{head}"}}'
    assert len(names(remote_folder, "packs")) == len(names(remote_folder, "metadata")) == 2
    with ours.db.read() as tx:
        ref = find_ref(tx, "remote", "origin/main")
    assert ref is not None
    assert ref.commit == head


def test_a_push_of_what_is_there_sends_nothing(ours, commit, remote_of):
    head = commit(ours, 1, 2)
    push(ours, LOCAL_CALL, Push())
    remote = remote_of(ours, WatchedStore)
    pushed = push_to(ours, LOCAL_CALL, remote, ref="main")
    assert (pushed.before, pushed.n_objects, pushed.n_images) == (head, 0, 0)
    assert remote.store.bytes_written == 0


def test_a_second_push_sends_only_the_difference(ours, commit, remote_of):
    commit(ours, *range(300))
    push(ours, LOCAL_CALL, Push())
    commit(ours, 1000)
    remote = remote_of(ours, WatchedStore)
    pushed = push_to(ours, LOCAL_CALL, remote, ref="main")
    assert (pushed.n_commits, pushed.n_images) == (1, 1)
    assert pushed.n_objects <= 1 + 4 + 1
    assert remote.store.bytes_written < 12_000
    assert remote.store.n_requests.total() < 15


def test_images_of_another_branch_are_not_sent_again(ours, commit, remote_folder):
    commit(ours, 1, 2, 3)
    push(ours, LOCAL_CALL, Push())
    create_branch(ours, LOCAL_CALL, CreateBranch(name="feature/x", at="main"))
    head = commit(ours, 4, branch="feature/x")
    pushed = push(ours, LOCAL_CALL, Push(ref="feature/x"))
    assert (pushed.n_commits, pushed.n_images, pushed.before) == (1, 1, None)
    assert (remote_folder / "refs/heads/feature!x").read_text() == f'{{"commit":"{head}"}}'


def test_an_image_that_returns_is_not_sent_again(ours, commit, remote_of):
    commit(ours, 1, 2)
    push(ours, LOCAL_CALL, Push())
    commit(ours, 1, tags=["again"])
    assert push(ours, LOCAL_CALL, Push()).n_images == 0


def test_a_push_that_would_lose_commits_is_refused(ours, theirs, commit, remote_folder):
    commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    first = commit(theirs, 2)
    push(theirs, LOCAL_CALL, Push())
    commit(ours, 3)
    with pytest.raises(
        PushedMeanwhile, match="someone else pushed first; pull, then push"
    ) as caught:
        push(ours, LOCAL_CALL, Push())
    assert (caught.value.code, caught.value.facts["at"]) == ("DATA-056", first)
    assert first in (remote_folder / "refs/heads/main").read_text()
    fetch(ours, LOCAL_CALL, Fetch())  # knowing their commit does not make it ours
    with pytest.raises(PushedMeanwhile):
        push(ours, LOCAL_CALL, Push())


def test_of_two_pushers_at_once_the_second_is_told_to_pull(
    ours, theirs, commit, remote_of, remote_folder
):
    commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    commit(ours, 2)
    winner = commit(theirs, 3)

    def before(method, name):
        if method == "compare_and_swap" and name == "refs/heads/main":
            push(theirs, LOCAL_CALL, Push())

    remote = remote_of(ours, lambda store: WatchedStore(store, before))
    with pytest.raises(PushedMeanwhile) as caught:
        push_to(ours, LOCAL_CALL, remote, ref="main")
    assert caught.value.facts["at"] == winner
    assert winner in (remote_folder / "refs/heads/main").read_text()


def test_two_who_push_the_first_commit_at_once_agree_on_one_remote(
    ours, theirs, commit, remote_of, remote_folder
):
    commit(ours, 1)
    winner = commit(theirs, 2)

    def before(method, name):
        if method == "put_new" and name == layout.MARKER and not (remote_folder / name).exists():
            push(theirs, LOCAL_CALL, Push())

    remote = remote_of(ours, lambda store: WatchedStore(store, before))
    with pytest.raises(PushedMeanwhile):
        push_to(ours, LOCAL_CALL, remote, ref="main")
    assert winner in (remote_folder / "refs/heads/main").read_text()


def test_tags_are_pushed_once_and_never_moved(ours, theirs, commit):
    first = commit(ours, 1)
    tag(ours, "v1", first)
    assert push(ours, LOCAL_CALL, Push(ref="v1")).commit == first
    assert push(ours, LOCAL_CALL, Push(ref="v1")).n_objects == 0
    tag(theirs, "v1", commit(theirs, 2))
    with pytest.raises(RefExists, match=f"tag v1 exists and is at {first}"):
        push(theirs, LOCAL_CALL, Push(ref="v1"))


def test_large_images_stand_alone(ours, theirs, commit, remote_folder, monkeypatch):
    monkeypatch.setattr(pushing, "LARGE_BLOB_BYTES", 1)
    commit(ours, 1, 2)
    push(ours, LOCAL_CALL, Push())
    assert not (remote_folder / "packs").exists()
    assert len(names(remote_folder, "blobs")) == 2
    commit(ours, 3)
    push(ours, LOCAL_CALL, Push())
    assert len(names(remote_folder, "blobs")) == 3
    assert pull(theirs, LOCAL_CALL, Pull()).n_images == 3


def test_a_large_set_goes_into_several_packs(ours, theirs, commit, remote_folder, monkeypatch):
    monkeypatch.setattr(pushing, "PACK_TARGET_BYTES", 6_000)
    monkeypatch.setattr(pushing, "METADATA_PACK_TARGET_BYTES", 6_000)
    monkeypatch.setattr(sending, "BLOCK_TARGET_BYTES", 500)
    commit(ours, *range(70))
    push(ours, LOCAL_CALL, Push())
    assert len(names(remote_folder, "packs")) > 6
    assert len(names(remote_folder, "metadata")) >= 4
    assert pull(theirs, LOCAL_CALL, Pull()).n_images == 70


def test_a_place_that_holds_something_else_is_refused(ours, commit, remote_folder):
    commit(ours, 1)
    remote_folder.mkdir()
    (remote_folder / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(RemoteUnfit, match="it holds something else"):
        push(ours, LOCAL_CALL, Push())
    assert [path.name for path in remote_folder.iterdir()] == ["holiday.jpg"]


def test_a_remote_that_was_replaced_gets_everything_again(ours, commit, remote_folder):
    import shutil

    commit(ours, 1, 2)
    push(ours, LOCAL_CALL, Push())
    shutil.rmtree(remote_folder)
    assert push(ours, LOCAL_CALL, Push()).n_images == 2


def test_missing_images_are_noticed_before_anything_is_sent(ours, commit, remote_folder):
    commit(ours, 1, 2)
    for path in (ours.state / "blobs" / "sha256").rglob("*"):
        if path.is_file():
            path.unlink()
            break
    with pytest.raises(BlobMissing):
        push(ours, LOCAL_CALL, Push())
    assert not (remote_folder / "packs").exists()
    assert not (remote_folder / "refs").exists()


def test_a_damaged_image_is_never_sent(ours, commit, remote_folder):
    commit(ours, 1, 2)
    path = next(one for one in (ours.state / "blobs" / "sha256").rglob("*") if one.is_file())
    path.chmod(0o644)
    path.write_bytes(b"other bytes")
    with pytest.raises(BlobDamaged):
        push(ours, LOCAL_CALL, Push())
    assert not (remote_folder / "refs").exists()


def test_a_truncated_pack_under_the_right_name_is_not_taken_for_whole(ours, commit, remote_folder):
    commit(ours, 1, 2)
    push(ours, LOCAL_CALL, Push())
    (remote_folder / "refs/heads/main").unlink()
    for area in ("packs", "metadata"):
        for path in (remote_folder / area).glob("*.index"):
            path.unlink()
    pack = next((remote_folder / "packs").glob("*.pack"))
    pack.write_bytes(pack.read_bytes()[:-1])
    with pytest.raises(RemoteDamaged, match=f"packs/{pack.stem}.pack has .* bytes instead of"):
        push(ours, LOCAL_CALL, Push())
    assert not (remote_folder / "refs/heads/main").exists()


def test_what_cannot_be_pushed_is_named(ours, commit):
    commit(ours, 1)
    with pytest.raises(NoSuchRef):
        push(ours, LOCAL_CALL, Push(ref="nope"))
    with pytest.raises(
        NoSuchRemote, match="there is no remote 'nowhere'; there is origin"
    ) as caught:
        push(ours, LOCAL_CALL, Push(remote="nowhere"))
    assert caught.value.code == "DATA-051"


def test_the_same_content_makes_the_same_packs_whoever_pushes(
    ours, theirs, commit, remote_folder, tmp_path
):
    from sightloop.datasets.remotes.naming import AddRemote, add_remote

    add_remote(theirs, LOCAL_CALL, AddRemote(name="second", url=str(tmp_path / "second")))
    commit(ours, *range(20))
    commit(theirs, *reversed(range(20)))
    push(ours, LOCAL_CALL, Push())
    push(theirs, LOCAL_CALL, Push(remote="second"))
    assert names(remote_folder, "packs") == names(tmp_path / "second", "packs")
