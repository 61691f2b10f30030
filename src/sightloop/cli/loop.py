"""`sightloop loop`: how the loop stands, going round, holding still."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    loop = typer.Typer(help="From drift to a released version, on its own.", no_args_is_help=True)
    app.add_typer(loop, name="loop")
    command(loop, "status")(status)
    command(loop, "run")(run)
    command(loop, "pause")(pause)
    command(loop, "resume")(resume)
    command(loop, "retry")(retry)
    command(loop, "events")(events)
    command(loop, "policy")(policy)


def status(session: Session) -> None:
    """Turns and steps."""
    from sightloop.cli.views import loop as views
    from sightloop.loop.services import LoopStatus, ShowLoop

    session.print(session.call("loop.status", ShowLoop(), LoopStatus), views.loop_status)


def run(
    session: Session,
    *,
    model: Annotated[str, typer.Argument(help="A model that loop.yaml names.")],
    reason: Annotated[str, typer.Option(help="Why now.")] = "asked for by a person",
) -> None:
    """Go round once: train on the branch's head, gate, sign, roll out. A worker does the work."""
    from sightloop.loop.services import RunLoop
    from sightloop.loop.turns import Turn

    turn = session.call("loop.run", RunLoop(model=model, reason=reason), Turn)
    session.print(turn, lambda one: f"turn {one.id} of {one.model} has begun")


def pause(
    session: Session, *, reason: Annotated[str, typer.Option(help="Why.")] = "asked for by a person"
) -> None:
    """Let events wait; what runs already goes on."""
    _switch(session, paused=True, reason=reason)


def resume(session: Session) -> None:
    """Go on where the loop was paused."""
    _switch(session, paused=False, reason="")


def retry(
    session: Session, *, step: Annotated[str, typer.Argument(help="Key of the step.")]
) -> None:
    """Attempt a failed step anew, once its cause is mended."""
    from sightloop.loop.services import StepFacts, TryAgain

    found = session.call("loop.retry", TryAgain(step=step), StepFacts)
    session.print(found, lambda one: f"{one.key} waits to be run again")


def events(
    session: Session,
    *,
    after: Annotated[int, typer.Option(help="Only events above this number.")] = 0,
    subject: Annotated[str, typer.Option(help="Only events about this record.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
) -> None:
    """What happened, oldest first."""
    from sightloop.cli.views import loop as views
    from sightloop.loop.services import EventList, ListEvents

    request = ListEvents(after=after, subject=subject or None, limit=limit)
    session.print(session.call("events.list", request, EventList), views.events)


def policy(
    session: Session,
    *,
    check: Annotated[
        str, typer.Option(help="A file that might become loop.yaml: check it, and change nothing.")
    ] = "",
    preview: Annotated[
        str, typer.Option(help="The same, and replay the last month under its rules.")
    ] = "",
    save: Annotated[str, typer.Option(help="Make this file the policy, on record.")] = "",
    reason: Annotated[str, typer.Option(help="Why it is changed.")] = "",
) -> None:
    """Show loop.yaml, or check, preview or save another one."""
    from sightloop.cli.views import settings as views
    from sightloop.loop.policy_editing import (
        CheckedPolicy,
        CheckPolicy,
        PolicyText,
        SavePolicy,
        ShowPolicy,
    )
    from sightloop.loop.previewing import PolicyPreview, PreviewPolicy

    if save:
        present = session.call("policy.show", ShowPolicy(), PolicyText)
        request = SavePolicy(text=_read(save), expected=present.digest, reason=reason)
        saved = session.call("policy.save", request, PolicyText)
        session.print(saved, lambda one: f"{one.path} saved; looks after {views.names(one.models)}")
    elif preview:
        asked = PreviewPolicy(text=_read(preview))
        session.print(session.call("policy.preview", asked, PolicyPreview), views.preview)
    elif check:
        checked = session.call("policy.check", CheckPolicy(text=_read(check)), CheckedPolicy)
        session.print(checked, views.checked_policy)
    else:
        session.print(session.call("policy.show", ShowPolicy(), PolicyText), views.policy)


def _read(file: str) -> str:
    from pathlib import Path

    from sightloop.kernel.errors import NotFound
    from sightloop.loop.errors import BadPolicy

    try:
        return Path(file).read_bytes().decode()
    except OSError as error:
        raise NotFound(what="policy file", name=file, hint=str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise BadPolicy(where=file, problem=f"it is not UTF-8: {error}") from error


def _switch(session: Session, *, paused: bool, reason: str) -> None:
    from sightloop.cli.views import loop as views
    from sightloop.loop.services import LoopStatus, PauseLoop

    request = PauseLoop(paused=paused, reason=reason)
    session.print(session.call("loop.pause", request, LoopStatus), views.loop_status)
