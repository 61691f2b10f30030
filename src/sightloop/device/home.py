"""The home folder: everything a device is and has, owned by one agent at a time.

home/
  identity.json     who the device is, and its token; readable by its owner only
  settings.json     how it was set up
  state.json        what each slot accepted and runs; see `state`
  trusted_root.json the root of trust for updates, as received at enrolment
  metadata/         the update metadata cache
  bundles/          verified bundles, by digest; `incoming/` holds downloads
  update_request.json  a folder that the running agent is asked to look into; see `usb_update`
  update_result.json   what came of it
  agents/           releases of the agent itself; see `agent_releases`
  spool/            messages and images the server has not confirmed
  lock              held while an agent runs
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from sightloop.contracts.decode import decode, encode
from sightloop.device.errors import HomeInUse
from sightloop.kernel.files import write_atomic


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who this device is for its server."""

    format: Literal["sightloop.device-identity/1"] = "sightloop.device-identity/1"
    device: str
    token: str
    enrolled_at_ms: int


@dataclass(frozen=True, slots=True)
class Home:
    """Where things lie in a home folder."""

    root: Path

    @property
    def identity_file(self) -> Path:
        """Who the device is."""
        return self.root / "identity.json"

    @property
    def root_file(self) -> Path:
        """The trusted root of the update metadata."""
        return self.root / "trusted_root.json"

    @property
    def state_file(self) -> Path:
        """What the slots accepted and run."""
        return self.root / "state.json"

    @property
    def metadata(self) -> Path:
        """The cache of the update client."""
        return self.root / "metadata"

    @property
    def bundles(self) -> Path:
        """Verified bundles."""
        return self.root / "bundles"

    @property
    def spool(self) -> Path:
        """What waits for the server."""
        return self.root / "spool"

    @property
    def update_request_file(self) -> Path:
        """A folder the running agent is asked to look into."""
        return self.root / "update_request.json"

    @property
    def update_result_file(self) -> Path:
        """What came of the last such request."""
        return self.root / "update_result.json"

    @property
    def agents(self) -> Path:
        """Releases of the agent itself."""
        return self.root / "agents"

    def read_identity(self) -> Identity | None:
        """Who the device is; None before enrolment.

        Raises:
            WrongFormat: the file is damaged or of a newer agent.
        """
        if not self.identity_file.exists():
            return None
        content = self.identity_file.read_bytes()
        return decode(content, Identity, what=str(self.identity_file))

    def write_identity(self, identity: Identity, *, update_root: bytes) -> None:
        """Become this device. The identity is last: with it, the root is there too."""
        write_atomic(self.root_file, update_root)
        write_atomic(self.identity_file, encode(identity), mode=0o600)


@contextmanager
def open_home(root: Path) -> Iterator[Home]:
    """The home folder, made if it is new, held by this process until the block ends.

    Raises:
        HomeInUse: another process holds it. A lock goes with its process, however that ends.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home = Home(root)
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
            raise HomeInUse(home=str(root), holder=holder or "process unknown") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        for folder in (home.metadata, home.bundles, home.spool):
            folder.mkdir(exist_ok=True)
        yield home
    finally:
        os.close(descriptor)
