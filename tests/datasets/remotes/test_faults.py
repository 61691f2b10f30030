"""A crash before any write, here or there, loses nothing, and the same command then finishes."""

import shutil
from pathlib import Path

import pytest

from sightloop.datasets.branches import head_of
from sightloop.datasets.remotes import pushing
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.folder import FolderStore
from sightloop.datasets.remotes.pulling import Pull, pull_from
from sightloop.datasets.remotes.pushing import Push, push, push_to
from sightloop.datasets.remotes.sources import reading
from sightloop.datasets.samples import read_samples
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.remote_stores import WatchedStore, crashing_store
from sightloop.testing.workspaces import LOCAL_CALL


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "PACK_TARGET_BYTES", 3_000)


def connected(workspace: Workspace, folder: Path, plan: CrashPlan) -> Remote:
    store = crashing_store(FolderStore(folder), plan)
    return Remote("origin", store, workspace.state / "remotes" / "origin")


def pushes(workspace: Workspace, folder: Path, plan: CrashPlan) -> None:
    push_to(crashing(workspace, plan), LOCAL_CALL, connected(workspace, folder, plan), ref="main")


def pulls(workspace: Workspace, folder: Path, plan: CrashPlan, **wanted: object) -> None:
    with reading(connected(workspace, folder, plan)) as source:
        request = Pull(**wanted)  # type: ignore[arg-type]
        pull_from(crashing(workspace, plan), LOCAL_CALL, source, request)


def count(action, *arguments, **fields) -> int:
    plan = CrashPlan()
    action(*arguments, plan, **fields)
    return plan.n_writes


def test_a_push_that_dies_before_any_write_is_simply_repeated(
    ours, theirs, commit, remote_folder, tmp_path
):
    commit(ours, *range(6))
    push(ours, LOCAL_CALL, Push())
    head = commit(ours, *range(6, 14))
    before = tmp_path / "before"
    shutil.copytree(remote_folder, before)
    old = (before / "refs/heads/main").read_bytes()
    n_writes = count(pushes, ours, remote_folder)
    assert n_writes >= 8
    for step in range(n_writes):
        shutil.rmtree(remote_folder)
        shutil.copytree(before, remote_folder)
        with pytest.raises(SimulatedCrash):
            pushes(ours, remote_folder, CrashPlan(before_write=step))
        reference = (remote_folder / "refs/heads/main").read_bytes()
        assert reference == old or head.encode() in reference
        sizes = {one.name: one.stat().st_size for one in (remote_folder / "packs").glob("*.pack")}
        watched = WatchedStore(FolderStore(remote_folder))
        remote = Remote("origin", watched, ours.state / "remotes" / "origin")
        pushed = push_to(ours, LOCAL_CALL, remote, ref="main")
        assert pushed.commit == head
        # What had arrived before the crash was not sent again.
        after = {one.name: one.stat().st_size for one in (remote_folder / "packs").glob("*.pack")}
        new = sum(size for name, size in after.items() if name not in sizes)
        assert watched.bytes_written < new + 8_000
    pulls(theirs, remote_folder, CrashPlan())
    assert read_samples(theirs, head) == read_samples(ours, head)


def test_the_first_push_that_dies_before_any_write_is_simply_repeated(ours, commit, remote_folder):
    head = commit(ours, *range(6))
    n_writes = count(pushes, ours, remote_folder)
    assert n_writes >= 10
    for step in range(n_writes):
        shutil.rmtree(remote_folder)
        shutil.rmtree(ours.state / "remotes")
        with pytest.raises(SimulatedCrash):
            pushes(ours, remote_folder, CrashPlan(before_write=step))
        assert push(ours, LOCAL_CALL, Push()).commit == head
        assert head.encode() in (remote_folder / "refs/heads/main").read_bytes()


@pytest.mark.parametrize("wanted", [{}, {"split": "train"}])
def test_a_pull_that_dies_before_any_write_is_simply_repeated(
    ours, make_workspace, commit, remote_folder, wanted
):
    head = commit(ours, *range(12))
    push(ours, LOCAL_CALL, Push())
    whole = make_workspace("whole")
    n_writes = count(pulls, whole, remote_folder, **wanted)
    assert n_writes >= 5
    images = {one.image for one in read_samples(whole, head) if whole.blobs.has(one.image)}
    for step in range(n_writes):
        workspace = make_workspace(f"step-{step}")
        with pytest.raises(SimulatedCrash):
            pulls(workspace, remote_folder, CrashPlan(before_write=step), **wanted)
        with workspace.db.read() as tx:
            found = head_of(tx, "main")
        assert found is None
        pulls(workspace, remote_folder, CrashPlan(), **wanted)
        samples = read_samples(workspace, head)
        assert samples == read_samples(ours, head)
        assert {one.image for one in samples if workspace.blobs.has(one.image)} == images
        with workspace.db.read() as tx:
            assert head_of(tx, "main") == head


class RemoteBreaksOff(SightloopError):
    """The remote answers no more."""

    code = "TEST-001"


def test_a_pull_whose_remote_breaks_off_at_any_request_goes_on_later(
    ours, make_workspace, commit, remote_folder
):
    head = commit(ours, *range(12))
    push(ours, LOCAL_CALL, Push())
    n_requests = 0

    def watched(workspace, limit):
        left = limit

        def before(method, name):
            nonlocal left, n_requests
            n_requests += 1
            if left == 0:
                raise RemoteBreaksOff(f"at {method} {name}")
            left -= 1

        store = WatchedStore(FolderStore(remote_folder), before)
        return Remote("origin", store, workspace.state / "remotes" / "origin")

    def pulled(workspace, limit):
        with reading(watched(workspace, limit)) as source:
            return pull_from(workspace, LOCAL_CALL, source, Pull())

    pulled(make_workspace("whole"), -1)
    for limit in range(n_requests):
        workspace = make_workspace(f"limit-{limit}")
        with pytest.raises(RemoteBreaksOff):
            pulled(workspace, limit)
        assert pulled(workspace, -1).commit == head
        assert all(workspace.blobs.has(one.image) for one in read_samples(workspace, head))
