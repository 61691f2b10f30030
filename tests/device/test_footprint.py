"""What an agent needs: few packages, little memory of others, two seconds, and no rights."""

import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from urllib3.exceptions import HTTPError

from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.control_plane import ENROL_TOKEN

ROOT = Path(__file__).parents[2]
SERVER_SIDE = {"sqlalchemy", "litestar", "torch", "ultralytics", "jinja2", "apprise", "optuna"}
PIXELS = {"cv2", "numpy", "onnxruntime"}


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("sightloop.device.__main__", SERVER_SIDE | PIXELS),
        ("sightloop.device.model_worker", SERVER_SIDE),
        ("sightloop.device.sources.capture", SERVER_SIDE | {"onnxruntime", "starlette", "uvicorn"}),
    ],
)
def test_a_process_of_the_device_loads_only_its_own(module: str, without: set[str]):
    assert loaded_by(module) & without == set()


def test_the_device_installs_a_handful_of_packages_and_no_database():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = extras["optional-dependencies"]["device"] + extras["dependencies"]
    pinned = re.findall(r"^([a-z0-9_.-]+)==", (ROOT / "requirements/device.txt").read_text(), re.M)
    assert len(direct) <= 13
    assert len(set(pinned)) <= 32
    assert not set(pinned) & SERVER_SIDE


def test_the_device_package_list_covers_what_the_extra_names():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = extras["optional-dependencies"]["device"] + extras["dependencies"]
    names = {re.split(r"[\[<>=; ]", one)[0] for one in direct}
    pinned = re.findall(r"^([a-z0-9_.-]+)==", (ROOT / "requirements/device.txt").read_text(), re.M)
    assert names <= set(pinned)


# --- as a service ------------------------------------------------------------------------------


def unit() -> str:
    return (ROOT / "deploy/sightloop-agent.service").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path):
    here = tmp_path / "sightloop-agent.service"
    here.write_text(unit().replace("/opt/sightloop/bin/sightloop", sys.executable))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("line", ["NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes"])
def test_the_unit_gives_the_agent_no_rights(line: str):
    assert line in unit().splitlines()


@pytest.mark.parametrize("file", ["sightloop-agent.service", "agent.Containerfile"])
def test_no_token_is_given_on_a_command_line(file: str):
    assert "--enrol-token " not in (ROOT / "deploy" / file).read_text()


def test_the_container_runs_as_a_user_and_installs_what_is_pinned():
    content = (ROOT / "deploy/agent.Containerfile").read_text()
    assert "\nUSER 10001\n" in content
    assert "--require-hashes -r /source/device.txt" in content
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", content, re.M):
        assert all((ROOT / path).exists() for path in source.split())


@pytest.mark.processes
def test_the_service_manager_hears_that_it_serves_lives_and_stops(tmp_path, plane):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        agent = AgentProcess(tmp_path / "home", *flags(plane), environment=environment)
        agent.start()
        try:
            assert manager.recv(100) == b"READY=1"
            assert agent.ask("GET", "/v2/health/live").status == 200
            assert manager.recv(100) == b"WATCHDOG=1"
            assert agent.stop() == 0
        finally:
            agent.kill()
        told = b""
        while told != b"STOPPING=1":
            told = manager.recv(100)


# --- how it starts -----------------------------------------------------------------------------


@pytest.mark.processes
def test_the_first_answer_comes_within_two_seconds_of_the_start(agent, plane, bundles, image):
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    agent.start()
    wait_until(lambda: agent.serves(bundles[0]), "it serves")
    assert agent.stop() == 0
    plane.stop()  # no network from here on
    taken_s = []
    for _ in range(3):
        begin_s = time.monotonic()
        agent.start_again()
        wait_until(lambda: answers(agent, image), "it answers")
        taken_s.append(time.monotonic() - begin_s)
        assert agent.stop() == 0
    assert min(taken_s) < 2.0


def answers(agent: AgentProcess, image: bytes) -> bool:
    try:
        return agent.predict(image).status == 200
    except HTTPError:
        return False


# --- the one-time token ------------------------------------------------------------------------


def flags(plane) -> list[str]:
    return ["--server", plane.url, "--enrol-token", ENROL_TOKEN]


@pytest.mark.processes
def test_a_token_from_the_environment_enrols_without_a_warning(tmp_path, plane):
    environment = {"SIGHTLOOP_ENROL_TOKEN": ENROL_TOKEN}
    agent = AgentProcess(tmp_path / "home", "--server", plane.url, environment=environment)
    agent.start()
    try:
        wait_until(lambda: plane.check_ins != [], "it checks in")
    finally:
        agent.kill()
    assert "warning" not in agent.log.read_text()


@pytest.mark.processes
def test_a_token_on_the_command_line_is_warned_about(tmp_path, plane):
    agent = AgentProcess(tmp_path / "home", *flags(plane))
    agent.start()
    try:
        wait_until(lambda: plane.check_ins != [], "it checks in")
    finally:
        agent.kill()
    assert "warning: --enrol-token can be read by every user" in agent.log.read_text()
