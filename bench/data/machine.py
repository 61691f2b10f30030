"""On what and with what a report was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np

import sightloop
from bench.data.peers import VERSIONS


def facts_of_machine(scratch: Path) -> dict[str, str]:
    """Names and versions, as a report prints them; files are written below `scratch`."""
    peers = {name.split("[")[0]: version for name, version in VERSIONS.items()}
    return {
        "date": time.strftime("%d %B %Y", time.gmtime()).lstrip("0"),
        "hardware": f"{processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB of memory, "
        f"{_file_system(scratch)}",
        "system": f"Linux {platform.release()}",
        "versions": f"Sightloop {sightloop.__version__} at {code_commit()} (Python "
        f"{platform.python_version()}, NumPy {np.__version__}, SQLite {sqlite3.sqlite_version}); "
        f"DVC {peers['dvc']} with dvc-s3 {peers['dvc-s3']}; Oxen (`oxenai`) {peers['oxenai']}; "
        f"moto {peers['moto']}",
    }


def code_commit() -> str:
    """Which commit of this repository is measured; `an unknown commit` outside a checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() if found.returncode == 0 else "an unknown commit"


def processor() -> str:
    """What the processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_gb() -> float:
    """Of the whole machine, in 10^9 bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _file_system(folder: Path) -> str:
    """Of the deepest mount that the folder lies below: its type and how it is mounted."""
    here, mounts = folder.resolve(), Path("/proc/mounts").read_text().splitlines()
    found = [line.split()[1:4] for line in mounts if here.is_relative_to(line.split()[1])]
    _, kind, options = max(found, key=lambda mount: len(mount[0]))
    plain = [one for one in options.split(",") if "=" not in one]
    return f"{kind} ({', '.join(plain)})"
