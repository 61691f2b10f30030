"""Running a command and knowing what it cost: seconds, processor, memory, writing. Linux only."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench.data.stopwatch import BLOCK_BYTES, high_water_mb

_LOOK_EVERY_S = 0.02


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of something took."""

    wall_s: float
    cpu_s: float
    """User and system time of the process and of all it started and waited for."""
    peak_mb: float
    """High-water marks of the processes that live at the same time, added up."""
    written_mb: float | None = None
    """What was written to the file system, in pages; None where nobody looked."""


class Ran(NamedTuple):
    """A finished command."""

    cost: Cost
    output: str


class CommandFailed(RuntimeError):
    """A command of the bench failed; its words are the message."""


def run(argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> Ran:
    """Run it to its end, alone.

    What earlier commands left to be written is written first, so that nobody pays for another.

    Raises:
        CommandFailed: it said that it failed.
    """
    os.sync()
    whole = {**os.environ, **(env or {})}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(one) for one in argv],
            cwd=cwd, env=whole, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
        )  # fmt: skip
        watch = _MemoryWatch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        peak_mb = watch.finish()
        output.seek(0)
        errors.seek(0)
        text = output.read().decode(errors="replace")
        if process.returncode:
            tail = (text + errors.read().decode(errors="replace"))[-3000:]
            raise CommandFailed(f"{' '.join(map(str, argv))}: {process.returncode}\n{tail}")
    cost = Cost(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=peak_mb,
        written_mb=usage.ru_oublock * BLOCK_BYTES / 1e6,
    )
    return Ran(cost, text)


def run_inside(
    argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None
) -> tuple[Cost, dict[str, Any]]:
    """Run a script that measures an operation itself and says the cost in its last line.

    Raises:
        CommandFailed: it said that it failed.
    """
    facts = json.loads(run(argv, cwd=cwd, env=env).output.splitlines()[-1])
    cost = msgspec.convert({field: facts.pop(field) for field in Cost.__struct_fields__}, Cost)
    return cost, facts


class _MemoryWatch:
    """Looks at a process and its descendants while they live."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_mb = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def finish(self) -> float:
        """Stop looking; the most memory that was seen, in megabytes."""
        self._ended.set()
        self._thread.join()
        return self._peak_mb

    def _look(self) -> None:
        while not self._ended.is_set():
            now_mb = sum(high_water_mb(str(pid)) for pid in _tree(self._pid))
            self._peak_mb = max(self._peak_mb, now_mb)
            self._ended.wait(_LOOK_EVERY_S)


def _tree(pid: int) -> list[int]:
    found = [pid]
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:  # it ended meanwhile
        return found
    for task in tasks:
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += _tree(int(child))
    return found
