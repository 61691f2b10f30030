import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sightloop.kernel.clock import SystemClock
from sightloop.training import launcher
from sightloop.training.process import (
    ExitStatus,
    JobProcess,
    find_process,
    is_locked,
    reap,
    start_process,
)

pytestmark = pytest.mark.processes
CLOCK = SystemClock()
SLEEP = ["sleep", "60"]


def wait_until(is_so: Callable[[], object]) -> None:
    deadline_s = CLOCK.monotonic_s() + 20
    while not is_so():
        assert CLOCK.monotonic_s() < deadline_s, "it never became so"
        time.sleep(0.005)


def started(folder: Path, *command: str, niceness: int = 0) -> JobProcess:
    start_process(folder, command, niceness=niceness)
    wait_until(lambda: find_process(folder))
    process = find_process(folder)
    assert process is not None
    return process


def exit_status(process: JobProcess) -> ExitStatus:
    wait_until(process.exit_status)
    status = process.exit_status()
    assert status is not None
    return status


def log(folder: Path) -> str:
    return (folder / launcher.LOG_NAME).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    process = find_process(tmp_path)
    if process is not None:
        process.sweep(CLOCK)


def test_a_process_is_found_again_by_its_folder_alone(folder: Path):
    process = started(folder, *SLEEP)
    found = find_process(folder)
    assert found is not None
    assert found.record == process.record
    assert found.is_alive


def test_a_job_is_a_session_of_its_own(folder: Path):
    process = started(folder, *SLEEP)
    assert os.getsid(process.record.pid) == process.record.pid != os.getsid(0)


def test_a_job_works_in_its_folder_with_the_niceness_asked_for(folder: Path):
    mine = os.nice(0)
    process = started(folder, "sh", "-c", "pwd; nice", niceness=3)
    exit_status(process)
    assert log(folder).split() == [str(folder), str(min(mine + 3, 19))]


def test_no_second_job_starts_beside_a_living_one(folder: Path):
    first = started(folder, *SLEEP)
    second = start_process(folder, SLEEP, niceness=0)
    status: list[ExitStatus | None] = []
    wait_until(lambda: status.append(reap(second)) or status[-1])
    assert status[-1] is not None
    assert status[-1].code == launcher.ALREADY_RUNNING
    found = find_process(folder)
    assert found is not None
    assert found.record == first.record


def test_an_exit_code_is_told_once_the_process_has_ended(folder: Path):
    status = exit_status(started(folder, "sh", "-c", "exit 3"))
    assert (status.code, status.signal_name) == (3, None)
    assert status.peak_memory_bytes > 0


def test_the_signal_that_ended_a_process_is_named(folder: Path):
    process = started(folder, *SLEEP)
    assert process.exit_status() is None
    os.kill(process.record.pid, signal.SIGSEGV)
    assert exit_status(process).signal_name == "SIGSEGV"


def test_a_program_that_is_not_there_says_so_in_the_log(folder: Path):
    status = exit_status(started(folder, "/no/such/engine"))
    assert status.code == launcher.CANNOT_START
    assert "cannot start /no/such/engine: [Errno 2]" in log(folder)


def test_asking_to_stop_sends_a_signal_the_engine_can_answer(folder: Path):
    script = "trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    process = started(folder, "sh", "-c", script)
    wait_until(lambda: "ready" in log(folder))
    process.ask_to_stop()
    assert exit_status(process).code == 0
    assert log(folder).split() == ["ready", "tidied"]


def test_a_sweep_ends_children_too(folder: Path):
    process = started(folder, "sh", "-c", "trap '' TERM; sleep 60 & echo $!; sleep 60")
    wait_until(lambda: log(folder).strip())
    child = int(log(folder))
    process.sweep(CLOCK)
    assert not process.is_alive
    assert launcher.start_ticks(child) is None
    assert not is_locked(folder)


def test_children_that_outlive_the_engine_are_swept_as_well(folder: Path):
    process = started(folder, "sh", "-c", "sleep 60 & echo $!")
    exit_status(process)
    assert is_locked(folder)
    process.sweep(CLOCK)
    assert not is_locked(folder)
    assert launcher.start_ticks(int(log(folder))) is None


def test_the_memory_of_children_counts(folder: Path):
    hoard = "x = b'x' * (50 << 20); print(1, flush=True); import time; time.sleep(60)"
    process = started(folder, "sh", "-c", '"$0" -c "$1"; :', sys.executable, hoard)
    wait_until(lambda: log(folder).strip())
    assert process.memory_bytes() > 50 << 20
    process.sweep(CLOCK)
    assert process.memory_bytes() == 0


def test_a_pid_of_an_earlier_boot_or_of_somebody_else_is_not_the_job(folder: Path):
    process = started(folder, *SLEEP)
    for change in ({"boot_id": "another"}, {"start_ticks": process.record.start_ticks + 1}):
        stranger = JobProcess(folder, msgspec.structs.replace(process.record, **change))
        assert not stranger.is_alive
    assert process.is_alive


def test_secrets_of_our_environment_do_not_reach_an_engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ULTRALYTICS_API_KEY", "s3cr3t")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/evil.py")
    exit_status(started(folder, "env"))
    names = {line.partition("=")[0] for line in log(folder).splitlines()}
    assert {"PATH", "PYTHONSAFEPATH"} <= names
    assert not {"ULTRALYTICS_API_KEY", "PYTHONSTARTUP"} & names


def test_a_job_survives_the_process_that_started_it(folder: Path):
    script = (
        "from pathlib import Path; from sightloop.training.process import start_process; "
        f"start_process(Path({str(folder)!r}), ['sleep', '60'], niceness=0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    wait_until(lambda: find_process(folder))
    process = find_process(folder)
    assert process is not None
    assert process.is_alive
    process.sweep(CLOCK)
    assert process.exit_status() is None  # nobody but its parent could have learnt it
