"""What surrounds a run: interpreter, installed distributions, machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import distributions
from pathlib import Path
from typing import Literal

import msgspec

_CPU_INFO = Path("/proc/cpuinfo")
_NVIDIA_CARDS = Path("/proc/driver/nvidia/gpus")


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """The machine a run was started on."""

    cpu: str
    n_cores: int
    """Cores this process may use, which a container may limit."""
    memory_bytes: int
    gpus: list[str]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Everything installed beside the code, and what it ran on.

    An installed engine runs in this same interpreter; a configured command may not, and then
    only its own last line tells its version.
    """

    format: Literal["sightloop.environment/1"] = "sightloop.environment/1"
    python: str
    system: str
    distributions: dict[str, str]
    hardware: Hardware


def capture_environment() -> Environment:
    """This process's environment; takes about a tenth of a second, mostly to list distributions."""
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=platform.platform(),
        distributions=_installed(),
        hardware=Hardware(
            cpu=_cpu_name(),
            n_cores=usable_cores(),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            gpus=_gpu_names(),
        ),
    )


def hardware_line(hardware: Hardware) -> str:
    """The machine in one line.

    >>> hardware_line(Hardware(cpu="Xeon", n_cores=2, memory_bytes=24 << 30, gpus=["A10"]))
    'Xeon, 2 cores, 24 GiB, A10'
    """
    parts = [hardware.cpu, f"{hardware.n_cores} cores", f"{hardware.memory_bytes / 2**30:.0f} GiB"]
    return ", ".join(parts + hardware.gpus)


def usable_cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows cannot tell
        return os.cpu_count() or 1


def _installed() -> dict[str, str]:
    found = {found.name: found.version for found in distributions()}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _cpu_name() -> str:
    try:
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _gpu_names() -> list[str]:
    # The driver's own files: asking its library would mean importing one.
    return [
        line.partition(":")[2].strip()
        for card in sorted(_NVIDIA_CARDS.glob("*/information"))
        for line in card.read_text(errors="replace").splitlines()
        if line.startswith("Model:")
    ]
