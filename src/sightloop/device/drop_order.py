"""What a full spool gives up, and in which order. Pure.

First the images that were kept for training, which cost the most bytes and come again: uncertain,
novel, drift. Then health, soon stale, and profiles, oldest first. Then what a person asked to be
kept, then the short notices of swaps and losses. Audit images go last: they are what makes every
number about the model honest, and a gap in them cannot be filled later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, assert_never

from sightloop.contracts.telemetry import (
    Body,
    DroppedBody,
    HealthBody,
    KeptImageBody,
    ProfileBody,
    SwapBody,
)

Shelf = Literal["uncertain", "novel", "drift", "health", "profile", "operator", "notice", "audit"]
"""Where a kind of message lies in the spool."""

DROP_ORDER: tuple[Shelf, ...] = (
    "uncertain",
    "novel",
    "drift",
    "health",
    "profile",
    "operator",
    "notice",
    "audit",
)
"""The first is given up first."""


class Sacrifice(NamedTuple):
    """The oldest `n_segments` of a shelf have to go."""

    shelf: Shelf
    n_segments: int


def shelf_of(body: Body) -> Shelf:
    """Where messages like this one lie."""
    match body:
        case KeptImageBody(lane=lane):
            return lane
        case HealthBody():
            return "health"
        case ProfileBody():
            return "profile"
        case SwapBody() | DroppedBody():
            return "notice"
        case _:
            assert_never(body)


def make_room(
    sizes: Mapping[Shelf, Sequence[int]], *, incoming: Shelf, incoming_bytes: int, limit_bytes: int
) -> list[Sacrifice] | None:
    """What to give up so that a message fits; None when the message itself must be given up.

    Args:
        sizes: bytes of each shelf's segments, oldest first.
        incoming: the shelf of the new message; only shelves up to its own are emptied for it.
        incoming_bytes: its size.
        limit_bytes: what the spool may take on disk.

    >>> make_room({"health": [40, 40], "audit": [40]}, incoming="audit", incoming_bytes=10,
    ...           limit_bytes=100)
    [Sacrifice(shelf='health', n_segments=1)]
    >>> make_room({"audit": [90]}, incoming="health", incoming_bytes=20, limit_bytes=100) is None
    True
    """
    excess = sum(sum(segments) for segments in sizes.values()) + incoming_bytes - limit_bytes
    sacrifices = []
    for shelf in DROP_ORDER[: DROP_ORDER.index(incoming) + 1]:
        n_segments = 0
        for size_bytes in sizes.get(shelf, ()):
            if excess <= 0:
                break
            excess -= size_bytes
            n_segments += 1
        if n_segments:
            sacrifices.append(Sacrifice(shelf, n_segments))
    return sacrifices if excess <= 0 else None
