"""Replacing the agent itself: the signed release it is assigned is fetched and proposed.

The assignment comes the way those of slots do, under the same key, counted by its own counter. The
launcher tries the release at the next start; without a launcher nothing is accepted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from sightloop.contracts.agent_release import AGENT_SLOT, SELF_UPDATE, release_path
from sightloop.contracts.assignment import SignedAssignment
from sightloop.device.agent_choice import propose
from sightloop.device.agent_store import AgentStore
from sightloop.device.intake import Intake
from sightloop.device.launcher import PROBATION_VARIABLE, RELEASE_VARIABLE
from sightloop.device.log import Log
from sightloop.device.state import StateFile
from sightloop.device.trust import TrustedUpdates
from sightloop.device.update_source import UpdateSource
from sightloop.device.version import CAPABILITIES
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.errors import SightloopError, Unavailable


def is_launched() -> bool:
    """Whether a launcher started this agent, so that it can be replaced."""
    return RELEASE_VARIABLE in os.environ


def running_release() -> Digest | None:
    """Which signed release this agent is; None for the one of the system's packages."""
    named = os.environ.get(RELEASE_VARIABLE, "")
    return Digest(named) if named else None


def capabilities() -> list[str]:
    """What this agent can do, as it was started."""
    return sorted([*CAPABILITIES, SELF_UPDATE]) if is_launched() else CAPABILITIES


class AgentUpdates:
    """Worked on by the installer's thread; `assign` may be called from another."""

    def __init__(
        self,
        store: AgentStore,
        intake: Intake,
        source: UpdateSource,
        *,
        state: StateFile,
        restart: Callable[[], None],
        log: Log,
    ) -> None:
        self._store = store
        self._intake = intake
        self._source = source
        self._state = state
        self._restart = restart
        self._log = log
        self._lock = threading.Lock()
        self._asked: SignedAssignment | None = None
        self._problem = ""
        self._word = os.environ.get(PROBATION_VARIABLE, "")

    @property
    def problem(self) -> str:
        """Why this is not the release it was assigned; empty when it is, or was assigned none."""
        accepted = self._state.now.agent
        if accepted is None or accepted.bundle == running_release():
            return ""
        return self._store.read_choice().refused.get(accepted.bundle, self._problem)

    def assign(self, signed: SignedAssignment | None) -> bool:
        """Look at this in the next step; False when it was accepted before, or is none."""
        accepted = self._state.now.agent
        if signed is None or not is_launched():
            return False
        if accepted is not None and accepted.payload == digest_of(signed.payload):
            return False
        with self._lock:
            self._asked = signed
        return True

    def tell_healthy(self) -> None:
        """Every slot that has a model answers: the probation of this agent is passed."""
        if self._word:
            self._store.tell_healthy(self._word)
            self._word = ""

    def step(self, trusted: Callable[[], TrustedUpdates]) -> None:
        """Accept, fetch and propose what was assigned; ask for a restart when it is there.

        Raises:
            Unavailable: not now; the next step goes on from here.
        """
        with self._lock:
            asked, self._asked = self._asked, None
        try:
            if asked is not None:
                self._intake.accept_agent(trusted(), asked)
            self._settle(trusted)
        except Unavailable as error:
            self._problem = error.message
            raise
        except SightloopError as error:
            if error.message != self._problem:
                self._log.event("agent_update.refused", code=error.code, reason=error.message)
            self._problem = error.message

    def _settle(self, trusted: Callable[[], TrustedUpdates]) -> None:
        accepted, choice = self._state.now.agent, self._store.read_choice()
        if accepted is None or not is_launched() or accepted.bundle == choice.current:
            return
        proposed = propose(choice, accepted.bundle)
        if proposed == choice:
            return
        if not self._store.has(accepted.bundle):
            manifest = trusted().fetch_target(
                release_path(accepted.bundle), model=AGENT_SLOT, bundle=accepted.bundle
            )
            self._store.install(accepted.bundle, manifest, self._source)
        self._store.write_choice(proposed)
        self._log.event("agent_update.proposed", release=accepted.bundle, version=accepted.version)
        self._restart()
