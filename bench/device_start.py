"""From the start of an agent's process to its first answer: `python -m bench.device_start N`.

The agent is enrolled, has a bundle, and finds no server. A second argument names another Python,
say of an environment that holds only what a device installs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from urllib3.exceptions import HTTPError

from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import make_toy_bundle
from sightloop.testing.control_plane import ENROL_TOKEN, running_control_plane
from sightloop.testing.models import draw_blob_image


def main(n: int, python: str) -> None:
    image = draw_blob_image(np.random.default_rng(3), n_blobs=3).content
    with tempfile.TemporaryDirectory() as folder:
        sys.executable = python
        agent = enrolled_agent(Path(folder))
        rounds = [measure(agent, image) for _ in range(n)]
    for name, values in zip(
        ("alive ms", "first answer ms", "processor s"), zip(*rounds, strict=True), strict=True
    ):
        ordered = sorted(values)
        print(f"{name}: {ordered[0]:.3g} to {ordered[-1]:.3g}, median {ordered[n // 2]:.3g}")


def enrolled_agent(folder: Path) -> AgentProcess:
    bundle = make_toy_bundle(folder)
    with running_control_plane() as plane:
        plane.add(bundle)
        plane.assign(bundle, version=1)
        flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--stream", "cam1"]
        agent = AgentProcess(folder / "home", *flags)
        agent.start()
        wait_until(lambda: agent.serves(bundle), "it serves")
        agent.stop()
    return agent


def measure(agent: AgentProcess, image: bytes) -> tuple[float, float, float]:
    begin_s = time.monotonic()
    agent.start_again()
    alive_ms = until(begin_s, lambda: agent.ask("GET", "/v2/health/live").status == 200)
    answer_ms = until(begin_s, lambda: agent.predict(image).status == 200)
    spent_s = processor_s(agent.pid) + processor_s(agent.slot().worker_pid)
    agent.stop()
    return alive_ms, answer_ms, spent_s


def until(begin_s: float, is_so: Callable[[], bool]) -> float:
    while True:
        try:
            if is_so():
                return 1000 * (time.monotonic() - begin_s)
        except HTTPError:
            pass
        time.sleep(0.002)


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else sys.executable)
