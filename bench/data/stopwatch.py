"""What an operation costs inside a process. Standard library only: Oxen's process uses it too."""

from __future__ import annotations

import json
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BLOCK_BYTES = 512
"""The unit in which the kernel counts what a process writes."""

_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def timed(act: Callable[[], object]) -> dict[str, float]:
    """Run it once; seconds, processor seconds, and megabytes of memory (peak) and of writing."""
    before, began = [resource.getrusage(who) for who in _WHO], time.perf_counter()
    act()
    wall_s = time.perf_counter() - began
    spent = list(zip(before, [resource.getrusage(who) for who in _WHO], strict=True))
    return {
        "wall_s": wall_s,
        "cpu_s": sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in spent),
        "peak_mb": high_water_mb("self"),
        "written_mb": sum(b.ru_oublock - a.ru_oublock for a, b in spent) * BLOCK_BYTES / 1e6,
    }


def say(facts: dict[str, Any]) -> None:
    """Print the facts as the last line, where whoever started this process looks for them."""
    print(json.dumps(facts), flush=True)


def high_water_mb(process: str) -> float:
    """The most memory that a living process has had at once since it began; 0.0 of a dead one."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0
