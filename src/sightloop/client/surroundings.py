"""What surrounds a run: code, command, interpreter, machine. Captured once, at its start."""

from __future__ import annotations

import getpass
import platform
import shlex
import socket
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.client.texts import without_secrets
from sightloop.kernel.code_state import capture_code
from sightloop.kernel.environment import capture_environment, hardware_line

PATCH_NAME = "sightloop/code.patch"
ENVIRONMENT_NAME = "sightloop/environment.json"


class Surroundings(NamedTuple):
    """Tags, and files by name."""

    tags: dict[str, str]
    files: dict[str, bytes]


def capture_surroundings(folder: Path) -> Surroundings:
    """What this process runs in; takes a few tenths of a second, most of it Git's.

    Values of environment variables are not captured: they hold secrets. What the command line
    calls a secret is hidden.
    """
    code = capture_code(folder)
    environment = capture_environment()
    tags = {
        "sightloop.command": command_line(),
        "sightloop.folder": str(folder),
        "sightloop.hardware": hardware_line(environment.hardware),
        "sightloop.host": socket.gethostname(),
        "sightloop.python": platform.python_version(),
        "mlflow.source.name": sys.argv[0] if sys.argv else "",
        "mlflow.source.type": "LOCAL",
    }
    files = {ENVIRONMENT_NAME: msgspec.json.format(msgspec.json.encode(environment), indent=1)}
    if code.commit is not None:
        tags["mlflow.source.git.commit"] = code.commit
        tags["sightloop.git.dirty"] = "true" if code.dirty else "false"
    if code.patch is not None:
        files[PATCH_NAME] = code.patch
    return Surroundings(tags, files)


def command_line() -> str:
    """What was typed to start this process, as well as Python knows, without secrets."""
    return shlex.join(without_secrets(sys.orig_argv))


def user_name() -> str:
    """Who runs this process; empty where nobody can tell."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""
