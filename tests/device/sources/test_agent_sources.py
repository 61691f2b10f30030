"""An agent that reads its own cameras, folders and films, as a process."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sightloop.contracts.check_in import StreamPolicy
from sightloop.contracts.telemetry import KeptImageBody, ProfileBody
from sightloop.device.sources.status import SourceStatus
from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.control_plane import ENROL_TOKEN, ControlPlane, running_control_plane
from sightloop.testing.models import draw_blob_image

pytestmark = pytest.mark.processes


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with running_control_plane() as plane:
        yield plane


@pytest.fixture
def make(tmp_path: Path, plane: ControlPlane, bundles) -> Iterator[Callable[..., AgentProcess]]:
    """An agent with these flags, started, once its first bundle serves."""
    started: list[AgentProcess] = []
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)

    def start(*flags: str) -> AgentProcess:
        token = tmp_path / "token"
        token.write_text(ENROL_TOKEN + "\n")
        always = ["--server", plane.url, "--enrol-token-file", str(token)]
        agent = AgentProcess(tmp_path / "home", *always, "--forward-every-s", "0.2", *flags)
        started.append(agent)
        agent.start()
        wait_until(lambda: agent.serves(bundles[0]), f"it serves; see {agent.log}")
        return agent

    yield start
    for agent in started:
        agent.kill()


def source(agent: AgentProcess, name: str) -> SourceStatus:
    return next(one for one in agent.status().sources if one.name == name)


def blobs(index: int) -> bytes:
    """Three blobs as a JPEG file, which the toy bundles find."""
    return draw_blob_image(np.random.default_rng(index), n_blobs=3).content


def results(agent: AgentProcess, name: str) -> list[dict]:
    paths = sorted((agent.home / "results" / name).glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def test_two_streams_of_one_device_each_have_their_profile_and_results(
    make, plane, camera, fill, bundles
):
    plane.policies = [
        StreamPolicy(stream=name, window_images=4, audit_rate=1.0) for name in ("belt", "incoming")
    ]
    camera.frame_of = blobs
    folder = fill(*(f"{index}.jpg" for index in range(8)))
    agent = make("--source", f"belt={camera.url}", "--source", str(folder) + "/")
    wait_until(lambda: len(results(agent, "incoming")) == 8, "every file is answered")
    wait_until(lambda: source(agent, "belt").n_answered >= 8, "the camera is looked at")

    def profiled() -> set[str]:
        return {body.profile.stream for body in plane.bodies(ProfileBody)}

    wait_until(lambda: profiled() == {"belt", "incoming"}, "both are profiled")
    wait_until(lambda: plane.bodies(KeptImageBody) != [], "audited images are kept")
    line = results(agent, "belt")[0]
    assert line["format"] == "sightloop.result/1"
    assert line["prediction"]["bundle"] == bundles[0].digest
    assert len(line["prediction"]["detections"]) == 3
    assert [one.name for one in plane.check_ins[-1].streams] == ["belt", "incoming"]
    metrics = agent.ask("GET", "/metrics").body.decode()
    assert 'sightloop_source_frames_answered_total{stream="incoming"} 8' in metrics
    assert "<td>belt</td>" in agent.ask("GET", "/").body.decode()


def test_no_source_keeps_the_agent_from_serving(make, image):
    agent = make(
        "--source",
        "gone=http://admin:hunter2@127.0.0.1:9/live",
        "--source",
        "lost=/nowhere/film.mp4",
        "--source",
        "unplugged=/dev/video99",
        "--source",
        "unmounted=/nowhere/folder/",
    )
    for one in agent.status().sources:
        wait_until(lambda name=one.name: source(agent, name).problem != "", f"{one.name} is told")
    assert agent.predict(image, "?stream=gone").status == 200
    assert "hunter2" not in agent.log.read_text()
    assert b"hunter2" not in agent.ask("GET", "/health").body + agent.ask("GET", "/").body
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    ours = [one for one in commands if b"sources.capture" in one]
    assert not any(b"hunter2" in one for one in ours)


def test_an_agent_that_is_killed_leaves_no_capture_process(make, camera):
    agent = make("--source", f"belt={camera.url}")
    wait_until(lambda: source(agent, "belt").pid > 0, "it is read")
    pid = source(agent, "belt").pid
    agent.kill()
    wait_until(lambda: not _is_alive(pid), "the capture process is gone")


def test_sources_come_from_a_file_and_one_taken_out_of_it_is_gone(make, tmp_path, fill, bundles):
    folder = fill("a.jpg")
    config = tmp_path / "agent.toml"
    table = f'[[source]]\nname = "parts"\nurl = "{folder.name}/"\nstratum = "product_line=A"\n'
    config.write_text(table)
    agent = make("--config", str(config))
    wait_until(lambda: len(results(agent, "parts")) == 1, "the file is looked at")
    assert agent.status().streams[0].stratum == "product_line=A"
    assert agent.stop() == 0
    config.write_text("threads = 1\n")
    agent.start()
    wait_until(lambda: agent.serves(bundles[0]), "it serves again")
    assert agent.status().sources == []
    assert [one.name for one in agent.status().streams] == ["default"]


def _is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False
