"""Servers that benches ask: MLflow's own, ours, and a PostgreSQL for either."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

START_TIMEOUT_S = 180


class Server(NamedTuple):
    """A server that answers."""

    url: str
    token: str
    """Empty where the server asks for none."""
    ready_s: float
    """From the start of its process to its first answer."""
    pid: int

    def memory_mb(self) -> float:
        """What it and its children hold alone or share with one another (PSS), in megabytes."""
        first = psutil.Process(self.pid)
        return sum(one.memory_full_info().pss for one in [first, *first.children(True)]) / 1e6

    def cpu_s(self) -> float:
        """Processor time that it and its children took so far."""
        first = psutil.Process(self.pid)
        spent = [one.cpu_times() for one in [first, *first.children(True)]]
        return sum(one.user + one.system for one in spent)


@contextmanager
def mlflow_server(tools: Path, folder: Path, database: str = "") -> Iterator[Server]:
    """MLflow's, from the `bin` folder of its environment; SQLite unless told otherwise."""
    database = for_mlflow(database)
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = [str(tools / "mlflow"), "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", database or f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**_as_installed(), "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, environment, url) as (pid, ready_s):
        yield Server(url, "", ready_s, pid)


def for_mlflow(database: str) -> str:
    """The address of a PostgreSQL database with the driver that MLflow's environment has."""
    return database.replace("postgresql://", "postgresql+psycopg2://")


@contextmanager
def our_server(folder: Path, database: str = "") -> Iterator[Server]:
    """Ours on the workspace in the folder, made if it is not there; no worker beside it."""
    folder.mkdir(exist_ok=True)
    if not (folder / "sightloop.toml").exists():
        make_workspace(folder, database)
    port = free_port()
    command = [sys.executable, "-m", "sightloop.cli.main", "up", "--no-worker", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, our_environment(database), url) as (pid, ready_s):
        token = (folder / ".sightloop" / "token").read_text().strip()
        yield Server(url, token, ready_s, pid)


def make_workspace(folder: Path, database: str = "") -> None:
    """A workspace with its database where it is told to be."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "sightloop.cli.main", "init"]
    environment = our_environment(database)
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)


def our_environment(database: str) -> dict[str, str]:
    """This process's environment, which names the database unless it is the workspace's own."""
    return {**_as_installed(), **({"SIGHTLOOP_DATABASE_URL": database} if database else {})}


def _as_installed() -> dict[str, str]:
    """The environment without what would have Python compile every module at every start."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def running(
    command: list[str], folder: Path, environment: Mapping[str, str], url: str
) -> Iterator[tuple[int, float]]:
    """The process's id and the seconds until it answered; it and its children end afterwards."""
    with (folder / "server.log").open("ab") as log:
        start = time.perf_counter()
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"{url}/health", server)
            yield server.pid, time.perf_counter() - start
        finally:
            os.killpg(server.pid, signal.SIGTERM)  # MLflow's server has children
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until it answers.

    Raises:
        SystemExit: the process ended, or did not answer in time.
    """
    until = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"no server answers at {url}")


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
