"""The power goes before every single change on disk: a start finds a verified model each time."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sightloop.device.home import Home, open_home
from sightloop.device.usb_update import take_in
from sightloop.testing.control_plane import DEVICE
from sightloop.testing.faults import CrashPlan, SimulatedCrash, dying_disk
from sightloop.testing.slots import DeviceOnDisk
from sightloop.testing.update_folders import carry


@contextmanager
def device(root: Path, link) -> Iterator[DeviceOnDisk]:
    with open_home(root) as home:
        opened = DeviceOnDisk(home, link)
        try:
            yield opened
        finally:
            opened.close()


@pytest.fixture
def served(home: Home, link, plane, bundles, tmp_path) -> Path:
    """A home that runs the first bundle; the other two are signed."""
    for bundle in bundles:
        plane.add(bundle)
    plane.assign(bundles[0], version=1)
    opened = DeviceOnDisk(home, link)
    step(plane)(opened)
    opened.close()
    kept = tmp_path / "served"
    shutil.copytree(home.root, kept, symlinks=True)
    return kept


def step(plane) -> Callable[[DeviceOnDisk], None]:
    def work(opened: DeviceOnDisk) -> None:
        opened.installer.assign(list(plane.assignments.values()))
        opened.installer.published(plane.repository.version, server_time_ms=0)
        opened.installer.step()

    return work


def cut_everywhere(
    tmp_path: Path, served: Path, link, work: Callable[[DeviceOnDisk], None], *, may_boot: set
) -> list:
    """What each start booted after a cut before write 0, 1, 2, ...; each is then completed."""
    plan = CrashPlan()
    trial = tmp_path / "trial"
    shutil.copytree(served, trial, symlinks=True)
    with device(trial, link) as opened, dying_disk(plan):
        work(opened)
    ended = set()
    for before_write in range(plan.n_writes):
        shutil.rmtree(trial)
        shutil.copytree(served, trial, symlinks=True)
        with (
            device(trial, link) as opened,
            dying_disk(CrashPlan(before_write)),
            pytest.raises(SimulatedCrash),
        ):
            work(opened)
        with device(trial, link) as again:
            assert again.boots_verified() in may_boot, before_write
            work(again)
            ended.add(again.boots_verified())
    assert plan.n_writes > 10
    return list(ended)


def test_an_installation_cut_anywhere_boots_the_old_model_or_the_new_one(
    tmp_path, served, link, plane, bundles
):
    plane.assign(bundles[1], version=2)
    old, new = bundles[0].digest, bundles[1].digest
    ended = cut_everywhere(tmp_path, served, link, step(plane), may_boot={old, new})
    assert ended == [new]


def test_a_revocation_cut_anywhere_never_boots_the_revoked_model_once_it_is_known(
    tmp_path, served, link, plane, bundles
):
    plane.assign(bundles[1], version=2)
    trial = tmp_path / "two versions"
    shutil.copytree(served, trial, symlinks=True)
    with device(trial, link) as opened:
        step(plane)(opened)
    plane.repository.revoke("blobs", bundles[1].digest)

    def work(opened: DeviceOnDisk) -> None:
        step(plane)(opened)
        assert bundles[1].digest in opened.state.now.revoked

    good, bad = bundles[0].digest, bundles[1].digest
    ended = cut_everywhere(tmp_path, trial, link, work, may_boot={good, bad})
    assert ended == [good]


def test_an_update_from_a_folder_cut_anywhere_boots_a_verified_model(
    tmp_path, served, link, plane, bundles
):
    plane.assign(bundles[1], version=2)
    folder = carry(plane, tmp_path / "stick")
    plane.away = True

    def work(opened: DeviceOnDisk) -> None:
        taken = take_in(opened.intake, opened.state, folder, device=DEVICE)
        assert taken.problems == []
        opened.installer.step()

    old, new = bundles[0].digest, bundles[1].digest
    ended = cut_everywhere(tmp_path, served, link, work, may_boot={old, new})
    assert ended == [new]
