"""What surrounds a run: interpreter, installed distributions, machine."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Literal

import msgspec

_CPU_INFO = Path("/proc/cpuinfo")
_NVIDIA_CARDS = Path("/proc/driver/nvidia/gpus")

DECIDING_INSTRUCTIONS = (
    *("sse4_1", "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
"""Instruction sets by which numeric libraries choose their kernels, as Linux names them."""


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """The machine a run was started on."""

    cpu: str
    n_cores: int
    """Cores this process may use, which a container may limit."""
    memory_bytes: int
    gpus: list[str]
    instructions: list[str] = []
    """Those of `DECIDING_INSTRUCTIONS` that it has; empty where the system does not tell."""


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
    contents: dict[str, str] = {}
    """Digest of what each distribution installed, by its own list of files; see `_content_of`.
    One without such a list, as a checkout is, is left out."""
    sources: dict[str, str] = {}
    """Top-level packages that ran from a checkout: where they lie, relative to its root."""


def capture_environment(
    *,
    sources: Mapping[str, str] | None = None,
    packages: Path | None = None,
    python_version: str = "",
) -> Environment:
    """This process's environment; takes about a quarter of a second, to list distributions.

    Args:
        sources: see `Environment.sources`.
        packages: where the distributions of another interpreter lie, to describe that one.
        python_version: of that other interpreter.
    """
    found = distributions() if packages is None else distributions(path=[str(packages)])
    installed = _importable(found)
    return Environment(
        python=f"{platform.python_implementation()} {python_version or platform.python_version()}",
        system=platform.platform(),
        distributions={one.name: one.version for one in installed},
        hardware=Hardware(
            cpu=_cpu_name(),
            n_cores=usable_cores(),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            gpus=_gpu_names(),
            instructions=_instructions(),
        ),
        contents={one.name: content for one in installed if (content := _content_of(one))},
        sources=dict(sources or {}),
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


def _importable(found: Iterable[Distribution]) -> list[Distribution]:
    """The distributions by name. Of those called alike, the first is what Python imports."""
    first: dict[str, Distribution] = {}
    for one in found:
        # An uninstallation that was interrupted leaves a folder that names nothing.
        name: str | None = one.metadata["Name"]
        if name and one.metadata["Version"]:
            first.setdefault(name, one)
    return sorted(first.values(), key=lambda one: one.name.lower())


def _content_of(distribution: Distribution) -> str:
    """A digest over the paths and hashes of the files that the distribution brought.

    Left out is what differs between installations of one wheel: what the installer notes about
    itself, compiled files, and scripts, which name the interpreter. Empty when the distribution
    has no list of files, or names no hash in it.
    """
    listed = (distribution.read_text("RECORD") or "").splitlines()
    rows = sorted(row for row in listed if ",sha256=" in row and _came_along(row))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest() if rows else ""


def _came_along(row: str) -> bool:
    return not (".dist-info/" in row or "__pycache__" in row or row.startswith("..")) and (
        # How a checkout is linked into an installation; the code itself is elsewhere.
        not row.partition(",")[0].endswith(".pth") and not row.startswith("__editable__")
    )


def _cpu_name() -> str:
    try:
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _instructions() -> list[str]:
    try:
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        return []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    there = set(flags.partition(":")[2].split())
    return [name for name in DECIDING_INSTRUCTIONS if name in there]


def _gpu_names() -> list[str]:
    # The driver's own files: asking its library would mean importing one.
    return [
        line.partition(":")[2].strip()
        for card in sorted(_NVIDIA_CARDS.glob("*/information"))
        for line in card.read_text(errors="replace").splitlines()
        if line.startswith("Model:")
    ]
