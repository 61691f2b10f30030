"""News for people who are not looking: destinations, and what reaches them.

The worker takes events from an inbox of its own, notes them for every destination that wants them,
and sends outside of any transaction: the loop never waits for a mail server. A message arrives at
least once; what cannot be delivered for three days is given up, and the destination says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from sightloop.fleet.rollout_moves import ROLLOUT_ROLLED_BACK
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import NotFound
from sightloop.kernel.events import Consumer, Event, EventKind, handle_next, tell, waiting
from sightloop.kernel.worker import STEP_FAILED
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop import destinations, sending
from sightloop.loop.destinations import Destination, Parcel
from sightloop.loop.errors import BadDestination, NotDelivered
from sightloop.loop.news import NEWS_KINDS, Message, NewsKind, message_of, news_of, retry_wait_ms
from sightloop.loop.ticks import DEVICE_SILENT
from sightloop.loop.turns import TURN_ENDED, TURN_MOVED, list_turns
from sightloop.monitoring.advance import INCIDENT_OPENED
from sightloop.registry.gating import VERDICT_GIVEN

DESTINATION_ADDED = EventKind("destination.added")
DESTINATION_REMOVED = EventKind("destination.removed")

NEWS = Consumer("news")
NEWS_EVENTS = (
    INCIDENT_OPENED,
    TURN_ENDED,
    TURN_MOVED,
    ROLLOUT_ROLLED_BACK,
    STEP_FAILED,
    VERDICT_GIVEN,
    DEVICE_SILENT,
)
MAX_ADDRESS_CHARS = 2_000
CLAIM_MS = 120_000
GIVE_UP_AFTER_MS = 3 * 86_400_000
N_AT_ONCE = 20
TEST_MESSAGE = Message("Sightloop test", "If you can read this, news from Sightloop arrives here.")

Send = Callable[[str, Message], str]
"""Sends to an address; `""`, or why it did not arrive."""

_NAME = re.compile(r"\w[\w .@-]{0,59}")


class ListDestinations(msgspec.Struct, frozen=True, kw_only=True):
    """Every destination."""


class DestinationList(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, by name."""

    destinations: list[Destination]


class AddDestination(msgspec.Struct, frozen=True, kw_only=True):
    """Tell these kinds of news to an apprise address; an empty list means all."""

    name: str
    address: str
    wants: list[NewsKind] = []


class NameDestination(msgspec.Struct, frozen=True, kw_only=True):
    """Which destination."""

    name: str


def list_destinations(
    workspace: Workspace,
    call: Call,
    request: ListDestinations,  # noqa: ARG001
) -> DestinationList:
    """Where news goes, and whether it arrives; addresses are only hinted at."""
    require(call.actor, Permission.ADMINISTER)
    with workspace.db.read() as tx:
        return DestinationList(destinations=destinations.every(tx))


def add_destination(workspace: Workspace, call: Call, request: AddDestination) -> Destination:
    """News from now on goes there as well; the address is never shown again.

    Raises:
        BadDestination: the name is taken or cannot be, no service has such an address.
        SenderMissing: the library that sends is not installed.
    """
    require(call.actor, Permission.ADMINISTER)
    _check(request)
    now_ms = workspace.clock.now_ms()
    wants = [kind for kind in NEWS_KINDS if not request.wants or kind in request.wants]
    with workspace.db.write() as tx:
        added = destinations.add(
            tx, request.name, request.address, wants, by=call.actor.id, now_ms=now_ms
        )
        if not added:
            raise BadDestination(name=request.name, problem="there is one of that name already")
        data = {"wants": wants}
        tell(tx, DESTINATION_ADDED, request.name, by=call.actor, at_ms=now_ms, data=data)
        return _find(tx, request.name)


def remove_destination(workspace: Workspace, call: Call, request: NameDestination) -> Destination:
    """Nothing more goes there, and the address is forgotten.

    Raises:
        NotFound: there is none of that name.
    """
    require(call.actor, Permission.ADMINISTER)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        known = _find(tx, request.name)
        destinations.remove(tx, request.name)
        tell(tx, DESTINATION_REMOVED, request.name, by=call.actor, at_ms=now_ms)
    return known


