"""What an agent must remember over a restart: accepted assignments, what runs, what failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from sightloop.contracts.check_in import StreamPolicy
from sightloop.contracts.decode import decode, encode
from sightloop.device.assignments import Accepted
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import write_atomic


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """A verified bundle on disk, under the name and number it was assigned with."""

    bundle: Digest
    model: str
    version: int


class SlotMemory(msgspec.Struct, frozen=True, kw_only=True):
    """One slot: what it should run, what it runs, and what it ran before."""

    accepted: Accepted | None = None
    current: Installed | None = None
    previous: Installed | None = None
    """Stays on disk, so that going back needs no network."""


class QuarantineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that failed here. An agent of another version may try it again."""

    reason: str
    agent_version: str


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; small, written whole."""

    format: Literal["sightloop.agent-state/1"] = "sightloop.agent-state/1"
    slots: dict[str, SlotMemory] = {}
    quarantine: dict[Digest, QuarantineEntry] = {}
    policies: list[StreamPolicy] = []

    def slot(self, name: str) -> SlotMemory:
        """The slot's memory; an empty one when nothing happened to it yet."""
        return self.slots.get(name, SlotMemory())

    def with_slot(self, name: str, memory: SlotMemory) -> AgentState:
        """The same with that slot's memory replaced."""
        return msgspec.structs.replace(self, slots={**self.slots, name: memory})

    def bundles_in_use(self) -> set[Digest]:
        """Bundles that must stay on disk: what runs, what ran before, what is to come."""
        ran = [one for slot in self.slots.values() for one in (slot.current, slot.previous)]
        accepted = [slot.accepted for slot in self.slots.values()]
        return {one.bundle for one in ran if one} | {
            one.bundle for one in accepted if one and one.bundle not in self.quarantine
        }


class StateFile:
    """The state, durable before anyone sees it changed. For several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state = self._read()

    @property
    def now(self) -> AgentState:
        """The state as last written."""
        return self._state

    def change(self, how: Callable[[AgentState], AgentState]) -> AgentState:
        """Write the changed state to disk, then make it the current one.

        Raises:
            DiskFull: no room; the old state stays, on disk and here.
        """
        with self._lock:
            changed = how(self._state)
            if changed != self._state:
                write_atomic(self._path, encode(changed), mode=0o600)
                self._state = changed
            return changed

    def _read(self) -> AgentState:
        if not self._path.exists():
            return AgentState()
        return decode(self._path.read_bytes(), AgentState, what=str(self._path))
