"""Who may come in: people, their roles and their tokens.

A token is shown once, to whoever asked for it, and is kept nowhere. A role belongs to the person
and not to the token, so a change acts at the next request of every session that is open.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from sightloop.kernel import tokens
from sightloop.kernel.actors import LOCAL, ActorId, Permission, Role, require
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import BadInput, NotFound, Refused
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.tokens import KnownActor
from sightloop.kernel.workspace import Call, Workspace

ACCESS_GRANTED = EventKind("access.granted")
ACCESS_CHANGED = EventKind("access.changed")
ACCESS_REVOKED = EventKind("access.revoked")

PEOPLE_ROLES = (Role.VIEWER, Role.ANNOTATOR, Role.ENGINEER, Role.APPROVER, Role.ADMIN)
MAX_PEOPLE = 200
MAX_LIFETIME_DAYS = 3650
DAY_MS = 86_400_000
_NAME = re.compile(r"\w[\w.@-]{0,63}")


class BadInvitation(BadInput):
    """The name, role or lifetime cannot be given to a person."""

    code = "SL-140"

    def __init__(self, *, field: str, value: str, problem: str) -> None:
        super().__init__(
            f"{field} {value[:100]!r} {problem}; nobody was invited", field=field, problem=problem
        )


class KnownPerson(Refused):
    """Somebody of that name has a token already."""

    code = "SL-430"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"{name!r} is known and holds a token; choose another name, or revoke it first "
            f"(`sightloop access revoke {name}`) and invite again",
            name=name,
        )


class LastAdmin(Refused):
    """Nobody else could administer the workspace afterwards."""

    code = "SL-431"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"{name!r} is the last admin who can sign in; make somebody else admin first",
            name=name,
        )


class ListPeople(msgspec.Struct, frozen=True, kw_only=True):
    """People by name, from the first above `after`."""

    after: str = ""
    limit: int = 100


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may come in, or once could."""

    id: str
    role: Role
    created_at_ms: int
    n_tokens: int
    """Valid ones, without sessions."""
    n_sessions: int
    expires_at_ms: int | None
    """When the last token ends; None when it does not, or there is none."""
    signed_in_at_ms: int | None
    """When a session began last, as far as it is known."""


class PeoplePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some people; `next_after` goes on behind them and is None at the end."""

    people: list[Person]
    next_after: str | None


class InvitePerson(msgspec.Struct, frozen=True, kw_only=True):
    """Give somebody a role and a token, for so many days or until it is revoked."""

    name: str
    role: Role
    lifetime_days: float | None = None


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """Who came in, and the token, which cannot be shown again."""

    person: Person
    token: str


class ChangeRole(msgspec.Struct, frozen=True, kw_only=True):
    """Trust a person with more, or with less."""

    name: str
    role: Role


class RevokeAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a person out: every token and session of theirs ends."""

    name: str


def list_people(workspace: Workspace, call: Call, request: ListPeople) -> PeoplePage:
    """Everybody who was ever given a token, by name."""
    require(call.actor, Permission.ADMINISTER)
    limit = max(1, min(request.limit, MAX_PEOPLE))
    with workspace.db.read() as tx:
        found = tokens.people(tx, after=request.after, limit=limit + 1)
        shown = _people_of(tx, found[:limit], now_ms=workspace.clock.now_ms())
    return PeoplePage(people=shown, next_after=shown[-1].id if len(found) > limit else None)


def invite_person(workspace: Workspace, call: Call, request: InvitePerson) -> Invited:
    """Somebody new has a role and a token; whoever was revoked comes back with these.

    Raises:
        BadInvitation: the name or lifetime cannot be, or the role is not one for people.
        KnownPerson: somebody of that name holds a token.
    """
    require(call.actor, Permission.ADMINISTER)
    _check(request)
    now_ms = workspace.clock.now_ms()
    days = request.lifetime_days
    with workspace.db.write() as tx:
        known = tokens.find_actor(tx, request.name)
        if known is not None:
            held = tokens.holdings(tx, [request.name], now_ms=now_ms)[request.name]
            if known.actor.kind != "person" or held.n_tokens or held.n_sessions:
                raise KnownPerson(name=request.name)
            tokens.set_role(tx, request.name, request.role)
        token = tokens.issue(
            tx,
            actor=ActorId(request.name),
            kind="person",
            role=request.role,
            now_ms=now_ms,
            lifetime_ms=None if days is None else round(days * DAY_MS),
        )
        person = _person(tx, request.name, now_ms=now_ms)
        data = {"role": request.role.value, "expires_at_ms": person.expires_at_ms}
        tell(tx, ACCESS_GRANTED, request.name, by=call.actor, at_ms=now_ms, data=data)
    return Invited(person=person, token=token)


