"""A workspace at the present time, whose blobs and refs a test can age."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.values import Sample
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.clock import ManualClock
from sightloop.testing.workspaces import LOCAL_CALL

DAY_S = 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now_ms=time.time_ns() // 1_000_000)


@pytest.fixture
def age(workspace: Workspace, clock: ManualClock) -> Callable[[float], None]:
    """Lets days pass for everything that is there."""

    def pass_days(days: float) -> None:
        clock.advance(days * DAY_S)

    return pass_days


@pytest.fixture
def commit(workspace: Workspace) -> Callable[..., Digest]:
    def make(
        *samples: Sample, removals: tuple[str, ...] = (), branch: str = "main", message: str = "m"
    ) -> Digest:
        request = CommitSamples(
            branch=branch,
            message=message,
            upserts=list(samples),
            removals=list(removals),  # type: ignore[arg-type]
            new_classes=["spot"],
        )
        return commit_samples(workspace, LOCAL_CALL, request).commit

    return make


@pytest.fixture(scope="session")
def disk_bytes() -> Callable[[Path], int]:
    """What `du` counts for the files below a folder."""

    def count(folder: Path) -> int:
        return sum(one.lstat().st_blocks * 512 for one in folder.rglob("*") if one.is_file())

    return count


@pytest.fixture(scope="session")
def flip_bit() -> Callable[[Path], None]:
    """Damages one bit in the middle of a file."""

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)

    return flip
