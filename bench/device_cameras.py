"""What cameras cost an agent: `python -m bench.device_cameras CAMERAS SECONDS`.

Each camera is a film of 1280 x 720 px (MPEG-4, 25 pictures a second) that is played live.
"""

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from bench.device_start import processor_s
from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import make_toy_bundle
from sightloop.testing.control_plane import ENROL_TOKEN, running_control_plane

WIDTH, HEIGHT, FPS = 1280, 720, 25


def main(n_cameras: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder, running_control_plane() as plane:
        root = Path(folder)
        bundle = make_toy_bundle(root)
        plane.add(bundle)
        plane.assign(bundle, version=1)
        film = write_film(root / "live.mp4")
        config = root / "agent.toml"
        table = '[[source]]\nname = "c{}"\nurl = "{}"\npace = "live"\n'
        config.write_text("".join(table.format(index, film) for index in range(n_cameras)))
        flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--config", str(config)]
        agent = AgentProcess(root / "home", *flags)
        agent.start()
        try:
            wait_until(lambda: agent.serves(bundle), "it serves")
            time.sleep(2)
            measure(agent, seconds)
        finally:
            agent.kill()


def write_film(path: Path) -> Path:
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    scene = cv2.GaussianBlur(noise, (31, 31), 0)
    for index in range(100):
        film.write(np.roll(scene, 4 * index, axis=1))
    film.release()
    return path


def measure(agent: AgentProcess, seconds: float) -> None:
    before, begin_s = agent.status(), time.monotonic()
    pids = [agent.pid, before.slots[0].worker_pid, *(one.pid for one in before.sources)]
    spent_s = [processor_s(pid) for pid in pids]
    time.sleep(seconds)
    after, took_s = agent.status(), time.monotonic() - begin_s
    shares = [(processor_s(pid) - was) / took_s for pid, was in zip(pids, spent_s, strict=True)]
    print(f"supervisor {shares[0]:.3f} cores, worker {shares[1]:.3f} cores")
    for was, now, share in zip(before.sources, after.sources, shares[2:], strict=True):
        memory = int(Path(f"/proc/{now.pid}/statm").read_text().split()[1]) * 4096 / 1e6
        print(
            f"{now.name}: seen {(now.n_seen - was.n_seen) / took_s:.1f}/s, "
            f"answered {(now.n_answered - was.n_answered) / took_s:.1f}/s, "
            f"age p95 {now.age_p95_ms:.0f} ms, {share:.3f} cores, {memory:.0f} MB"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
