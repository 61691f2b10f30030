"""Tells the server how the device is and hears what it should do, for ever."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.check_in import CheckIn, CheckInReply, SlotReport, StreamPolicy
from sightloop.contracts.decode import WrongFormat
from sightloop.device.agent_updates import capabilities, running_release
from sightloop.device.backoff import check_in_delay_s, retry_delay_s
from sightloop.device.errors import ServerAway, ServerRefused
from sightloop.device.log import Log
from sightloop.device.server_link import ServerLink
from sightloop.device.settings import AgentSettings
from sightloop.device.version import AGENT_VERSION
from sightloop.kernel.clock import Clock


class Wishes(Protocol):
    """Where the server's wishes go. Every call returns at once."""

    def assign(self, assignments: list[SignedAssignment]) -> None:
        """The server wants these to run; whether they may is checked there."""
        ...

    def published(self, version: int, *, server_time_ms: int) -> None:
        """The server's newest update metadata, and its clock."""
        ...

    def assign_agent(self, signed: SignedAssignment | None) -> None:
        """Which agent the server wants here; None leaves it."""
        ...

    def follow(self, policies: list[StreamPolicy]) -> None:
        """The server wants images kept like this."""
        ...


class CheckInFacts(NamedTuple):
    """How the talk with the server goes."""

    last_at_ms: int | None
    problem: str
    server_ahead_ms: int | None
    """How far the server's clock was ahead of ours at the last check-in."""


class CheckIns:
    """One step of a `RepeatingThread`."""

    def __init__(
        self,
        link: ServerLink,
        wishes: Wishes,
        *,
        describe: Callable[[], CheckIn],
        clock: Clock,
        log: Log,
        rng: random.Random,
    ) -> None:
        self._link = link
        self._wishes = wishes
        self._describe = describe
        self._clock = clock
        self._log = log
        self._rng = rng
        self._n_failures = 0
        self.facts = CheckInFacts(None, "", None)

    def step(self) -> float:
        """Check in once; seconds until the next time."""
        try:
            reply = self._link.check_in(self._describe())
        except (ServerAway, ServerRefused, WrongFormat) as error:
            self._n_failures += 1
            if self.facts.problem != error.message:
                self._log.event("check_in.failed", reason=error.message)
            self.facts = self.facts._replace(problem=error.message)
            asked_s = error.retry_after_s if isinstance(error, ServerAway) else None
            return retry_delay_s(self._n_failures, rng=self._rng, retry_after_s=asked_s)
        self._take(reply)
        return check_in_delay_s(reply.next_check_in_s, rng=self._rng)

    def _take(self, reply: CheckInReply) -> None:
        self._n_failures = 0
        now_ms = self._clock.now_ms()
        self.facts = CheckInFacts(now_ms, "", reply.server_time_ms - now_ms)
        self._wishes.follow(reply.policies)
        self._wishes.published(reply.update_version, server_time_ms=reply.server_time_ms)
        self._wishes.assign(reply.assignments)
        self._wishes.assign_agent(reply.agent)


def describe_device(
    settings: AgentSettings,
    *,
    device: str,
    boot: str,
    at_ms: int,
    slots: list[SlotReport],
    n_spooled: int,
    agent_problem: str = "",
) -> CheckIn:
    """The check-in of an agent with these settings in this state."""
    return CheckIn(
        device=device,
        agent_version=AGENT_VERSION,
        capabilities=capabilities(),
        boot=boot,
        at_ms=at_ms,
        streams=settings.streams,
        slots=slots,
        n_spooled=n_spooled,
        agent_release=running_release(),
        agent_problem=agent_problem,
    )
