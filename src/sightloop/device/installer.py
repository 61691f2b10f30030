"""Makes every slot run what it is assigned, as far as trust, disk and the bundle itself allow.

Works from wishes to facts: each step looks at what the slot should run and what it runs, and does
what is missing. So it does not matter where the step before was interrupted, and by what.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future

import msgspec

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.check_in import SlotState
from sightloop.device.assignments import Accepted, accept
from sightloop.device.backoff import retry_delay_s
from sightloop.device.bundle_store import BundleStore
from sightloop.device.errors import (
    MetadataRefused,
    Quarantined,
    ServerAway,
    StartFailed,
    TamperedFile,
)
from sightloop.device.home import Home
from sightloop.device.log import Log
from sightloop.device.model_slot import ModelSlot
from sightloop.device.server_link import ServerLink
from sightloop.device.state import AgentState, Installed, QuarantineEntry, SlotMemory, StateFile
from sightloop.device.trust import TrustedUpdates, refresh
from sightloop.device.version import AGENT_VERSION
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.errors import BadInput, DiskFull, SightloopError

MOST_CRASHES = 3
"""Starts that may end without a word before the bundle is held to be the cause."""

WHEN_SETTLED_S = 3600.0


class SlotProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What the installer is doing for a slot, beyond what the slot itself shows."""

    state: SlotState | None = None
    problem: str = ""


