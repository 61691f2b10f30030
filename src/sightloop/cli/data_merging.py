"""`sightloop data merge`, `conflicts`, `resolve`: two branches become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sightloop.cli.command import Session, command

if TYPE_CHECKING:
    from sightloop.datasets.geometry import BoxPx


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "merge")(merge)
    command(data, "conflicts")(conflicts)
    command(data, "resolve")(resolve)


def merge(
    session: Session,
    *,
    source: Annotated[
        str,
        typer.Argument(
            help="Branch or commit to bring in; with --continue or --abort the open merge, "
            "which need not be named if it is the only one.",
            metavar="FROM",
        ),
    ] = "",
    into: Annotated[str, typer.Option(help="The branch that takes it in.")] = "main",
    resolve: Annotated[
        str, typer.Option(help="Who is right about conflicts: ours (--into) or theirs (FROM).")
    ] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="What and why.")] = "",
    go_on: Annotated[
        bool, typer.Option("--continue", help="Commit an open merge that is settled.")
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Forget an open merge.")] = False,
) -> None:
    """Bring the changes of a branch into another; contradictions wait to be settled.

    With conflicts nothing moves and the exit code is 1: settle them with `data resolve`, then
    `data merge --continue`.
    """
    from sightloop.cli.views import data_merging as views
    from sightloop.datasets.merging import (
        AbortedMerge,
        ContinueMerge,
        MergeBranch,
        Merged,
        MergeName,
    )

    if resolve not in ("", "ours", "theirs"):
        raise typer.BadParameter("give ours or theirs", param_hint="--resolve")
    if abort:
        aborted = session.call("data.merge_abort", MergeName(merge=source), AbortedMerge)
        session.print(aborted, views.aborted)
        return
    if go_on:
        going = ContinueMerge(merge=source, resolve=resolve, message=message)  # type: ignore[arg-type]
        session.print(session.call("data.merge_continue", going, Merged), views.merged)
        return
    if not source:
        raise typer.BadParameter("name what to merge", param_hint="FROM")
    request = MergeBranch(
        source=source,
        into=into,
        message=message,
        resolve=resolve,  # type: ignore[arg-type]
    )
    merged = session.call("data.merge", request, Merged)
    session.print(merged, views.merged)
    if merged.n_conflicts:
        raise typer.Exit(1)


def conflicts(
    session: Session,
    *,
    merge: Annotated[str, typer.Argument(help="An open merge; not needed if only one is.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only those not settled.")] = False,
    after: Annotated[int, typer.Option(help="Go on after the conflict of that number.")] = 0,
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
) -> None:
    """What the two sides of an open merge contradict each other in."""
    from sightloop.cli.views import data_merging as views
    from sightloop.datasets.resolving import ConflictPage, ListConflicts, ListMerges, MergeFacts

    if not merge:
        merges = session.call("data.merges", ListMerges(), list[MergeFacts])
        if len(merges) != 1:
            session.print(merges, views.merges)
            return
    request = ListConflicts(merge=merge, only_unresolved=open_only, after=after, limit=limit)
    session.print(session.call("data.conflicts", request, ConflictPage), views.conflicts)


def resolve(
    session: Session,
    *,
    conflict: Annotated[int, typer.Argument(help="Its number.")],
    take: Annotated[
        str, typer.Argument(help="ours, theirs, or both; leave out to settle it by hand.")
    ] = "",
    box: Annotated[str, typer.Option(help="By hand: corners X1,Y1,X2,Y2 in pixels.")] = "",
    class_name: Annotated[str, typer.Option("--class", help="By hand: its class.")] = "",
    remove: Annotated[bool, typer.Option(help="By hand: there is no such object.")] = False,
    value: Annotated[
        str | None, typer.Option(help="By hand: the field's value, as JSON or plain text.")
    ] = None,
    merge: Annotated[str, typer.Option(help="The open merge, if several are.")] = "",
) -> None:
    """Settle one conflict: a side is right, or something else is."""
    from sightloop.cli.views import data_merging as views
    from sightloop.datasets.resolving import ListedConflict, ResolveConflict

    request = ResolveConflict(
        merge=merge,
        conflict=conflict,
        take=take or "by hand",  # type: ignore[arg-type]
        geometry=_box(box) if box else None,
        class_name=class_name,
        remove=remove,
        value=_value(value),
    )
    settled = session.call("data.resolve", request, ListedConflict)
    session.print(settled, views.settled)


def _box(text: str) -> BoxPx:
    from sightloop.datasets.geometry import BoxPx

    try:
        x1, y1, x2, y2 = (float(one) for one in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not X1,Y1,X2,Y2", param_hint="--box") from None
    return BoxPx(x1, y1, x2, y2)


def _value(text: str | None) -> str | int | float | bool | None:
    import json

    try:
        value = None if text is None else json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool | None) else text
