"""How busy the machine is: processors, memory, graphics cards."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

EVERY_S = 10.0
_STAT = Path("/proc/stat")
_MEMORY = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")
_GPU_QUERY = "index,utilization.gpu,memory.used,temperature.gpu,power.draw"
_GPU_NAMES = ("utilization_percent", "memory_used_mib", "temperature_c", "power_w")


class Sampler:
    """Metrics of the time since the sample before; what the system does not tell is left out."""

    def __init__(self) -> None:
        self._asks_gpu = shutil.which("nvidia-smi") is not None
        self._cpu = _cpu_ticks()
        self._own_s, self._at_s = _own_cpu_s(), time.monotonic()

    def sample(self) -> dict[str, float]:
        """Metrics by name, all under `system/`."""
        found = {**self._cpu_share(), **self._own_share(), **_memory(), **self._gpus()}
        return {f"system/{name}": value for name, value in found.items()}

    def _cpu_share(self) -> dict[str, float]:
        before, self._cpu = self._cpu, _cpu_ticks()
        if before is None or self._cpu is None or self._cpu[1] <= before[1]:
            return {}
        idle, total = self._cpu[0] - before[0], self._cpu[1] - before[1]
        return {"cpu_percent": 100 * (1 - idle / total)}

    def _own_share(self) -> dict[str, float]:
        own_s, at_s = _own_cpu_s(), time.monotonic()
        passed_s = at_s - self._at_s
        share = {"process_cpu_percent": 100 * (own_s - self._own_s) / passed_s} if passed_s else {}
        self._own_s, self._at_s = own_s, at_s
        return share

    def _gpus(self) -> dict[str, float]:
        if not self._asks_gpu:
            return {}
        command = ["nvidia-smi", f"--query-gpu={_GPU_QUERY}", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)
        except (OSError, subprocess.SubprocessError):
            self._asks_gpu = False  # no driver: it will not come while the run lasts
            return {}
        return parse_gpus(done.stdout)


def parse_gpus(text: str) -> dict[str, float]:
    """Metrics from the lines of nvidia-smi; a value it does not know is left out.

    >>> parse_gpus("0, 35, 1024, 48, [N/A]")
    {'gpu0/utilization_percent': 35.0, 'gpu0/memory_used_mib': 1024.0, 'gpu0/temperature_c': 48.0}
    """
    found: dict[str, float] = {}
    for line in text.splitlines():
        index, *values = (value.strip() for value in line.split(","))
        for name, value in zip(_GPU_NAMES, values, strict=False):
            try:
                found[f"gpu{index}/{name}"] = float(value)
            except ValueError:
                continue
    return found


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _cpu_ticks() -> tuple[int, int] | None:
    """Idle and all ticks of all processors since the machine started."""
    try:
        fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return fields[3] + fields[4], sum(fields)


def _memory() -> dict[str, float]:
    found: dict[str, float] = {}
    try:
        pages = int(_STATM.read_text().split()[1])
        found["process_memory_mib"] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        lines = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        total, free = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        found["memory_used_mib"] = (total - free) / 1024
        found["memory_percent"] = 100 * (1 - free / total)
    except (OSError, ValueError, KeyError):
        pass  # not Linux: what was found before is all there is
    return found
