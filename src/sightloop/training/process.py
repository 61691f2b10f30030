"""The process of one job: start it, find it again, watch its memory, end it.

The process is a session of its own, so it outlives the worker that started it; a later worker
finds it by `process.json` and goes on watching. Only the worker that started it learns its exit
status from the system.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from sightloop.kernel.clock import Clock
from sightloop.training import launcher
from sightloop.training.endings import ExitStatus

SWEEP_TIMEOUT_S = 20.0
SWEEP_POLL_S = 0.01

_PASSED_ON = (
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "PYTHONPATH",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
)
_PASSED_ON_PREFIXES = ("CUDA_", "LC_", "NVIDIA_", "SSL_CERT_")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `process.json` says: enough to tell this process from any other, also after a boot."""

    pid: int
    boot_id: str
    start_ticks: int
    started_at_ms: int


class JobProcess:
    """A job's process, whether this worker started it or an earlier one did."""

    def __init__(self, folder: Path, record: ProcessRecord) -> None:
        self.record = record
        self._folder = folder
        self._exit: ExitStatus | None = None
        self._is_reaped = False

    @property
    def is_alive(self) -> bool:
        """Whether the engine itself runs; children it left behind do not count."""
        if launcher.boot_id() != self.record.boot_id:
            return False
        return launcher.start_ticks(self.record.pid) == self.record.start_ticks

    def exit_status(self) -> ExitStatus | None:
        """How it ended; None while it runs, and when it was started by an earlier worker."""
        if not self._is_reaped and not self.is_alive:
            self._exit = reap(self.record.pid)
            self._is_reaped = True
        return self._exit

    def memory_bytes(self) -> int:
        """Resident memory of the process and its descendants now; 0 when it is gone.

        Pages that several of them share are counted for each.
        """
        try:
            engine = psutil.Process(self.record.pid)
            family = [engine, *engine.children(recursive=True)]
        except psutil.Error:
            return 0
        return sum(_resident_bytes(process) for process in family)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the engine, which may tidy up and write its last line."""
        if self.is_alive:
            _send(self.record.pid, signal.SIGTERM)

    def sweep(self, clock: Clock) -> None:
        """Kill the engine and everything in its session, and wait until they are gone."""
        deadline_s = clock.monotonic_s() + SWEEP_TIMEOUT_S
        # The group's number is the engine's pid. It can only have passed on to strangers when
        # nobody of the job is left, and then nobody holds the lock either.
        while self.is_alive or is_locked(self._folder):
            _send(-self.record.pid, signal.SIGKILL)
            if clock.monotonic_s() > deadline_s:
                return  # the kernel itself is stuck with it; nothing more can be done from here
            clock.sleep(SWEEP_POLL_S)
        self.exit_status()  # so that no zombie is left


def start_process(
    folder: Path,
    command: Sequence[str],
    *,
    niceness: int,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Start the engine on the job of this folder; returns the pid of what will become it.

    Args:
        folder: the job's.
        command: the engine's, with its arguments.
        niceness: how far it yields to others.
        variables: of its environment, that are to differ from ours.
    """
    arguments = [
        *(sys.executable, "-I", "-S", launcher.__file__),
        *(str(folder), str(niceness), *command),
    ]
    environment = clean_environment(os.environ | dict(variables or {}))
    return os.posix_spawn(sys.executable, arguments, environment)


def find_process(folder: Path) -> JobProcess | None:
    """The process that was started on this folder, alive or not; None when none was."""
    try:
        content = (folder / launcher.PROCESS_NAME).read_bytes()
    except FileNotFoundError:
        return None
    return JobProcess(folder, msgspec.json.decode(content, type=ProcessRecord))


def is_locked(folder: Path) -> bool:
    """Whether a process of this job lives: the engine, or a child it left behind."""
    try:
        lock = os.open(folder / launcher.LOCK_NAME, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def reap(pid: int) -> ExitStatus | None:
    """The exit status of a child of ours that has ended; None for anyone else's, or a live one."""
    try:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return ExitStatus(
        code=code,
        signal_name=signal.Signals(-code).name if code < 0 else None,
        # Linux counts kibibytes here, macOS bytes.
        peak_memory_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def clean_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What an engine gets to see of our environment: no tokens, no settings of other tools.

    >>> clean_environment({"PATH": "/bin", "LC_ALL": "C", "WANDB_API_KEY": "s3cr3t"})
    {'PATH': '/bin', 'LC_ALL': 'C', 'PYTHONSAFEPATH': '1', 'PYTHONUNBUFFERED': '1'}
    """
    passed_on = {
        name: value
        for name, value in ours.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES) or name.lower() in _PROXIES
    }
    # Without the first, a file in the job's folder could stand in for a module; without the
    # second, the log of a crash lacks its end.
    return passed_on | {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)  # a negative pid names the whole group
    except ProcessLookupError:
        return