def try_destination(
    workspace: Workspace, call: Call, request: NameDestination, *, send: Send | None = None
) -> Destination:
    """A message was sent there just now and was taken.

    Raises:
        NotFound: there is none of that name.
        NotDelivered: it was not taken; says why.
        SenderMissing: the library that sends is not installed.
    """
    require(call.actor, Permission.ADMINISTER)
    with workspace.db.read() as tx:
        _find(tx, request.name)
        address = destinations.address_of(tx, request.name) or ""
    problem = (send or sending.send)(address, TEST_MESSAGE)
    with workspace.db.write() as tx:
        now_ms = workspace.clock.now_ms()
        destinations.set_outcome(tx, request.name, problem=problem, now_ms=now_ms)
    if problem:
        raise NotDelivered(name=request.name, problem=problem)
    with workspace.db.read() as tx:
        return _find(tx, request.name)


def note_news(workspace: Workspace) -> int:
    """Every event that is news waits for its destinations; returns how many events there were."""
    n_noted = 0
    while True:
        now_ms = workspace.clock.now_ms()

        def handle(tx: Tx, event: Event, now_ms: int = now_ms) -> None:
            _note(tx, event, now_ms=now_ms)

        if handle_next(workspace.db, NEWS, handle, now_ms=now_ms) is None:
            return n_noted
        n_noted += 1


def deliver_news(workspace: Workspace, *, send: Send = sending.send) -> int:
    """Send what is due; returns how many messages arrived.

    Raises:
        SenderMissing: news waits and the library that sends is not installed.
    """
    n_arrived = 0
    while True:
        now_ms = workspace.clock.now_ms()
        with workspace.db.write() as tx:
            parcel = destinations.claim(tx, now_ms=now_ms, claim_ms=CLAIM_MS, limit=N_AT_ONCE)
            address = None if parcel is None else destinations.address_of(tx, parcel.destination)
        if parcel is None or address is None:
            return n_arrived
        problem = send(address, message_of(parcel.news))
        _settle(workspace, parcel, problem)
        n_arrived += not problem


def tell_the_news(workspace: Workspace) -> None:
    """The worker's duty: note what happened, then deliver it."""
    with workspace.db.read() as tx:
        has_happened = waiting(tx, NEWS) > 0
    if has_happened:
        note_news(workspace)
    with workspace.db.read() as tx:
        is_due = destinations.any_due(tx, now_ms=workspace.clock.now_ms())
    if is_due:  # a quiet hour takes no write lock
        deliver_news(workspace)


def _note(tx: Tx, event: Event, *, now_ms: int) -> None:
    waits = _waits_for_approval(tx, event)
    news = news_of(event.kind, event.subject, event.data, waits_for_approval=waits)
    if news is not None:
        for destination in destinations.every(tx):
            if news.kind in destination.wants:
                destinations.note(tx, destination.name, event.number, news, now_ms=now_ms)


def _waits_for_approval(tx: Tx, event: Event) -> bool:
    """Whether a verdict is about a version that no turn takes on by itself."""
    if event.kind != VERDICT_GIVEN:
        return False
    turns = list_turns(tx, model=event.data["model"])
    return all(turn.version != event.data["number"] for turn in turns)


def _settle(workspace: Workspace, parcel: Parcel, problem: str) -> None:
    now_ms = workspace.clock.now_ms()
    is_over = problem and now_ms - parcel.noted_at_ms >= GIVE_UP_AFTER_MS
    if is_over:
        problem = f"given up after three days, {len(parcel.news)} messages were lost: {problem}"
    with workspace.db.write() as tx:
        if problem and not is_over:
            until_ms = now_ms + retry_wait_ms(parcel.n_failures + 1)
            destinations.postpone(tx, parcel, until_ms=until_ms)
        else:
            destinations.forget(tx, parcel)
        destinations.set_outcome(tx, parcel.destination, problem=problem, now_ms=now_ms)


def _check(request: AddDestination) -> None:
    name, address = request.name, request.address
    if _NAME.fullmatch(name) is None:
        problem = "a name is 1 to 60 letters, digits, blanks and . @ _ -"
        raise BadDestination(name=name, problem=problem)
    unknown = [kind for kind in request.wants if kind not in NEWS_KINDS]
    if unknown:
        problem = f"there is no news of kind {str(unknown[0])[:60]!r}; there is: "
        raise BadDestination(name=name, problem=problem + ", ".join(NEWS_KINDS))
    if len(address) > MAX_ADDRESS_CHARS or not sending.is_address(address):
        problem = (
            "no service is known for that address; it looks like json://HOST:PORT/PATH or "
            "mailto://USER:PASSWORD@HOST, and apprise's own pages list all of them"
        )
        raise BadDestination(name=name, problem=problem)


def _find(tx: Tx, name: str) -> Destination:
    found = destinations.find(tx, name)
    if found is None:
        raise NotFound(
            what="destination", name=name[:100], hint="`sightloop notify list` names them"
        )
    return found
