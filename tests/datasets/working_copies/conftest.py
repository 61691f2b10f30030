"""A folder of images and somebody who works with it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.importing import ImportDataset, Imported, import_dataset
from sightloop.datasets.samples import read_samples
from sightloop.datasets.values import Sample
from sightloop.datasets.working_copies.checkout import CheckedOut, CheckoutCopy, checkout_copy
from sightloop.datasets.working_copies.committing import CommitCopy, CommittedCopy, commit_copy
from sightloop.datasets.working_copies.showing import ShowStatus, show_status
from sightloop.datasets.working_copies.status import CopyStatus
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL


class CopyUser:
    """Somebody who works with folders of one workspace."""

    def __init__(self, workspace: Workspace, jpeg: Callable[..., bytes]) -> None:
        self.workspace = workspace
        self._jpeg = jpeg

    def put(self, folder: Path, name: str, seed: int) -> Path:
        """Write an image, old enough to be trusted by its stamp."""
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._jpeg(seed))
        settle(path)
        return path

    def import_(self, folder: Path, **fields: Any) -> Imported:
        return import_dataset(
            self.workspace, LOCAL_CALL, ImportDataset(source=str(folder), **fields)
        )

    def status(self, folder: Path | str = "") -> CopyStatus:
        return show_status(self.workspace, LOCAL_CALL, ShowStatus(folder=str(folder)))

    def commit(self, folder: Path | str = "", **fields: Any) -> CommittedCopy:
        return commit_copy(self.workspace, LOCAL_CALL, CommitCopy(folder=str(folder), **fields))

    def checkout(self, ref: str, folder: Path, **fields: Any) -> CheckedOut:
        request = CheckoutCopy(ref=ref, folder=str(folder), **fields)
        return checkout_copy(self.workspace, LOCAL_CALL, request)

    def samples(self, commit: Digest) -> dict[str, Sample]:
        return {one.file_name: one for one in read_samples(self.workspace, commit)}


def settle(path: Path) -> None:
    """Make the file ten seconds older, as files that people work with are."""
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns - 10_000_000_000))


@pytest.fixture
def user(workspace: Workspace, jpeg: Callable[..., bytes]) -> CopyUser:
    return CopyUser(workspace, jpeg)


@pytest.fixture
def folder(tmp_path: Path, user: CopyUser) -> Path:
    """Three images without labels."""
    root = tmp_path / "images here"
    for seed, name in enumerate(("a/1.jpg", "a/2.jpg", "3.jpg"), start=1):
        user.put(root, name, seed)
    return root


@pytest.fixture
def labelled(user: CopyUser, stored: Callable[..., Sample], tmp_path: Path) -> Path:
    """A checkout of three labelled samples."""
    request = CommitSamples(
        branch="main",
        message="three",
        upserts=[stored(seed, slices={"line": "AB"[seed % 2]}) for seed in (1, 2, 3)],
        new_classes=["spot"],
    )
    commit_samples(user.workspace, LOCAL_CALL, request)
    user.checkout("main", tmp_path / "copy")
    return tmp_path / "copy"
