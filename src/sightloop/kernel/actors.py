"""Who acts: a person, a token, a device or a step, with a role that says what it may do."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NewType

import msgspec

from sightloop.kernel.errors import NotAllowed

ActorId = NewType("ActorId", str)
ActorKind = Literal["person", "device", "step", "enrolment"]


class Role(StrEnum):
    """What an actor is trusted with, from looking to everything."""

    VIEWER = "viewer"
    ANNOTATOR = "annotator"
    ENGINEER = "engineer"
    APPROVER = "approver"
    ADMIN = "admin"
    DEVICE = "device"
    ENROLMENT = "enrolment"


class Permission(StrEnum):
    """One right; every operation names the one it needs."""

    READ = "read"
    LABEL = "label"
    WRITE_DATA = "write data"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SIGN = "sign"
    RELEASE = "release"
    RUN_LOOP = "run the loop"
    ADMINISTER = "administer"
    ACT_AS_DEVICE = "act as a device"
    ENROL = "enrol a device"


_READ = frozenset({Permission.READ})
_LABEL = _READ | {Permission.LABEL}
_ENGINEER = _LABEL | {
    Permission.WRITE_DATA,
    Permission.TRAIN,
    Permission.EVALUATE,
    Permission.RUN_LOOP,
}
_APPROVER = _ENGINEER | {Permission.SIGN, Permission.RELEASE}

_RIGHTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _READ,
    Role.ANNOTATOR: _LABEL,
    Role.ENGINEER: _ENGINEER,
    Role.APPROVER: _APPROVER,
    Role.ADMIN: _APPROVER | {Permission.ADMINISTER},
    Role.DEVICE: frozenset({Permission.ACT_AS_DEVICE}),
    Role.ENROLMENT: frozenset({Permission.ENROL}),
}


class Actor(msgspec.Struct, frozen=True):
    """Who did something; stands on every event."""

    id: ActorId
    kind: ActorKind
    role: Role


LOCAL = Actor(ActorId("local"), "person", Role.ADMIN)
"""Whoever runs the command line on the workspace's own files: the disk's rights are its rights."""


OWNER = ActorId("owner")
"""Whoever holds the workspace's own token."""


def step_actor(name: str) -> Actor:
    """The loop itself, acting in the step of that name."""
    return Actor(ActorId(f"step:{name}"), "step", Role.APPROVER)


def may(actor: Actor, permission: Permission) -> bool:
    """Whether the actor's role carries the permission: for words, never instead of `require`."""
    return permission in _RIGHTS[actor.role]


def require(actor: Actor, permission: Permission) -> None:
    """Return when the actor's role carries the permission.

    Raises:
        NotAllowed: it does not.
    """
    if not may(actor, permission):
        raise NotAllowed(actor=actor.id, role=actor.role.value, permission=permission.value)
