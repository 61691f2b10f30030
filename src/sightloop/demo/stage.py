"""The real processes of the demo: one server with its worker, and device agents."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from sightloop.demo.errors import DemoStuck, FolderInUse
from sightloop.fleet.enrolment import CreateEnrolment, EnrolmentToken
from sightloop.kernel.progress import Progress, silent
from sightloop.server.callers import RemoteCaller, read_token
from sightloop.server.presence import ServerNote

Result = TypeVar("Result")

MARK = "sightloop-demo.json"
"""Stands in a folder that a demo made, and that the next demo may therefore replace."""
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.2
_SERVING = re.compile(r" agent\.serving .*url=(\S+)")


class Agent:
    """One device: its name, the ring it is in, its stream, and where it answers."""

    def __init__(self, *, name: str, ring: str, stratum: str, home: Path, log: Path) -> None:
        self.name = name
        self.ring = ring
        self.stratum = stratum
        self.stream = f"camera-{name}"
        self.home = home
        self.log = log
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None


class Stage:
    """A folder with a workspace, devices and logs, and the processes that run on it."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.workspace = out / "workspace"
        self.logs = out / "logs"
        self.server_url = ""
        self.agents: list[Agent] = []
        self.server: subprocess.Popen[bytes] | None = None
        self._caller: RemoteCaller | None = None

    def call(
        self,
        operation: str,
        request: msgspec.Struct,
        result: type[Result],
        *,
        progress: Progress = silent,
    ) -> Result:
        """Run a service of the server, as any client would."""
        assert self._caller is not None, "the server was started before"
        return self._caller.call(operation, request, result, progress=progress)

    def start_server(self, *, port: int = 0) -> float:
        """Start `sightloop up`, on a free port by default; returns how many seconds that took."""
        started_s = time.monotonic()
        note_path = self.workspace / ".sightloop" / "server.json"
        note_path.unlink(missing_ok=True)
        self.server = self._start(
            ["up", "--workspace", str(self.workspace), "--port", str(port)],
            self.logs / "server.log",
        )
        wait_for(
            "starting the server",
            note_path.exists,
            timeout_s=START_TIMEOUT_S,
            alive=lambda: self.server is not None and self.server.poll() is None,
        )
        self.server_url = msgspec.json.decode(note_path.read_bytes(), type=ServerNote).url
        self._caller = RemoteCaller(self.server_url, read_token(self.workspace / ".sightloop"))
        return time.monotonic() - started_s

    def start_agent(self, *, name: str, ring: str, stratum: str, model: str) -> Agent:
        """Enrol a device with a one-time token and start its agent."""
        agent = Agent(
            name=name,
            ring=ring,
            stratum=stratum,
            home=self.out / "devices" / name,
            log=self.logs / f"{name}.log",
        )
        enrolment = CreateEnrolment(name=name, ring=ring, site="demo", slots={"main": model})
        token = self.call("devices.enroll", enrolment, EnrolmentToken).token
        flags = {
            "home": str(agent.home),
            "server": self.server_url,
            "enrol-token": token,
            "name": name,
            "port": "0",
            "stream": f"{agent.stream}:main:{stratum}",
            "forward-every-s": "1",
            "health-every-s": "5",
        }
        self.run_agent(agent, flags)
        self.agents.append(agent)
        return agent

    def run_agent(self, agent: Agent, flags: Mapping[str, str]) -> None:
        """Start the agent's process; one that was enrolled before needs only its home."""
        agent.log.unlink(missing_ok=True)
        arguments = [part for flag, value in flags.items() for part in (f"--{flag}", value)]
        agent.process = self._start(["agent", *arguments], agent.log)
        wait_for(
            f"starting the agent of {agent.name}",
            lambda: bool(_find_url(agent)),
            timeout_s=START_TIMEOUT_S,
            alive=lambda: agent.process is not None and agent.process.poll() is None,
        )
        agent.url = _find_url(agent)

    def resident_bytes(self) -> dict[str, int]:
        """Proportional memory of the server's and each agent's processes, children included."""
        groups = {"server": self.server, **{a.name: a.process for a in self.agents}}
        return {
            name: sum(_pss_bytes(one) for one in _family(process.pid))
            for name, process in groups.items()
            if process is not None
        }

    def stop(self) -> None:
        """End every process, orderly first."""
        processes = [agent.process for agent in self.agents] + [self.server]
        for process in processes:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            if process is None:
                continue
            try:
                process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "sightloop.cli.main", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is answered by the director alone
            )


@contextmanager
def opened_stage(out: Path) -> Iterator[Stage]:
    """An empty stage in `out`; an earlier demo's files there are replaced.

    Raises:
        FolderInUse: the folder holds something no demo made; nothing was touched.
    """
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise FolderInUse(path=str(out))
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text(json.dumps({"made_by": "sightloop demo"}))
    stage = Stage(out.resolve())
    for folder in (stage.workspace, stage.logs, out / "devices"):
        folder.mkdir()
    try:
        yield stage
    finally:
        stage.stop()


def wait_for(
    station: str,
    condition: Callable[[], bool],
    *,
    timeout_s: float,
    alive: Callable[[], bool] = lambda: True,
    problem: Callable[[], str] = lambda: "",
) -> None:
    """Return once the condition holds.

    Raises:
        DemoStuck: it did not in time, a process died, or `problem` names one.
    """
    started_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - started_s
        if found := problem():
            raise DemoStuck(station=station, waited_s=waited_s, detail=found)
        if not alive():
            raise DemoStuck(station=station, waited_s=waited_s, detail="a process ended")
        if waited_s > timeout_s:
            raise DemoStuck(station=station, waited_s=waited_s, detail="it took too long")
        time.sleep(POLL_S)


def _find_url(agent: Agent) -> str:
    found = _SERVING.search(agent.log.read_text(errors="replace"))
    return found[1] if found else ""


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
