"""`sightloop access`: who may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sightloop.cli.command import Session, command

if TYPE_CHECKING:  # help must not wait for it
    from sightloop.kernel.actors import Role

PersonName = Annotated[str, typer.Argument(help="Name of the person.")]
RoleName = Annotated[
    str, typer.Argument(help="viewer, annotator, engineer, approver or admin.", metavar="ROLE")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    access = typer.Typer(help="People, their roles and their tokens.", no_args_is_help=True)
    app.add_typer(access, name="access")
    command(access, "list")(list_people)
    command(access, "invite")(invite)
    command(access, "role")(role)
    command(access, "revoke")(revoke)


def list_people(
    session: Session,
    *,
    after: Annotated[str, typer.Option(help="Begin behind this name.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 100,
) -> None:
    """Everybody who was ever given a token."""
    from sightloop.cli.views import settings as views
    from sightloop.kernel.access import ListPeople, PeoplePage

    request = ListPeople(after=after, limit=limit)
    session.print(session.call("access.list", request, PeoplePage), views.people)


def invite(
    session: Session,
    *,
    name: PersonName,
    role: RoleName,
    days: Annotated[float, typer.Option(help="The token ends after so many; 0: never.")] = 0.0,
) -> None:
    """Give somebody a role and a token. The token is printed once and kept nowhere."""
    from sightloop.kernel.access import Invited, InvitePerson

    request = InvitePerson(name=name, role=_role(role), lifetime_days=days or None)
    made = session.call("access.invite", request, Invited)
    session.print(made, lambda one: f"token of {one.person.id}, shown once: {one.token}")


def role(session: Session, *, name: PersonName, role: RoleName) -> None:
    """Trust a person with more, or with less; open sessions follow at once."""
    from sightloop.kernel.access import ChangeRole, Person

    changed = session.call("access.role", ChangeRole(name=name, role=_role(role)), Person)
    session.print(changed, lambda one: f"{one.id} is now {one.role.value}")


def revoke(session: Session, *, name: PersonName) -> None:
    """Keep a person out: every token and session of theirs ends."""
    from sightloop.kernel.access import Person, RevokeAccess

    gone = session.call("access.revoke", RevokeAccess(name=name), Person)
    session.print(gone, lambda one: f"{one.id} may no longer come in")


def _role(text: str) -> Role:
    from sightloop.kernel.access import PEOPLE_ROLES, BadInvitation

    for one in PEOPLE_ROLES:
        if one.value == text:
            return one
    names = ", ".join(one.value for one in PEOPLE_ROLES)
    raise BadInvitation(field="role", value=text, problem=f"is not one of {names}")
