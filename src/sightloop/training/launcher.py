"""The first moment of a job's process: `launcher.py FOLDER NICE COMMAND...`.

It makes the process a session of its own, takes the job's lock, writes down who it is, and then
becomes the engine. Because the process itself writes `process.json`, under a lock it keeps for
life, no crash of the worker can leave a job that nobody knows of, and no second job can start
beside a living one. Runs before anything is imported, so it uses the standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path

LOCK_NAME = "job.lock"
PROCESS_NAME = "process.json"
LOG_NAME = "engine.log"

ALREADY_RUNNING = 75
"""Exit status when the job's lock is held: another process does this job."""
CANNOT_START = 127
"""Exit status when the engine's program cannot be run; `engine.log` says why."""


def main(arguments: list[str]) -> int:
    """Become the engine; returns only when that is impossible."""
    folder, niceness, *command = arguments
    os.setsid()
    os.chdir(folder)
    _log_to(LOG_NAME)
    if not _lock_for_life(LOCK_NAME):
        return ALREADY_RUNNING
    os.nice(int(niceness))
    _write_down_who(Path(PROCESS_NAME))
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command comes from our own settings
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error}\n")
        return CANNOT_START


def boot_id() -> str:
    """Names the machine's present boot, so that a process id of an earlier one misleads nobody."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When the process started, in ticks since boot; None when no such process runs.

    A process that ended but was not waited for yet (a zombie) does not run.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may contain anything.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _log_to(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _lock_for_life(path: str) -> bool:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.set_inheritable(lock, True)  # the engine holds it on without knowing
    return True


def _write_down_who(path: Path) -> None:
    pid = os.getpid()
    who = {
        "pid": pid,
        "boot_id": boot_id(),
        "start_ticks": start_ticks(pid) or 0,
        "started_at_ms": time.time_ns() // 1_000_000,
    }
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(who))
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
