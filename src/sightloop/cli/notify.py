"""`sightloop notify`: where news goes."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command

DestinationName = Annotated[str, typer.Argument(help="Name of the destination.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    notify = typer.Typer(help="News for people who are not looking.", no_args_is_help=True)
    app.add_typer(notify, name="notify")
    command(notify, "list")(list_destinations)
    command(notify, "add")(add)
    command(notify, "remove")(remove)
    command(notify, "test")(test)


def list_destinations(session: Session) -> None:
    """Where news goes, and whether it arrives."""
    from sightloop.cli.views import settings as views
    from sightloop.loop.notifying import DestinationList, ListDestinations

    found = session.call("notify.list", ListDestinations(), DestinationList)
    session.print(found, views.destinations)


def add(
    session: Session,
    *,
    name: DestinationName,
    address: Annotated[
        str,
        typer.Argument(help="An apprise address; '-' reads it from the input, out of histories."),
    ],
    want: Annotated[
        list[str] | None, typer.Option(help="A kind of news; may be repeated. None means all.")
    ] = None,
) -> None:
    """Send news there from now on. The address is a secret and not shown again."""
    import sys

    import msgspec

    from sightloop.loop.destinations import Destination
    from sightloop.loop.errors import BadDestination
    from sightloop.loop.notifying import AddDestination

    given = sys.stdin.readline().strip() if address == "-" else address
    try:
        values = {"name": name, "address": given, "wants": want or []}
        request = msgspec.convert(values, AddDestination)
    except msgspec.ValidationError as error:
        raise BadDestination(name=name, problem=str(error)) from error
    added = session.call("notify.add", request, Destination)
    session.print(added, lambda one: f"{one.name} hears of {', '.join(one.wants)}")


def remove(session: Session, *, name: DestinationName) -> None:
    """Nothing more goes there, and its address is forgotten."""
    from sightloop.loop.destinations import Destination
    from sightloop.loop.notifying import NameDestination

    removed = session.call("notify.remove", NameDestination(name=name), Destination)
    session.print(removed, lambda one: f"nothing more goes to {one.name}")


def test(session: Session, *, name: DestinationName) -> None:
    """Send a test message now; exits with 1 and says why when it was not taken."""
    from sightloop.loop.destinations import Destination
    from sightloop.loop.notifying import NameDestination

    taken = session.call("notify.test", NameDestination(name=name), Destination)
    session.print(taken, lambda one: f"{one.name} took the test message")
