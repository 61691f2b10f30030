"""Bearer tokens: 256 random bits, of which the database keeps only the hash.

A token names an actor and so carries that actor's role. An enrolment token works once.
"""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table, Text, insert, select, update

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
    token = secrets.token_urlsafe(32)
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


def actor_of(tx: Tx, token: str, *, now_ms: int) -> Actor:
    """Who sends this token.

    Raises:
        Unauthenticated: it is unknown, used up or expired; which of them is not said to strangers.
    """
    query = select(_actors, _tokens.c.uses_left, _tokens.c.expires_at_ms).join(
        _tokens, _tokens.c.actor == _actors.c.id
    )
    row = tx.execute(query.where(_tokens.c.hash == _hash(token))).mappings().first()
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


def _hash(token: str) -> str:
    # A plain hash is enough: 256 random bits cannot be guessed from it.
    return hashlib.sha256(token.encode()).hexdigest()