class Installer:
    """One step of a `RepeatingThread`. `assign` may be called from another thread."""

    def __init__(
        self,
        home: Home,
        link: ServerLink,
        *,
        device: str,
        state: StateFile,
        store: BundleStore,
        slots: dict[str, ModelSlot],
        loop: asyncio.AbstractEventLoop,
        log: Log,
        rng: random.Random,
        settled: Callable[[], None],
    ) -> None:
        """Set up; `settled` is called when a slot changed, so that the server hears of it soon."""
        self._home = home
        self._link = link
        self._device = device
        self._state = state
        self._store = store
        self._slots = slots
        self._loop = loop
        self._log = log
        self._rng = rng
        self._settled = settled
        self._lock = threading.Lock()
        self._asked: list[SignedAssignment] = []
        self._updates: TrustedUpdates | None = None
        self._n_failures = 0
        self._n_crashes: dict[Digest, int] = {}
        self._progress = {name: SlotProgress() for name in slots}
        self._refusal = ""
        """Why the last assignments that were asked for were not all accepted."""

    def assign(self, assignments: list[SignedAssignment]) -> bool:
        """Look at these in the next step; False when all of them were accepted before."""
        known = {memory.accepted.payload for memory in self._remembered() if memory.accepted}
        new = [one for one in assignments if digest_of(one.payload) not in known]
        with self._lock:
            self._asked = new
            if not new:
                self._refusal = ""
        return bool(new)

    def progress_of(self, name: str) -> SlotProgress:
        """What is being done for the slot, and what is wrong if anything is."""
        progress = self._progress[name]
        return msgspec.structs.replace(progress, problem=progress.problem or self._refusal)

    def step(self) -> float:
        """Do what is missing; seconds until there may be more to do."""
        self._updates = None  # Each step believes only what it has just refreshed.
        before = self._outcome()
        try:
            return self._work()
        except ServerAway as error:
            return self._retry_s(error.retry_after_s)
        except DiskFull as error:
            self._log.event("installer.waits", reason=error.message)
            return self._retry_s(None)
        finally:
            # Only news make the device check in at once: what is refused again with every
            # check-in would otherwise make the two chase each other.
            if self._outcome() != before:
                self._settled()

    def replace_broken(
        self, slot: str, broken: Installed, error: StartFailed, n_failures: int
    ) -> Installed | None:
        """What to serve after a worker of the running bundle could not be brought back.

        The same again where the bundle may not be at fault; else the bundle before it, which lies
        on disk for this; None when there is none.
        """
        crashed = error.blame == "crash"
        if error.blame == "settings":
            self._note(slot, problem=error.message)
            return broken
        if crashed and n_failures < MOST_CRASHES:
            return broken
        if error.blame == "disk":
            self._store.remove(broken.bundle)
        previous = self._state.now.slot(slot).previous
        usable = previous is not None and self._store.has(previous.bundle)
        if crashed and not usable:
            return broken
        self._state.change(
            lambda state: _fallen_back(state, slot, broken, to=previous if usable else None)
        )
        if error.blame != "disk":
            self._quarantine(slot, broken, error.message)
        self._note(slot, state="failed", problem=error.message)
        self._settled()
        return previous if usable else None

    def _work(self) -> float:
        self._accept_new()
        unfinished = [name for name in self._slots if not self._settle(name)]
        if unfinished:
            return self._retry_s(None)
        self._n_failures = 0
        self._store.keep_only(self._state.now.bundles_in_use())
        return WHEN_SETTLED_S

    def _outcome(self) -> tuple[object, ...]:
        running = [slot.running for slot in self._slots.values()]
        return dict(self._progress), self._refusal, running

    # --- accepting -------------------------------------------------------------------------------

    def _accept_new(self) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
        for signed in asked:
            try:
                self._accept(signed)
            except ServerAway:
                with self._lock:  # nothing is known of it yet: it is asked again
                    self._asked = self._asked or asked
                raise
            except SightloopError as error:
                if self._refusal != error.message:
                    self._log.event("assignment.refused", code=error.code, reason=error.message)
                self._refusal = error.message

    def _accept(self, signed: SignedAssignment) -> None:
        assignment = self._trusted().read_assignment(signed)
        payload = digest_of(signed.payload)

        def change(state: AgentState) -> AgentState:
            memory = state.slot(assignment.slot)
            verdict = accept(
                assignment,
                payload,
                device=self._device,
                slots=self._slots,
                before=memory.accepted,
            )
            if verdict == "known":
                return state
            changed = msgspec.structs.replace(memory, accepted=verdict)
            return state.with_slot(assignment.slot, changed)

        self._state.change(change)
        self._note(assignment.slot, problem="")
        self._log.event(
            "assignment.accepted",
            slot=assignment.slot,
            model=assignment.model,
            version=assignment.version,
            counter=assignment.counter,
        )

    # --- settling --------------------------------------------------------------------------------

    def _settle(self, name: str) -> bool:
        """Bring the slot to what it is assigned; whether there is nothing left to try."""
        accepted = self._state.now.slot(name).accepted
        slot = self._slots[name]
        if accepted is None or (slot.running and slot.running.bundle == accepted.bundle):
            self._note(name, state=None, problem="")
            return True
        wanted = Installed(bundle=accepted.bundle, model=accepted.model, version=accepted.version)
        try:
            self._refuse_quarantined(accepted)
            self._fetch(name, accepted)
            self._switch(name, wanted)
        except StartFailed as error:
            return self._note_failed_start(name, wanted, error)
        except ServerAway as error:
            self._note(name, problem=error.message)
            raise
        except SightloopError as error:
            # A tampered file is fetched again, and stale metadata is the repository's fault: no
            # verdict on the bundle. The rest the server should see as a failed assignment.
            passing = isinstance(error, TamperedFile | MetadataRefused)
            self._note(name, state="downloading" if passing else "failed", problem=error.message)
            return isinstance(error, Quarantined | BadInput)
        self._note(name, state=None, problem="")
        return True

    def _fetch(self, name: str, accepted: Accepted) -> None:
        # The manifest is asked for even when the files are here: its owner must still stand by it.
        self._note(name, state="downloading", problem="")
        manifest = self._trusted().fetch_manifest(model=accepted.model, bundle=accepted.bundle)
        if not self._store.has(accepted.bundle):
            self._log.event("bundle.fetching", slot=name, bundle=accepted.bundle)
            self._store.install(accepted.bundle, manifest, self._link)

    def _switch(self, name: str, wanted: Installed) -> None:
        self._note(name, state="starting")
        slot = self._slots[name]

        def remember() -> None:
            self._state.change(lambda state: _switched(state, name, wanted))

        switching: Future[None] = asyncio.run_coroutine_threadsafe(
            slot.switch_to(wanted, remember=remember), self._loop
        )
        switching.result()
        self._n_crashes.pop(wanted.bundle, None)

    def _note_failed_start(self, name: str, wanted: Installed, error: StartFailed) -> bool:
        crashes = self._n_crashes.get(wanted.bundle, 0) + 1
        if error.blame == "disk":
            self._store.remove(wanted.bundle)
        elif error.blame == "crash" and crashes < MOST_CRASHES:
            self._n_crashes[wanted.bundle] = crashes
        elif error.blame == "settings":
            self._note(name, state="failed", problem=error.message)
            return False
        else:
            self._quarantine(name, wanted, error.message)
            self._note(name, state="failed", problem=error.message)
            return True
        self._note(name, problem=error.message)
        return False

    def _refuse_quarantined(self, accepted: Accepted) -> None:
        entry = self._state.now.quarantine.get(accepted.bundle)
        if entry is not None and entry.agent_version == AGENT_VERSION:
            raise Quarantined(bundle=accepted.bundle, reason=entry.reason)

    def _quarantine(self, name: str, installed: Installed, reason: str) -> None:
        entry = QuarantineEntry(reason=reason, agent_version=AGENT_VERSION)
        self._state.change(
            lambda state: msgspec.structs.replace(
                state, quarantine={**state.quarantine, installed.bundle: entry}
            )
        )
        slot = self._slots[name]
        self._loop.call_soon_threadsafe(slot.refuse, installed, reason)

    # --- small things ----------------------------------------------------------------------------

    def _trusted(self) -> TrustedUpdates:
        if self._updates is None:
            self._updates = refresh(self._home, self._link)
        return self._updates

    def _remembered(self) -> list[SlotMemory]:
        return [self._state.now.slot(name) for name in self._slots]

    def _note(self, name: str, **changes: str | None) -> None:
        self._progress[name] = msgspec.structs.replace(self._progress[name], **changes)

    def _retry_s(self, retry_after_s: float | None) -> float:
        self._n_failures += 1
        return retry_delay_s(self._n_failures, rng=self._rng, retry_after_s=retry_after_s)


def _switched(state: AgentState, slot: str, wanted: Installed) -> AgentState:
    memory = state.slot(slot)
    before = memory.current if memory.current != wanted else memory.previous
    changed = msgspec.structs.replace(memory, current=wanted, previous=before)
    return state.with_slot(slot, changed)


def _fallen_back(
    state: AgentState, slot: str, broken: Installed, *, to: Installed | None
) -> AgentState:
    memory = state.slot(slot)
    if memory.current != broken:
        return state  # Another version was switched in meanwhile.
    changed = msgspec.structs.replace(memory, current=to, previous=None)
    return state.with_slot(slot, changed)
