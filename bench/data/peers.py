"""The peers, each in its pinned version, in an environment of their own below `.bench/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VERSIONS = {"dvc": "3.67.1", "dvc-s3": "3.3.0", "oxenai": "0.65.1", "moto[s3,server]": "5.2.5"}
"""oxenai brings no command line, only a Python package; PyPI's `oxen` is something else."""


def install_peers(folder: Path) -> Path:
    """Their environment's `bin`; made if it is not there or has other versions."""
    environment, note = folder / "peers", folder / "peers" / "versions.txt"
    wanted = [f"{name}=={version}" for name, version in VERSIONS.items()]
    if not note.exists() or note.read_text().split() != wanted:
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", environment], check=True)
        python = environment / "bin" / "python"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
        note.write_text("\n".join(wanted))
    return environment / "bin"
