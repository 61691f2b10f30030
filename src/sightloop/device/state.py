"""What an agent must remember over a restart: accepted assignments, what runs, what failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from sightloop.contracts.check_in import StreamPolicy
from sightloop.contracts.decode import decode, encode
from sightloop.contracts.gated_builds import GatedBuild, GatedBundle
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
    revoked: dict[Digest, str] = {}
    """Bundles their owners took back, and why; never run again, with or without a network."""
    gated: dict[str, list[GatedBundle]] = {}
    """By model, the builds its owner vouches for, as his newest metadata says."""
    vouched: list[Digest] = []
    """Bundles on disk whose manifest was verified down from the root; see `intake`."""
    known_time_ms: int = 0
    """It is at least this late, whatever the clock says; see `clock_floor`."""
    agent: Accepted | None = None
    """The last assignment of an agent that was accepted; see `agent_updates`."""

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
        used = {one.bundle for one in ran if one} | {
            one.bundle for one in accepted if one and one.bundle not in self.quarantine
        }
        return used - self.revoked.keys()

    def models(self) -> set[str]:
        """Every model that a slot runs, ran before or should run."""
        return {
            one.model
            for slot in self.slots.values()
            for one in (slot.accepted, slot.current, slot.previous)
            if one is not None
        }

    def gated_builds(self, model: str, bundle: Digest) -> list[GatedBuild]:
        """How else the bundle of that model may run than as it was released."""
        listed = self.gated.get(model, [])
        return [build for one in listed if one.bundle == bundle for build in one.builds]

    def to_begin(self, name: str) -> Installed | None:
        """What the slot should serve when the agent starts: what it ran, unless it was revoked."""
        memory = self.slot(name)
        ran = [one for one in (memory.current, memory.previous) if one is not None]
        return next((one for one in ran if one.bundle not in self.revoked), None)


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
