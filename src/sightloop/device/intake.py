"""Takes in what a source offers: what owners say, assignments, bundles. Nothing is run here.

Every step first verifies and then writes down, so that after a power cut the device knows what it
has verified and nothing else. The server and a folder on a stick go through this one door.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from sightloop.contracts.agent_release import AGENT_SLOT
from sightloop.contracts.assignment import SignedAssignment
from sightloop.device.assignments import Accepted, accept
from sightloop.device.bundle_store import BundleStore
from sightloop.device.clock_floor import raise_floor
from sightloop.device.home import Home
from sightloop.device.log import Log
from sightloop.device.state import AgentState, StateFile
from sightloop.device.trust import TrustedUpdates, refresh
from sightloop.device.update_source import UpdateSource
from sightloop.kernel.digests import digest_of


class Intake:
    """What one device takes in. Used by one thread at a time."""

    def __init__(
        self,
        home: Home,
        *,
        device: str,
        slots: Collection[str],
        state: StateFile,
        store: BundleStore,
        log: Log,
    ) -> None:
        self._home = home
        self._device = device
        self._slots = slots
        self._state = state
        self._store = store
        self._log = log

    def look(self, source: UpdateSource, *, server_time_ms: int = 0) -> TrustedUpdates:
        """The source's metadata, verified; what owners took back or vouch for is known from now on.

        Raises:
            MetadataRefused: it is expired, older than what was seen, or wrongly signed.
            ServerAway, ServerRefused: it could not be had.
            WrongFormat: an owner's revocations cannot be read.
            DiskFull: what was learned could not be written down.
        """
        state = self._state.now
        trusted = refresh(self._home, source, known_time_ms=state.known_time_ms)
        floor_ms = raise_floor(
            state.known_time_ms, server_time_ms=server_time_ms, ends_at_ms=trusted.ends_at_ms
        )
        revoked = {
            one.bundle: one.reason
            for model in sorted(state.models())
            for one in trusted.revocations(model)
        }
        gated = {model: trusted.gated(model) for model in sorted(state.models())}
        for bundle in revoked.keys() - state.revoked.keys():
            self._log.event("bundle.revoked", bundle=bundle, reason=revoked[bundle])

        def change(now: AgentState) -> AgentState:
            # Added to, never replaced: what was revoked once stays so, also when an older word
            # of the owner arrives by another way.
            known = now.revoked | revoked
            # Replaced: a build that its owner no longer vouches for is a candidate again.
            return msgspec.structs.replace(now, revoked=known, gated=gated, known_time_ms=floor_ms)

        self._state.change(change)
        return trusted

    def accept(self, trusted: TrustedUpdates, signed: SignedAssignment) -> str:
        """Write down what a slot should run, and name the slot; a known one changes nothing.

        Raises:
            ForeignKey, WrongFormat: see `TrustedUpdates.read_assignment`.
            AssignmentForAnother, UnknownSlot, OldCounter: see `assignments.accept`.
            DiskFull: it could not be written down.
        """
        assignment = trusted.read_assignment(signed)
        payload = digest_of(signed.payload)

        def change(state: AgentState) -> AgentState:
            memory = state.slot(assignment.slot)
            verdict = accept(
                assignment,
                payload,
                key_id=signed.key_id,
                device=self._device,
                slots=self._slots,
                before=memory.accepted,
            )
            if verdict == "known":
                return state
            changed = msgspec.structs.replace(memory, accepted=verdict)
            return state.with_slot(assignment.slot, changed)

        self._state.change(change)
        self._log.event(
            "assignment.accepted",
            slot=assignment.slot,
            model=assignment.model,
            version=assignment.version,
            counter=assignment.counter,
        )
        return assignment.slot

    def accept_agent(self, trusted: TrustedUpdates, signed: SignedAssignment) -> None:
        """Write down which release of the agent this device should run.

        Raises:
            ForeignKey, WrongFormat: see `TrustedUpdates.read_assignment`.
            AssignmentForAnother, UnknownSlot, OldCounter: see `assignments.accept`.
            DiskFull: it could not be written down.
        """
        assignment = trusted.read_assignment(signed)

        def change(state: AgentState) -> AgentState:
            verdict = accept(
                assignment,
                digest_of(signed.payload),
                key_id=signed.key_id,
                device=self._device,
                slots=[AGENT_SLOT],
                before=state.agent,
            )
            return state if verdict == "known" else msgspec.structs.replace(state, agent=verdict)

        self._state.change(change)

    def fetch(self, trusted: TrustedUpdates, source: UpdateSource, accepted: Accepted) -> None:
        """The bundle is on disk, and its owner stands by it.

        Raises:
            NotOffered, TamperedFile, MetadataRefused: see `TrustedUpdates.fetch_manifest`.
            UnsafeName, NotEnoughSpace, DiskFull: see `BundleStore.install`.
            ServerAway, ServerRefused: something could not be had.
        """
        # The manifest is asked for even when the files are here: its owner must still stand by it.
        manifest = trusted.fetch_manifest(model=accepted.model, bundle=accepted.bundle)
        gated = trusted.gated(accepted.model)  # the first look may have come before the assignment
        if not self._store.has(accepted.bundle):
            self._log.event("bundle.fetching", bundle=accepted.bundle, source=source.url(""))
            self._store.install(accepted.bundle, manifest, source)

        def change(state: AgentState) -> AgentState:
            kept = state.bundles_in_use() & set(state.vouched)
            vouched = sorted(kept | {accepted.bundle})
            listed = {**state.gated, accepted.model: gated}
            return msgspec.structs.replace(state, vouched=vouched, gated=listed)

        self._state.change(change)

    def is_vouched(self, accepted: Accepted) -> bool:
        """Whether the bundle was fetched and verified before, so that it may start offline."""
        vouched = accepted.bundle in self._state.now.vouched
        return vouched and self._store.has(accepted.bundle)

    def forget_unused(self) -> None:
        """Remove every bundle that no slot runs, ran before or should run."""
        self._store.keep_only(self._state.now.bundles_in_use())

    def unfinished(self, names: Iterable[str]) -> list[Accepted]:
        """What slots should run and what is not on disk and verified yet."""
        wanted = [self._state.now.slot(name).accepted for name in names]
        state = self._state.now
        return [
            one
            for one in wanted
            if one is not None and one.bundle not in state.revoked and not self.is_vouched(one)
        ]
