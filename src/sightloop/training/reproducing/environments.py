"""An interpreter with exactly the recorded packages: built by uv, or by venv and pip.

A finished one is kept under the digest of its list only where that is wanted: it takes gigabytes.
`complete` is written into it last, so a half-built one is never mistaken for a whole one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from sightloop.kernel.digests import digest_of
from sightloop.kernel.environment import Environment
from sightloop.kernel.files import disk_errors, write_atomic
from sightloop.kernel.progress import Progress
from sightloop.training.reproducing.errors import EnvironmentUnavailable
from sightloop.training.reproducing.requirements import (
    needed_by,
    normal_name,
    requirements_text,
)

INSTALL_TIMEOUT_S = 3600.0
_COMPLETE = "complete"
_PYTHON = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?\+?", re.ASCII)
_LIST = "requirements.txt"


class Interpreter(NamedTuple):
    """A Python with packages of its own."""

    python: Path
    packages: Path
    """Where its distributions lie."""
    version: str
    built_by: str


def build_environment(
    recorded: Environment, *, cache: Path, without: Collection[str], progress: Progress
) -> Interpreter:
    """An interpreter with the recorded versions, without the distributions named.

    One that is complete in `cache` is used as it is; two callers build it one after the other.

    Raises:
        EnvironmentUnavailable: there is no such Python here, no network, or a package is no longer
            to be had; nothing is left behind.
        DiskFull: no room.
    """
    text = requirements_text(recorded.distributions, without=without)
    version = recorded.python.rpartition(" ")[2]
    if not _PYTHON.fullmatch(version):  # it becomes an argument, which may also be a path
        problem = f"{version[:80]!r} is no version of Python"
        raise EnvironmentUnavailable(step="reading the recorded interpreter", problem=problem)
    folder = cache / digest_of(f"{recorded.python}\n{text}".encode()).partition(":")[2][:16]
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder.with_suffix(".lock")):
        if not (folder / _COMPLETE).is_file():
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted build left
            try:
                _build(folder, text, version=version, progress=progress)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        built_by = (folder / _COMPLETE).read_text()
    packages = folder / "lib" / f"python{version.rpartition('.')[0]}" / "site-packages"
    return Interpreter(folder / "bin" / "python", packages, version, built_by)


def drop_environment(interpreter: Interpreter) -> None:
    """Remove it; whoever needs it again builds it again."""
    shutil.rmtree(interpreter.python.parents[1], ignore_errors=True)


def deciding_distributions(engine_version: str) -> set[str] | None:
    """Normal names of all that the engine's distribution stands on here.

    None when it is not installed here, or nothing is named.

    Args:
        engine_version: name and version of the distribution, as a run records them; may be empty.
    """
    root = engine_version.partition(" ")[0]
    requires = {
        normal_name(name): one.requires or []
        for one in distributions()
        if (name := one.metadata["Name"])  # an interrupted uninstallation leaves nameless ones
    }
    return needed_by(root, requires) if normal_name(root) in requires else None


def _build(folder: Path, text: str, *, version: str, progress: Progress) -> None:
    uv = _find_uv()
    progress("building the recorded environment", 0, 2)
    if uv is None:
        _require_this_python(version)
        make = [sys.executable, "-m", "venv", "--copies", str(folder)]
        install = [str(folder / "bin/python"), "-m", "pip", "install", "--no-input"]
    else:
        make = [uv, "venv", "--quiet", "--python", version, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
    _run(make, step=f"making a Python {version}")
    with disk_errors(folder):
        (folder / _LIST).write_text(text)
    progress("building the recorded environment", 1, 2)
    _run([*install, "--no-deps", "-r", str(folder / _LIST)], step="installing the packages")
    write_atomic(folder / _COMPLETE, b"uv" if uv else b"venv and pip")
    progress("building the recorded environment", 2, 2)


def _find_uv() -> str | None:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def _require_this_python(version: str) -> None:
    here = ".".join(str(part) for part in sys.version_info[:2])
    if version.rpartition(".")[0] != here:
        problem = f"this is Python {here}; install uv, which brings others"
        raise EnvironmentUnavailable(step=f"making a Python {version}", problem=problem)


def _run(command: list[str], *, step: str) -> None:
    # A PYTHONPATH of ours would let our packages stand in for recorded ones.
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=INSTALL_TIMEOUT_S,
            env=ours,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentUnavailable(step=step, problem=str(error)[:300]) from error
    if done.returncode != 0:
        words = " ".join(done.stderr.decode(errors="replace").split())
        raise EnvironmentUnavailable(step=step, problem=words[-400:] or "no word of explanation")


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
