"""Who serves the model: how each is started, and how it is sent an image."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.serving.agents import running_agent

PEERS = Path(__file__).parent / "peers"
START_TIMEOUT_S = 120

Body = tuple[str, dict[str, str], bytes]
"""Path, headers and body of a request."""


class Running(NamedTuple):
    """A server that answers."""

    port: int
    pid: int
    ready_s: float
    """From the start of its process to its first right answer."""

    def cpu_s(self) -> float:
        """Processor time that it and its children took so far."""
        return sum(
            sum(one.cpu_times()[:2])
            for one in [psutil.Process(self.pid), *psutil.Process(self.pid).children(True)]
        )

    def memory_mb(self) -> float:
        """What it and its children hold alone or share with one another (PSS), in megabytes."""
        first = psutil.Process(self.pid)
        return sum(one.memory_full_info().pss for one in [first, *first.children(True)]) / 1e6

    def pause(self, *, paused: bool) -> None:
        """Let it sleep while others are measured."""
        first = psutil.Process(self.pid)
        number = signal.SIGSTOP if paused else signal.SIGCONT
        for one in [first, *first.children(True)]:
            one.send_signal(number)


class Contestant(NamedTuple):
    """One of those that are compared."""

    name: str
    start: Callable[[Path, Path, int, bytes], object]
    """From scratch folder, model file, threads and an image to a context with a `Running`."""
    body: Callable[[bytes], Body]


def contestants(tools: Path) -> list[Contestant]:
    """All that are installed below `tools`, ours first."""
    ours = Contestant("sightloop", _sightloop, _raw)
    return [
        ours,
        Contestant("litserve", _peer(tools, "litserve", _litserve, tuned=False), _json),
        Contestant("litserve-tuned", _peer(tools, "litserve", _litserve), _json),
        Contestant("bentoml", _peer(tools, "bentoml", _bentoml), _form),
        Contestant("mlserver", _peer(tools, "mlserver", _mlserver), _oip),
    ]


def is_installed(tools: Path, name: str) -> bool:
    environment = name.partition("-")[0]
    return name == "sightloop" or (tools / environment / "bin" / "python").exists()


def _raw(image: bytes) -> Body:
    return "/predict", {"Content-Type": "image/jpeg"}, image


def _json(image: bytes) -> Body:
    body = json.dumps({"image": base64.b64encode(image).decode()}).encode()
    return "/predict", {"Content-Type": "application/json"}, body


def _form(image: bytes) -> Body:
    head = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n"
    )
    body = head + image + b"\r\n--x--\r\n"
    return "/predict", {"Content-Type": "multipart/form-data; boundary=x"}, body


def _oip(image: bytes) -> Body:
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(image).decode()],
    }
    body = json.dumps({"inputs": [tensor]}).encode()
    return "/v2/models/detect/infer", {"Content-Type": "application/json"}, body


@contextmanager
def _sightloop(folder: Path, model_file: Path, threads: int, image: bytes) -> Iterator[Running]:
    with running_agent(folder / "sightloop", model_file, threads=threads) as agent:
        # A second start, of an agent that has its model: what a device does when it boots.
        agent.process.stop()
        start_s = time.perf_counter()
        agent.process.start_again()
        wait_for(agent.process.port, _raw(image), lambda: agent.process.is_running)
        ready_s = time.perf_counter() - start_s
        yield Running(agent.process.port, agent.process.pid, ready_s)


Command = Callable[[Path, Path, int], list[str]]


def _litserve(binaries: Path, folder: Path, port: int) -> list[str]:  # noqa: ARG001
    return [str(binaries / "python"), str(PEERS / "litserve_server.py"), str(port)]


def _bentoml(binaries: Path, folder: Path, port: int) -> list[str]:  # noqa: ARG001
    command = [str(binaries / "bentoml"), "serve", "bentoml_service:Detect"]
    return [*command, "--port", str(port), "--host", "127.0.0.1", "--working-dir", str(PEERS)]


def _mlserver(binaries: Path, folder: Path, port: int) -> list[str]:
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 1,
    }
    model = {"name": "detect", "implementation": "mlserver_runtime.Detect"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return [str(binaries / "mlserver"), "start", str(folder)]


def _peer(
    tools: Path, name: str, command_of: Command, *, tuned: bool = True
) -> Callable[..., object]:
    """Tuned is with the session settings our workers use, else with ONNX Runtime's defaults."""

    @contextmanager
    def start(folder: Path, model_file: Path, threads: int, image: bytes) -> Iterator[Running]:
        home, port, binaries = folder / name, free_port(), tools / name / "bin"
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "MODEL_FILE": str(model_file),
            "THREADS": str(threads) if tuned else "",
            "PYTHONPATH": str(PEERS),
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(home),
            "DO_NOT_TRACK": "1",
        }
        command = command_of(binaries, home, port)
        with (folder / f"{name}.log").open("ab") as log:
            start_s = time.perf_counter()
            server = subprocess.Popen(
                command, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            body = next(one for one in contestants(tools) if one.name == name).body(image)
            wait_for(port, body, lambda: server.poll() is None)
            yield Running(port, server.pid, time.perf_counter() - start_s)
        finally:
            if server.poll() is None:
                Running(port, server.pid, 0).pause(paused=False)
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()

    return start


def wait_for(port: int, body: Body, is_running: Callable[[], bool]) -> None:
    """Until the first right answer.

    Raises:
        SystemExit: the process ended, or gave no right answer in time.
    """
    import http.client

    path, headers, content = body
    until_s = time.monotonic() + START_TIMEOUT_S
    while is_running() and time.monotonic() < until_s:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("POST", path, content, headers)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    raise SystemExit(f"no right answer on port {port}; see the logs")


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
