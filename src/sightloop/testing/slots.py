"""A slot whose workers start at once: what the installer does to a disk, without processes."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import cast

from sightloop.device.bundle_files import verify_bundle
from sightloop.device.bundle_store import BundleStore
from sightloop.device.home import Home
from sightloop.device.installer import Installer
from sightloop.device.intake import Intake
from sightloop.device.log import Log
from sightloop.device.model_slot import ModelSlot
from sightloop.device.state import Installed, StateFile
from sightloop.device.update_source import FolderSource, UpdateSource
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.digests import Digest
from sightloop.testing.control_plane import DEVICE

SLOT = "main"


class InstantSlot:
    """Serves what it is told to, after the same verification a worker begins with."""

    def __init__(self, store: BundleStore) -> None:
        self.running: Installed | None = None
        self.refused: list[Digest] = []
        self._store = store

    async def switch_to(self, installed: Installed, *, remember: Callable[[], None]) -> None:
        """As `ModelSlot.switch_to`."""
        verify_bundle(self._store.folder(installed.bundle), installed.bundle)
        remember()
        self.running = installed

    def is_outdated(self) -> bool:
        """As `ModelSlot.is_outdated`; it runs what it runs in one way."""
        return False

    async def clear(self) -> None:
        """As `ModelSlot.clear`."""
        self.running = None

    def refuse(self, installed: Installed, reason: str) -> None:  # noqa: ARG002
        """As `ModelSlot.refuse`."""
        self.refused.append(installed.bundle)


class DeviceOnDisk:
    """A device without processes, opened on its home folder as after a start."""

    def __init__(self, home: Home, source: UpdateSource | None, *, device: str = DEVICE) -> None:
        self.id = device
        log = Log(SystemClock())
        self.state = StateFile(home.state_file)
        self.store = BundleStore(home.bundles)
        self.slot = InstantSlot(self.store)
        self.slot.running = self.state.now.to_begin(SLOT)
        self.intake = Intake(
            home, device=device, slots=[SLOT], state=self.state, store=self.store, log=log
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.installer = Installer(
            self.intake,
            source or FolderSource(home.root / "no server"),
            state=self.state,
            store=self.store,
            slots={SLOT: cast("ModelSlot", self.slot)},
            loop=self._loop,
            log=log,
            rng=random.Random(1),
            settled=lambda: None,
        )

    def close(self) -> None:
        """End its event loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def boots_verified(self) -> Digest | None:
        """The bundle a start would serve, after hashing all of it; None when it has none.

        Raises:
            TamperedFile: a start would serve something else than what was signed.
        """
        begins = self.state.now.to_begin(SLOT)
        if begins is None:
            return None
        verify_bundle(self.store.folder(begins.bundle), begins.bundle)
        return begins.bundle
