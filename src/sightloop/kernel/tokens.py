"""Bearer tokens: 256 random bits, of which the database keeps only the hash.

A token names an actor and so carries that actor's role: changing the actor's role acts at once on
every token of theirs. An enrolment token works once. A session is a token that signing in made; the
latest one is remembered after its end, so that it is known when somebody was last here.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from sightloop.kernel.actors import Actor, ActorId, ActorKind, Role
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.errors import Unauthenticated

_actors = Table(
    "actors",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
_tokens = Table(
    "tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("actor", ForeignKey("actors.id"), nullable=False),
    Column("uses_left", Integer),
    Column("expires_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
)
_sessions = Table(
    "sessions",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("began_at_ms", BigInteger, nullable=False),
    Index("sessions_by_actor", "actor", "began_at_ms"),
)


# Made once: every request asks it.
_HOLDER = (
    select(_actors, _tokens.c.uses_left, _tokens.c.expires_at_ms)
    .join(_tokens, _tokens.c.actor == _actors.c.id)
    .where(_tokens.c.hash == bindparam("hash"))
)


class Holding(NamedTuple):
    """What an actor holds now, sessions counted apart, and when it ends (None: never)."""

    n_tokens: int
    n_sessions: int
    ends_at_ms: int | None
    """When the last of the tokens that are no session ends."""
    signed_in_at_ms: int | None


class KnownActor(NamedTuple):
    """An actor's row."""

    actor: Actor
    created_at_ms: int


def issue(
    tx: Tx,
    *,
    actor: ActorId,
    kind: ActorKind,
    role: Role,
    now_ms: int,
    uses: int | None = None,
    lifetime_ms: int | None = None,
) -> str:
    """A new token for this actor, made known if it is not; the token itself is kept nowhere."""
    if tx.execute(select(_actors.c.id).where(_actors.c.id == actor)).first() is None:
        tx.execute(
            insert(_actors).values(id=actor, kind=kind, role=role.value, created_at_ms=now_ms)
        )
    token = _new_token()
    tx.execute(
        insert(_tokens).values(
            hash=_hash(token),
            actor=actor,
            uses_left=uses,
            expires_at_ms=None if lifetime_ms is None else now_ms + lifetime_ms,
            created_at_ms=now_ms,
        )
    )
    return token


def begin_session(tx: Tx, actor: Actor, *, now_ms: int, lifetime_ms: int) -> str:
    """A token that ends by itself; what of the actor's has ended is cleared away."""
    tx.execute(_tokens.delete().where((_tokens.c.actor == actor.id) & _has_ended(now_ms)))
    living = select(_tokens.c.hash).where(_tokens.c.actor == actor.id)
    mine = _sessions.c.actor == actor.id
    tx.execute(_sessions.delete().where(mine & _sessions.c.hash.not_in(living)))
    token = issue(
        tx,
        actor=actor.id,
        kind=actor.kind,
        role=actor.role,
        now_ms=now_ms,
        lifetime_ms=lifetime_ms,
    )
    tx.execute(insert(_sessions).values(hash=_hash(token), actor=actor.id, began_at_ms=now_ms))
    return token


def is_valid(tx: Tx, token: str, *, now_ms: int) -> bool:
    """Whether the token names anybody now."""
    try:
        actor_of(tx, token, now_ms=now_ms)
    except Unauthenticated:
        return False
    return True


def actor_of(tx: Tx, token: str, *, now_ms: int) -> Actor:
    """Who sends this token.

    Raises:
        Unauthenticated: it is unknown, used up or expired; which of them is not said to strangers.
    """
    row = tx.execute(_HOLDER, {"hash": _hash(token)}).mappings().first()
    if row is None or row["uses_left"] == 0:
        raise Unauthenticated(why="the token is not valid here")
    if row["expires_at_ms"] is not None and row["expires_at_ms"] <= now_ms:
        raise Unauthenticated(why="the token is not valid here")
    return Actor(ActorId(row["id"]), row["kind"], Role(row["role"]))


def use_up(tx: Tx, token: str) -> None:
    """Take one use off a token with counted uses, in the transaction of what it was used for.

    Raises:
        Unauthenticated: no use is left; two requests with one enrolment token cannot both pass.
    """
    left = _tokens.c.uses_left
    used = tx.execute(
        update(_tokens)
        .where((_tokens.c.hash == _hash(token)) & (left > 0))
        .values(uses_left=left - 1)
    )
    if used.rowcount == 0:
        raise Unauthenticated(why="the token was used before")


