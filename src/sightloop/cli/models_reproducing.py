"""`sightloop reproduce`: is this version what its record says?"""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command
from sightloop.cli.versions import Version


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    command(app, "reproduce")(reproduce)


def reproduce(
    session: Session,
    *,
    version: Version,
    environment: Annotated[
        str,
        typer.Option(
            help="fresh: install the recorded packages; this: use the ones here; auto: fresh "
            "only if a package that the engine needs differs."
        ),
    ] = "auto",
    keep_environment: Annotated[
        bool,
        typer.Option("--keep-environment", help="Keep a fresh environment for the next time."),
    ] = False,
    remote: Annotated[str, typer.Option(help="Data remote to fetch missing images from.")] = "",
    code: Annotated[
        str, typer.Option(help="A folder of the Git repository with the recorded commit.")
    ] = "",
    threads: Annotated[
        int, typer.Option(help="Processor threads, instead of the recorded number.")
    ] = 0,
    show: Annotated[
        bool, typer.Option("--show", help="Only print what earlier reproductions found.")
    ] = False,
) -> None:
    """Train a version again from its record, and prove that it is the same one.

    Exits with 0 when it is identical or equivalent, with 1 when it is different.
    """
    from sightloop.cli.views import reproductions as views
    from sightloop.registry.reproducing import (
        ListReproductions,
        ReproduceVersion,
        ReproductionList,
    )
    from sightloop.registry.reproductions import Reproduction
    from sightloop.training.reproducing.errors import BadChoice

    if show:
        listed = session.call(
            "models.reproductions", ListReproductions(version=version), ReproductionList
        )
        session.print(listed, views.reproductions)
        return
    if environment not in ("auto", "fresh", "this"):
        raise BadChoice(
            field="--environment", value=environment, problem="it must be auto, fresh or this"
        )
    if threads < 0:
        raise BadChoice(field="--threads", value=str(threads), problem="it must be 1 or more")
    request = ReproduceVersion(
        version=version,
        environment=environment,  # type: ignore[arg-type] # it was looked at
        keep_environment=keep_environment,
        remote=remote,
        code=code,
        threads=threads or None,
    )
    found = session.call("models.reproduce", request, Reproduction)
    session.print(found, views.reproduction)
    if found.verdict == "different":
        raise typer.Exit(1)
