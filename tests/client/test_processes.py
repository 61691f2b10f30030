"""The client in processes of its own: forked, killed, left without a word; and real servers."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

import sightloop
from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.testing.workspaces import LOCAL_CALL, place_database
from sightloop.tracking.points import metric_history
from sightloop.tracking.services import ListRuns, RunFacts, ShowRun, list_runs, show_run
from sightloop.wiring import create_workspace, ensure_token

pytestmark = pytest.mark.processes


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workspace]:
    opened = create_workspace(place_database(tmp_path / "workspace"), {})
    yield opened
    opened.db.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "spools").mkdir()
    return os.environ | {"SIGHTLOOP_SPOOL": str(tmp_path / "spools"), "PYTHONWARNINGS": "ignore"}


def start(script: str, place: Workspace, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=place.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def play(script: str, place: Workspace, environment: dict[str, str]) -> str:
    """Run the script to its end; what it told on standard error."""
    return start(script, place, environment).communicate(timeout=60)[1]


def only_run(place: Workspace) -> RunFacts:
    (run,) = list_runs(place, LOCAL_CALL, ListRuns()).runs
    return show_run(place, LOCAL_CALL, ShowRun(run=run.id))


def steps(place: Workspace, run: str, key: str) -> list[int]:
    with place.db.read() as tx:
        return [point.step for point in metric_history(tx, run, key)]


def sync(place: Workspace, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sightloop.cli.main", "runs", "sync"]
    return subprocess.run(
        command, cwd=place.root, env=environment, capture_output=True, text=True, check=False
    )


def test_a_run_that_nobody_ended_ends_with_its_process(place: Workspace, environment):
    script = "import sightloop\nrun = sightloop.run('pcb')\nrun.log(loss=1)"
    assert play(script, place, environment) == ""
    shown = only_run(place)
    assert (shown.run.state, shown.metrics["loss"].value) == ("finished", 1.0)
    assert list(Path(environment["SIGHTLOOP_SPOOL"]).iterdir()) == []


def test_an_exception_nobody_caught_fails_the_run(place: Workspace, environment):
    script = "import sightloop\nrun = sightloop.run('pcb')\nraise ValueError('no images')"
    assert "ValueError: no images" in play(script, place, environment)
    run = only_run(place).run
    assert (run.state, run.exit_reason) == ("failed", "ValueError: no images")


def test_a_killed_process_leaves_all_it_wrote_and_sync_forwards_it(place: Workspace, environment):
    port = free_port()
    environment |= {
        "SIGHTLOOP_SERVER": f"http://127.0.0.1:{port}",
        "SIGHTLOOP_TOKEN": ensure_token(place),
    }
    script = """
import sightloop, time
run = sightloop.run("pcb", capture=False)
for step in range(5000): run.log(loss=step, step=step)
time.sleep(0.6)
print("logged", flush=True)
time.sleep(60)
"""
    process = start(script, place, environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with serving(place, port):
        done = sync(place, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    run = only_run(place).run
    assert steps(place, run.id, "loss") == list(range(5000))
    assert (run.state, run.exit_reason) == ("failed", "its process ended without saying how")
    assert list(Path(environment["SIGHTLOOP_SPOOL"]).glob("run_*")) == []


def test_forked_children_log_beside_their_parent(place: Workspace, environment):
    script = """
import os, sightloop, threading
with sightloop.run("pcb", capture=False) as run:
    for step in range(100): run.log(parent=step, step=step)
    children = []
    for n in range(3):
        child = os.fork()
        if child == 0:
            for step in range(50): run.log({f"child{n}": step}, step=step)
            run.finish("failed")
            os._exit(0)
        children.append(child)
    for child in children: os.waitpid(child, 0)
    for step in range(100, 200): run.log(parent=step, step=step)
"""
    assert play(script, place, environment) == ""
    run = only_run(place).run
    assert run.state == "finished"
    assert steps(place, run.id, "parent") == list(range(200))
    for n in range(3):
        assert steps(place, run.id, f"child{n}") == list(range(50))


def test_a_server_that_is_away_and_back_has_everything(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SIGHTLOOP_SPOOL", str(tmp_path))
    monkeypatch.setenv("SIGHTLOOP_TOKEN", ensure_token(place))
    port = free_port()
    with sightloop.run("pcb", server=f"http://127.0.0.1:{port}", capture=False) as run:
        run.log(loss=1.0, step=0)
        with serving(place, port):
            wait_until(lambda: steps(place, run.id, "loss") == [0])
        for step in range(1, 500):
            run.log(loss=1.0, step=step)
        run.log_bytes(b"weights", "weights/best model.pt")
        with serving(place, port):
            wait_until(lambda: len(steps(place, run.id, "loss")) == 500)
            run.finish()
    shown = only_run(place)
    assert shown.run.state == "finished"
    assert [artifact.name for artifact in shown.artifacts] == ["weights/best model.pt"]
    assert run.url == f"http://127.0.0.1:{port}/runs/{run.id}"


def test_a_wrong_token_keeps_everything_and_says_so(
    place: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("SIGHTLOOP_SPOOL", str(tmp_path))
    monkeypatch.setenv("SIGHTLOOP_TOKEN", "wrong")
    with serving(place) as url, sightloop.run("pcb", server=url, capture=False) as run:
        run.log(loss=1.0)
    assert "SIGHTLOOP_TOKEN" in capsys.readouterr().err
    assert (tmp_path / run.id / "main.jsonl").exists()


@contextmanager
def serving(place: Workspace, port: int = 0) -> Iterator[str]:
    """The real server, in a thread, until the block ends."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        build_app(place), log_config=None, timeout_graceful_shutdown=1, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: object, timeout_s: float = 30.0) -> None:
    assert callable(condition)
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)
