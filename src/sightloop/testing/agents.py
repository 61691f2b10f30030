"""Device agents as users run them, and a client that notices every request that fails."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from sightloop.device.predict import PredictReply
from sightloop.device.status import AgentStatus, SlotStatus
from sightloop.testing.bundles import ToyBundle

LOOK_EVERY_S = 0.02


class Answer(NamedTuple):
    """What a client got."""

    status: int
    body: bytes

    def prediction(self) -> PredictReply:
        """The body of a successful `/predict`."""
        assert self.status == 200, (self.status, self.body)
        return msgspec.json.decode(self.body, type=PredictReply)


class AgentProcess:
    """One agent on a home folder. May be started again after it ended, however it ended."""

    def __init__(self, home: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.home = home
        self.port = free_port()
        self.log = home.parent / f"{home.name}.log"
        self.flags = flags
        self._environment = {**os.environ, **(environment or {})}
        self._http = urllib3.PoolManager(maxsize=32, retries=False)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with all its flags, as for the first time."""
        self._start("--port", str(self.port), *self.flags)

    def start_again(self) -> None:
        """Start it with nothing but its home."""
        self._start()

    def stop(self) -> int:
        """End it in order; its exit code."""
        assert self._process is not None, "it was never started"
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None, "it was never started"
        return self._process.wait(30)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def is_running(self) -> bool:
        """Whether the process is there, whatever it does."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """One request, never repeated."""
        response = self._http.request(method, self.url + path, body=body, headers=headers)
        return Answer(response.status, response.data)

    def predict(self, image: bytes, query: str = "") -> Answer:
        """`POST /predict`."""
        return self.ask("POST", f"/predict{query}", image, {"Content-Type": "image/jpeg"})

    def status(self) -> AgentStatus:
        """What it says of itself."""
        return msgspec.json.decode(self.ask("GET", "/health").body, type=AgentStatus)

    def slot(self) -> SlotStatus:
        """Its first slot."""
        return self.status().slots[0]

    def serves(self, bundle: ToyBundle) -> bool:
        """Whether this bundle answers; False also while nothing listens."""
        with contextlib.suppress(HTTPError):
            report = self.slot().report
            return report.running == bundle.digest and report.golden_passed
        return False

    def kill_worker(self) -> None:
        """Kill the worker that answers now, as the kernel does when memory runs out."""
        pid = self.slot().worker_pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def launch(self, *, probation_s: float) -> None:
        """Start a launcher that starts it, and replaces it by what it is assigned."""
        self._start(
            "--port", str(self.port), *self.flags, verbs=["launch", f"--probation-s={probation_s}"]
        )

    def _start(self, *flags: str, verbs: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "sightloop.device", *verbs]
        command += ["--home", str(self.home), *flags]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, env=self._environment)


class Sent(NamedTuple):
    """One request of the open-loop client."""

    version: int
    """That answered; 0 when it failed."""
    duration_ms: float
    """From the moment it was due, so that a stall counts for all who came during it."""
    failure: str


class OpenLoopClient:
    """Asks at a fixed rate whatever becomes of the answers, never twice, forgetting nothing."""

    def __init__(self, agent: AgentProcess, image: bytes, *, per_second: float) -> None:
        self._agent = agent
        self._image = image
        self._period_s = 1 / per_second
        self._stopping = threading.Event()
        self._sending: list[Future[Sent]] = []
        self._pool = ThreadPoolExecutor(32)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> list[Sent]:
        """Everything that was asked, answered or not."""
        self._stopping.set()
        self._thread.join()
        self._pool.shutdown()
        return [sending.result() for sending in self._sending]

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            self._sending.append(self._pool.submit(self._send, due_s))
            due_s += self._period_s

    def _send(self, due_s: float) -> Sent:
        version, failure = 0, ""
        try:
            answer = self._agent.predict(self._image)
        except HTTPError as error:
            failure = repr(error)
        else:
            if answer.status == 200:
                version = answer.prediction().version
            else:
                failure = f"{answer.status} {answer.body!r}"
        return Sent(version, 1000 * (time.monotonic() - due_s), failure)


@contextmanager
def open_loop(agent: AgentProcess, image: bytes, *, per_second: float) -> Iterator[list[Sent]]:
    """A client at work during the block; the list is filled when the block has ended."""
    client = OpenLoopClient(agent, image, per_second=per_second)
    sent: list[Sent] = []
    client.start()
    try:
        yield sent
    finally:
        sent += client.stop()


def wait_until(is_so: Callable[[], bool], what: str, *, timeout_s: float = 30.0) -> None:
    """Return as soon as it is so; the only waiting that tests of processes do."""
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(LOOK_EVERY_S)


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
