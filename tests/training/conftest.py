"""A workspace whose jobs are real processes of the tiny engine, in real time."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.blob_commits import commit_blobs
from sightloop.testing.workspaces import fresh_workspace
from sightloop.training.requests import TrainRequest

TINY = TrainingConfig(
    threads=1, commands={"tiny": [sys.executable, "-m", "sightloop.testing.tiny_engine"]}
)
Requesting = Callable[..., TrainRequest]


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Workspace]:
    """Such a workspace, empty but for the commit of `request_of`."""
    workspace = fresh_workspace(
        tmp_path / "training", config=Config(training=TINY), clock=SystemClock()
    )
    yield workspace
    workspace.db.close()


@pytest.fixture
def commit(training: Workspace) -> Digest:
    return commit_blobs(training)


@pytest.fixture
def request_of(commit: Digest) -> Requesting:
    """Makes requests; keywords that are no field of one become parameters of the tiny engine."""

    def make(**changes: object) -> TrainRequest:
        fields = {k: v for k, v in changes.items() if k in TrainRequest.__struct_fields__}
        parameters = {k: v for k, v in changes.items() if k not in fields}
        request = TrainRequest(
            run="run_1",
            experiment="parts",
            name="first",
            dataset_commit=commit,
            engine="tiny",
            epochs=3,
            image_size_px=64,
            batch_size=4,
            parity_images=2,
            parameters={"pretend": True} | parameters,
        )
        return msgspec.structs.replace(request, **fields)

    return make
