"""Where a run is sent, and where it waits until it has been: rules over the environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from sightloop.client.errors import BadServerAddress, NowhereToTrack

SERVER = "SIGHTLOOP_SERVER"
TOKEN = "SIGHTLOOP_TOKEN"  # noqa: S105 - the variable's name
SPOOL = "SIGHTLOOP_SPOOL"
_CONFIG_NAME = "sightloop.toml"


class Target(NamedTuple):
    """A server's address, or else a workspace's folder; the other is empty."""

    server: str
    workspace: str

    def __str__(self) -> str:
        """As messages call it."""
        return self.server or f"the workspace {self.workspace}"


def choose_target(
    server: str | None, workspace: Path | None, environment: Mapping[str, str], folder: Path
) -> Target:
    """What was asked for; else the server of the environment; else the workspace around `folder`.

    Raises:
        BadServerAddress: the server's address is none.
        NowhereToTrack: there is nothing of the three.
    """
    if server is None and workspace is None:
        server = environment.get(SERVER)
    if server:
        return Target(check_address(server), "")
    if workspace is not None:
        if not (workspace / _CONFIG_NAME).is_file():
            raise NowhereToTrack(folder=str(workspace))
        return Target("", str(workspace.resolve()))
    here = folder.resolve()
    for candidate in (here, *here.parents):
        if (candidate / _CONFIG_NAME).is_file():
            return Target("", str(candidate))
    raise NowhereToTrack(folder=str(here))


def check_address(url: str) -> str:
    """The address without a slash at its end.

    Raises:
        BadServerAddress: it is not one of http or https.

    >>> check_address("http://host:8470/")
    'http://host:8470'
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        assert parts.port is None or parts.port > 0, "urlsplit refuses a port that is none"
    except (ValueError, AssertionError) as error:
        raise BadServerAddress(url=url) from error
    if not is_address:
        raise BadServerAddress(url=url)
    return url.rstrip("/")


def spool_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of all spools of this user: made when it is not there, else beside temporaries."""
    if environment.get(SPOOL):
        root = Path(environment[SPOOL])
        root.mkdir(parents=True, exist_ok=True)
        return root
    state = environment.get("XDG_STATE_HOME")
    home = environment.get("HOME", "/")
    root = Path(state) if state else Path(home) / ".local" / "state"
    try:
        (root / "sightloop" / "runs").mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:  # a container without a home
        root = Path(tempfile.gettempdir()) / f"sightloop-{os.getuid()}"
        (root / "sightloop" / "runs").mkdir(parents=True, exist_ok=True, mode=0o700)
    return root / "sightloop" / "runs"
