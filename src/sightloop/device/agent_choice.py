"""Which agent to start: the proven one, or a new one on probation. Pure.

A release is on probation until the agent in it has said that it serves. It is tried a few times,
for the power may go meanwhile; one that ends, or stays silent, is refused for good and the proven
agent is started again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from sightloop.kernel.digests import Digest

MOST_PROBATIONS = 3
MOST_QUICK_ENDS = 3
"""A proven agent that keeps ending at once gives way to the one before it."""


class AgentChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What the launcher knows; None is the agent that came with the system's packages."""

    format: Literal["sightloop.agent-choice/1"] = "sightloop.agent-choice/1"
    current: Digest | None = None
    previous: Digest | None = None
    candidate: Digest | None = None
    n_probations: int = 0
    refused: dict[Digest, str] = {}

    def in_use(self) -> set[Digest]:
        """Releases that must stay on disk."""
        return {one for one in (self.current, self.previous, self.candidate) if one is not None}


class Begun(NamedTuple):
    """What to start now, and what to remember before that."""

    choice: AgentChoice
    release: Digest | None
    on_probation: bool


def propose(choice: AgentChoice, release: Digest) -> AgentChoice:
    """The release shall be tried at the next start; one that runs or was refused is not."""
    if release in (choice.current, choice.candidate) or release in choice.refused:
        return choice
    return msgspec.structs.replace(choice, candidate=release, n_probations=0)


def begin(choice: AgentChoice) -> Begun:
    """Start the candidate once more, or the proven agent."""
    if choice.candidate is None:
        return Begun(choice, choice.current, on_probation=False)
    if choice.n_probations >= MOST_PROBATIONS:
        return begin(refuse(choice, f"{MOST_PROBATIONS} probations were cut short"))
    counted = msgspec.structs.replace(choice, n_probations=choice.n_probations + 1)
    return Begun(counted, choice.candidate, on_probation=True)


def prove(choice: AgentChoice) -> AgentChoice:
    """The candidate serves: it is the agent from now on."""
    assert choice.candidate is not None, "only a candidate is on probation"
    return msgspec.structs.replace(
        choice, current=choice.candidate, previous=choice.current, candidate=None, n_probations=0
    )


def refuse(choice: AgentChoice, reason: str) -> AgentChoice:
    """The candidate does not serve here and is not tried again."""
    assert choice.candidate is not None, "only a candidate is on probation"
    refused = {**choice.refused, choice.candidate: reason}
    return msgspec.structs.replace(choice, candidate=None, n_probations=0, refused=refused)


def give_way(choice: AgentChoice, reason: str) -> AgentChoice:
    """The proven release keeps ending: the agent before it is started instead."""
    if choice.current is None:
        return choice  # there is nothing older than what the system brought
    refused = {**choice.refused, choice.current: reason}
    return msgspec.structs.replace(choice, current=choice.previous, previous=None, refused=refused)
