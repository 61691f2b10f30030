"""`sightloop up`: the server and a worker in one process group.

The server's process owns the socket and watches over the worker: a worker that dies is started
again, and when the server goes, orderly or not, the worker goes with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.server.errors import PortTaken
from sightloop.server.presence import noted

RESTART_WORKER_AFTER_S = 1.0
_ALLOCATED_BEFORE_COLLECTING = 20_000
_PR_SET_PDEATHSIG = 1


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        PortTaken: another process does already.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(host=host, port=port) from error
    listener.listen(512)
    return listener


def serve(
    workspace: Workspace, listener: socket.socket, *, worker: bool, ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` gets the address once requests are answered."""
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"
    _allow_many_connections()
    config = uvicorn.Config(
        build_app(workspace), log_config=None, access_log=False, timeout_graceful_shutdown=5
    )
    server = _AnnouncingServer(config, lambda: ready(url))
    with noted(workspace.state, url), _worker_beside(workspace.root) if worker else _nothing():
        server.run(sockets=[listener])


_OPEN_FILES = 65_536


class _AnnouncingServer(uvicorn.Server):
    """uvicorn, telling when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _spare_the_collector()
        self._ready()


def _allow_many_connections() -> None:
    """Take as many open files as this user may have: each connection is one.

    Systems begin with 1024, which a few hundred trainers with live pages, or anybody who opens
    connections and says nothing, use up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _spare_the_collector() -> None:
    """Have Python's garbage collector look at what requests leave, not at the program itself.

    A page of runs allocates ten thousand objects. Without this each one has the collector go
    through modules and routes again, which takes as long as the page.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED_BEFORE_COLLECTING)


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextlib.contextmanager
def _worker_beside(root: Path) -> Iterator[None]:
    stopping = threading.Event()
    current: list[subprocess.Popen[bytes]] = []

    def watch() -> None:
        while not stopping.is_set():
            process = subprocess.Popen(
                [sys.executable, "-m", "sightloop.cli.main", "worker", "--workspace", str(root)],
                preexec_fn=_die_with_parent,
            )
            current[:] = [process]
            process.wait()
            stopping.wait(RESTART_WORKER_AFTER_S)

    thread = threading.Thread(target=watch, name="worker watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        for process in current:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _die_with_parent() -> None:
    """Have the kernel end the worker when the server is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