def revoke(tx: Tx, token: str) -> None:
    """Make this token useless; one that is unknown is useless already."""
    tx.execute(_tokens.delete().where(_tokens.c.hash == _hash(token)))


def revoke_all(tx: Tx, actor: ActorId) -> int:
    """Make every token of the actor useless; returns how many there were."""
    return tx.execute(_tokens.delete().where(_tokens.c.actor == actor)).rowcount


def find_actor(tx: Tx, actor: str) -> KnownActor | None:
    """The actor of that id."""
    row = tx.execute(select(_actors).where(_actors.c.id == actor)).mappings().first()
    return None if row is None else _known_of(row)


def people(tx: Tx, *, after: str = "", limit: int) -> list[KnownActor]:
    """Actors that are people, by id, from the first above `after`."""
    wanted = (_actors.c.kind == "person") & (_actors.c.id > after)
    query = select(_actors).where(wanted).order_by(_actors.c.id).limit(limit)
    return [_known_of(row) for row in tx.execute(query).mappings()]


def holdings(tx: Tx, actors: Collection[str], *, now_ms: int) -> dict[str, Holding]:
    """What each of these actors holds; at most some hundred at a time."""
    is_session = _sessions.c.hash.is_not(None)
    query = (
        select(_tokens.c.actor, _tokens.c.expires_at_ms, is_session)
        .outerjoin(_sessions, _sessions.c.hash == _tokens.c.hash)
        .where(_tokens.c.actor.in_(actors) & ~_has_ended(now_ms))
    )
    found = [(actor, ends, bool(session)) for actor, ends, session in tx.execute(query)]
    latest = dict(
        tx.execute(
            select(_sessions.c.actor, func.max(_sessions.c.began_at_ms))
            .where(_sessions.c.actor.in_(actors))
            .group_by(_sessions.c.actor)
        ).all()
    )
    result = {}
    for actor in actors:
        ends = [end for one, end, session in found if one == actor and not session]
        result[actor] = Holding(
            n_tokens=len(ends),
            n_sessions=sum(one == actor and session for one, _, session in found),
            ends_at_ms=None if not ends or None in ends else max(end for end in ends if end),
            signed_in_at_ms=latest.get(actor),
        )
    return result


def admins_but(tx: Tx, actor: str, *, now_ms: int) -> int:
    """How many other people are admins and hold a token that is more than a session."""
    query = (
        select(func.count(_actors.c.id.distinct()))
        .join(_tokens, _tokens.c.actor == _actors.c.id)
        .outerjoin(_sessions, _sessions.c.hash == _tokens.c.hash)
        .where(
            and_(
                _actors.c.kind == "person",
                _actors.c.role == Role.ADMIN.value,
                _actors.c.id != actor,
                _sessions.c.hash.is_(None),
                ~_has_ended(now_ms),
            )
        )
    )
    return int(tx.execute(query).scalar_one())


def set_role(tx: Tx, actor: str, role: Role) -> None:
    """Every token of the actor, open sessions included, carries this role from now on."""
    tx.execute(update(_actors).where(_actors.c.id == actor).values(role=role.value))


def _has_ended(now_ms: int) -> ColumnElement[bool]:
    # Written so that it is never NULL: it is negated as well.
    is_over = func.coalesce(_tokens.c.expires_at_ms, now_ms + 1) <= now_ms
    return or_(is_over, func.coalesce(_tokens.c.uses_left, 1) == 0)


def _known_of(row: Any) -> KnownActor:  # noqa: ANN401 - a SQLAlchemy row mapping
    actor = Actor(ActorId(row["id"]), row["kind"], Role(row["role"]))
    return KnownActor(actor, row["created_at_ms"])


def _new_token() -> str:
    # One that began with a dash would be taken for an option on a command line.
    while not (token := secrets.token_urlsafe(32))[0].isalnum():
        pass
    return token


def _hash(token: str) -> str:
    # A plain hash is enough: 256 random bits cannot be guessed from it.
    return hashlib.sha256(token.encode()).hexdigest()
