"""An agent that serves the benched model, assigned by a control plane in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.serving.images import make_images
from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import ToyBundle, bundle_of_model
from sightloop.testing.control_plane import ENROL_TOKEN, ControlPlane, running_control_plane

N_REFERENCE = 60
FIRST_MS = 1_700_000_000_000


class RunningAgent(NamedTuple):
    """The agent, who assigns to it, and versions of one model to assign."""

    process: AgentProcess
    plane: ControlPlane
    bundles: list[ToyBundle]


def make_bundles(model_file: Path, n: int) -> list[ToyBundle]:
    """Versions of one model that differ in nothing but their date."""
    images = make_images(N_REFERENCE)
    return [
        bundle_of_model(
            model_file,
            golden=images[:2],
            reference=images,
            model="bench",
            created_at_ms=FIRST_MS + number,
            licence="AGPL-3.0",
            score_threshold=0.25,
        )
        for number in range(n)
    ]


@contextmanager
def running_agent(
    folder: Path, model_file: Path, *, threads: int, n_bundles: int = 1, flags: tuple[str, ...] = ()
) -> Iterator[RunningAgent]:
    """An agent whose first bundle answers."""
    folder.mkdir(parents=True, exist_ok=True)
    bundles = make_bundles(model_file, n_bundles)
    with running_control_plane(["bench"]) as plane:
        for bundle in bundles:
            plane.add(bundle)
        plane.assign(bundles[0], version=1)
        common = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--stream", "cam1"]
        agent = AgentProcess(folder / "home", *common, "--threads", str(threads), *flags)
        agent.start()
        try:
            wait_until(lambda: agent.serves(bundles[0]), "the agent serves", timeout_s=120)
            yield RunningAgent(agent, plane, bundles)
        finally:
            agent.kill()