def change_role(workspace: Workspace, call: Call, request: ChangeRole) -> Person:
    """The person has that role from now on, in sessions that are open as well.

    Raises:
        NotFound: there is no such person.
        BadInvitation: the role is not one for people.
        LastAdmin: nobody else could administer the workspace.
    """
    require(call.actor, Permission.ADMINISTER)
    _check_role(request.role)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        before = _find(tx, request.name).actor.role
        if before is not request.role:
            _keep_an_admin(tx, request.name, before, now_ms=now_ms)
            tokens.set_role(tx, request.name, request.role)
            data = {"role": request.role.value, "before": before.value}
            tell(tx, ACCESS_CHANGED, request.name, by=call.actor, at_ms=now_ms, data=data)
        return _person(tx, request.name, now_ms=now_ms)


def revoke_access(workspace: Workspace, call: Call, request: RevokeAccess) -> Person:
    """Every token and session of the person has ended; what they did keeps their name.

    Raises:
        NotFound: there is no such person.
        LastAdmin: nobody else could administer the workspace.
    """
    require(call.actor, Permission.ADMINISTER)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        _keep_an_admin(tx, request.name, _find(tx, request.name).actor.role, now_ms=now_ms)
        n_ended = tokens.revoke_all(tx, ActorId(request.name))
        if n_ended:
            data = {"n_tokens": n_ended}
            tell(tx, ACCESS_REVOKED, request.name, by=call.actor, at_ms=now_ms, data=data)
        return _person(tx, request.name, now_ms=now_ms)


def _check(request: InvitePerson) -> None:
    name = request.name
    if _NAME.fullmatch(name) is None or unicodedata.normalize("NFKC", name) != name:
        raise BadInvitation(
            field="name",
            value=name,
            problem="must be 1 to 64 letters, digits and . @ _ -, beginning with a letter or digit",
        )
    if name == LOCAL.id:
        raise BadInvitation(field="name", value=name, problem="means the command line itself")
    _check_role(request.role)
    days = request.lifetime_days
    if days is not None and not 0 < days <= MAX_LIFETIME_DAYS:
        problem = f"days is not between 0 and {MAX_LIFETIME_DAYS}"
        raise BadInvitation(field="lifetime", value=str(days), problem=problem)


def _check_role(role: Role) -> None:
    if role not in PEOPLE_ROLES:
        names = ", ".join(one.value for one in PEOPLE_ROLES)
        raise BadInvitation(field="role", value=role.value, problem=f"is not one of {names}")


def _keep_an_admin(tx: Tx, name: str, role: Role, *, now_ms: int) -> None:
    if role is Role.ADMIN and tokens.admins_but(tx, name, now_ms=now_ms) == 0:
        raise LastAdmin(name=name)


def _find(tx: Tx, name: str) -> KnownActor:
    known = tokens.find_actor(tx, name)
    if known is None or known.actor.kind != "person":
        raise NotFound(what="person", name=name[:100], hint="`sightloop access list` names them")
    return known


def _person(tx: Tx, name: str, *, now_ms: int) -> Person:
    return _people_of(tx, [_find(tx, name)], now_ms=now_ms)[0]


def _people_of(tx: Tx, known: list[KnownActor], *, now_ms: int) -> list[Person]:
    held = tokens.holdings(tx, [one.actor.id for one in known], now_ms=now_ms)
    return [
        Person(
            id=one.actor.id,
            role=one.actor.role,
            created_at_ms=one.created_at_ms,
            n_tokens=held[one.actor.id].n_tokens,
            n_sessions=held[one.actor.id].n_sessions,
            expires_at_ms=held[one.actor.id].ends_at_ms,
            signed_in_at_ms=held[one.actor.id].signed_in_at_ms,
        )
        for one in known
    ]
