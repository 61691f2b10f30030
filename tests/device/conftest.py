"""A control plane, a device enrolled at it without a process, and an agent as a process."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sightloop.device.home import Home, Identity, open_home
from sightloop.device.server_link import ServerLink
from sightloop.testing.agents import AgentProcess
from sightloop.testing.bundles import ToyBundle, make_toy_bundle
from sightloop.testing.control_plane import (
    DEVICE,
    DEVICE_TOKEN,
    ENROL_TOKEN,
    ControlPlane,
    running_control_plane,
)
from sightloop.testing.models import draw_blob_image


@pytest.fixture(scope="session")
def image() -> bytes:
    """A picture of three blobs, which every toy bundle finds."""
    return draw_blob_image(np.random.default_rng(3), n_blobs=3).content


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[ToyBundle]:
    """Versions of one model; their answers are the same, their identities are not."""
    folder = tmp_path_factory.mktemp("bundles")
    first_ms = 1_700_000_000_000
    return [make_toy_bundle(folder, created_at_ms=first_ms + index) for index in range(3)]


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with running_control_plane() as plane:
        yield plane


@pytest.fixture
def home(tmp_path: Path, plane: ControlPlane) -> Iterator[Home]:
    """A home that is enrolled at the plane."""
    with open_home(tmp_path / "home") as home:
        identity = Identity(device=DEVICE, token=DEVICE_TOKEN, enrolled_at_ms=1)
        home.write_identity(identity, update_root=plane.repository.root)
        yield home


@pytest.fixture
def link(plane: ControlPlane) -> Iterator[ServerLink]:
    link = ServerLink(plane.url, token=DEVICE_TOKEN)
    yield link
    link.close()


@pytest.fixture
def agent(tmp_path: Path, plane: ControlPlane) -> Iterator[AgentProcess]:
    """An agent that is not started yet."""
    agent = AgentProcess(tmp_path / "home", *agent_flags(plane))
    yield agent
    agent.kill()


def agent_flags(plane: ControlPlane) -> list[str]:
    flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--name", "line-1"]
    flags += ["--stream", "cam1:main:product_line=A", "--stream", "cam2:main"]
    return [*flags, "--forward-every-s", "0.2", "--health-every-s", "0.5"]
