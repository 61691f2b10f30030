"""Makes every slot run what it is assigned, as far as trust, disk and the bundle itself allow.

Works from wishes to facts: each step looks at what the slot should run and what it runs, and does
what is missing. So it does not matter where the step before was interrupted, and by what.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import msgspec

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.check_in import SlotState
from sightloop.device.agent_updates import AgentUpdates
from sightloop.device.assignments import Accepted
from sightloop.device.backoff import retry_delay_s
from sightloop.device.bundle_store import BundleStore
from sightloop.device.errors import (
    MetadataRefused,
    Quarantined,
    Revoked,
    ServerAway,
    StartFailed,
    TamperedFile,
)
from sightloop.device.intake import Intake
from sightloop.device.log import Log
from sightloop.device.model_slot import ModelSlot
from sightloop.device.state import AgentState, Installed, QuarantineEntry, SlotMemory, StateFile
from sightloop.device.trust import TrustedUpdates
from sightloop.device.update_source import UpdateSource
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


class _News(NamedTuple):
    """What the server last said of its metadata."""

    version: int = 0
    server_time_ms: int = 0


class Installer:
    """One step of a `RepeatingThread`. `assign` may be called from another thread."""

    def __init__(
        self,
        intake: Intake,
        source: UpdateSource,
        *,
        state: StateFile,
        store: BundleStore,
        slots: dict[str, ModelSlot],
        loop: asyncio.AbstractEventLoop,
        log: Log,
        rng: random.Random,
        settled: Callable[[], None],
        carried: Callable[[], bool] = lambda: False,
        agent: AgentUpdates | None = None,
    ) -> None:
        """Set up.

        `carried` looks into a folder somebody asks for (`usb_update`); `agent` replaces the agent
        itself once the slots are settled; `settled` is called when a slot changed, so that the
        server hears of it soon.
        """
        self._intake = intake
        self._source = source
        self._state = state
        self._store = store
        self._slots = slots
        self._loop = loop
        self._log = log
        self._rng = rng
        self._settled = settled
        self._carried = carried
        self._agent = agent
        self._lock = threading.Lock()
        self._asked: list[SignedAssignment] = []
        self._updates: TrustedUpdates | None = None
        self._n_failures = 0
        self._n_crashes: dict[Digest, int] = {}
        self._progress = {name: SlotProgress() for name in slots}
        self._refusal = ""
        """Why the last assignments that were asked for were not all accepted."""
        self._news = _News()
        self._looked: _News | None = None
        self._looked_s = -math.inf
        self._metadata_problem = ""

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

    def published(self, version: int, *, server_time_ms: int) -> bool:
        """The server says what its newest metadata is; whether that is worth a look."""
        with self._lock:
            self._news = _News(version, server_time_ms)
        return self._looked is None or version > self._looked.version

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
        usable = previous is not None and self._may_fall_back_to(previous)
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
        self._carried()
        away = self._try(self._look_for_revocations) or self._try(self._accept_new)
        for name in self._slots:
            self._leave_revoked(name)
        unfinished = [name for name in self._slots if not self._settle(name)]
        if away is not None:
            raise away
        if unfinished:
            return self._retry_s(None)
        if self._agent is not None:
            self._agent.step(self._trusted)
        self._n_failures = 0
        self._intake.forget_unused()
        return WHEN_SETTLED_S

    def _try(self, part: Callable[[], None]) -> ServerAway | None:
        """The server's absence must not hold up what needs no server."""
        try:
            part()
        except ServerAway as error:
            return error
        return None

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
        slot = self._intake.accept(self._trusted(), signed)
        self._note(slot, problem="")

    # --- revocations -----------------------------------------------------------------------------

    def _look_for_revocations(self) -> None:
        """Look at the metadata when the server has newer, and every hour in any case."""
        now_s = time.monotonic()
        known = self._looked is not None and self._news.version <= self._looked.version
        if known and now_s - self._looked_s < WHEN_SETTLED_S:
            return
        problem = ""
        try:
            self._trusted()
        except ServerAway:
            raise
        except SightloopError as error:  # told by whatever needs the metadata; serving goes on
            problem = error.message
        if problem and problem != self._metadata_problem:
            self._log.event("metadata.refused", reason=problem)
        self._metadata_problem = problem
        self._looked, self._looked_s = self._news, now_s

    def _leave_revoked(self, name: str) -> None:
        """Stop using what was revoked: the version before answers, or none does."""
        memory, slot = self._state.now.slot(name), self._slots[name]
        revoked = self._state.now.revoked
        running = slot.running
        if running is not None and running.bundle in revoked:
            previous = memory.previous
            usable = previous is not None and self._may_fall_back_to(previous)
            try:
                if usable and previous is not None:
                    self._switch(name, previous)
            except StartFailed as error:
                self._log.event("slot.refused", slot=name, reason=error.message)
                usable = False
            if not usable:
                emptying = asyncio.run_coroutine_threadsafe(slot.clear(), self._loop)
                emptying.result()
            self._loop.call_soon_threadsafe(slot.refuse, running, revoked[running.bundle])
        self._state.change(lambda state: _without_revoked(state, name))

    def _may_fall_back_to(self, previous: Installed) -> bool:
        state = self._state.now
        barred = previous.bundle in state.revoked or previous.bundle in state.quarantine
        return not barred and self._store.has(previous.bundle)

    # --- settling --------------------------------------------------------------------------------

    def _settle(self, name: str) -> bool:
        """Bring the slot to what it is assigned; whether there is nothing left to try."""
        accepted = self._state.now.slot(name).accepted
        slot = self._slots[name]
        self._renew_outdated(name)
        if accepted is None or (slot.running and slot.running.bundle == accepted.bundle):
            self._note(name, state=None, problem="")
            return True
        wanted = Installed(bundle=accepted.bundle, model=accepted.model, version=accepted.version)
        try:
            self._refuse_revoked(accepted)
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
            return isinstance(error, Quarantined | Revoked | BadInput)
        self._note(name, state=None, problem="")
        return True

    def _renew_outdated(self, name: str) -> None:
        """Let a worker that would run the bundle otherwise today take over from one that does not.

        A build that is no longer gated is left so, and what the device was tuned to is taken up.
        """
        slot = self._slots[name]
        running = slot.running
        if running is not None and slot.is_outdated():
            try:
                self._switch(name, running)
            except StartFailed as error:  # what runs goes on, and the next step tries again
                self._log.event("slot.refused", slot=name, reason=error.message)

    def _fetch(self, name: str, accepted: Accepted) -> None:
        self._note(name, state="downloading", problem="")
        try:
            trusted = self._trusted()
            self._refuse_revoked(accepted)  # it may just have been learned
            self._intake.fetch(trusted, self._source, accepted)
        except ServerAway:
            if not self._intake.is_vouched(accepted):
                raise

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

    def _refuse_revoked(self, accepted: Accepted) -> None:
        reason = self._state.now.revoked.get(accepted.bundle)
        if reason is not None:
            raise Revoked(bundle=accepted.bundle, reason=reason)

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
            told_ms = self._news.server_time_ms
            self._updates = self._intake.look(self._source, server_time_ms=told_ms)
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
    if before is not None and (before.bundle in state.revoked or before == wanted):
        before = None
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


def _without_revoked(state: AgentState, slot: str) -> AgentState:
    memory = state.slot(slot)
    ran = [one for one in (memory.current, memory.previous) if one is not None]
    if all(one.bundle not in state.revoked for one in ran):
        return state
    left: list[Installed | None] = [one for one in ran if one.bundle not in state.revoked]
    current, previous = [*left, None, None][:2]
    return state.with_slot(
        slot, msgspec.structs.replace(memory, current=current, previous=previous)
    )
