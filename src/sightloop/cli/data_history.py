"""`sightloop data log`, `show`, `diff`: commits and what is between them."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command

_REF = "Branch, tag, commit, or one back from there: NAME~2, NAME^2."


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "log")(log)
    command(data, "show")(show)
    command(data, "diff")(diff)


def log(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help=_REF)] = "main",
    limit: Annotated[int, typer.Option(help="How many commits.")] = 20,
) -> None:
    """The history of a branch along all parents, newest first; merges are marked."""
    from sightloop.cli.views import data_history as views
    from sightloop.datasets.commits import LogCommits, LoggedCommit

    request = LogCommits(ref=ref, limit=limit)
    session.print(session.call("data.log", request, list[LoggedCommit]), views.commits)


def show(session: Session, *, ref: Annotated[str, typer.Argument(help=_REF)] = "main") -> None:
    """What a commit holds: splits, slices, classes."""
    from sightloop.cli.views import data_history as views
    from sightloop.datasets.commits import CommitFacts, ShowCommit

    session.print(session.call("data.show", ShowCommit(ref=ref), CommitFacts), views.commit)


def diff(
    session: Session,
    *,
    before: Annotated[str, typer.Argument(help=_REF)],
    after: Annotated[str, typer.Argument(help=_REF)],
    kind: Annotated[
        str, typer.Option(help="Only samples with this change, such as added or 'box moved'.")
    ] = "",
    beyond: Annotated[str, typer.Option(help="Go on after this sample.")] = "",
    limit: Annotated[int, typer.Option(help="How many samples to list.")] = 20,
) -> None:
    """What became of samples and boxes from one commit to another."""
    from sightloop.cli.views import data_history as views
    from sightloop.datasets.comparing import CommitDiff, DiffCommits
    from sightloop.datasets.values import SampleId

    request = DiffCommits(
        before=before,
        after=after,
        kind=kind,
        beyond=SampleId(beyond) if beyond else None,
        limit=limit,
    )
    session.print(session.call("data.diff", request, CommitDiff), views.diff)
