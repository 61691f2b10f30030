"""`sightloop data classes`: what is told apart on images, and how that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sightloop.cli.command import Session, command

if TYPE_CHECKING:
    from sightloop.datasets.taxonomy_edits import ClassEdit


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "classes")(classes)


def classes(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch (or commit, to look at).")] = "main",
    add: Annotated[str, typer.Option(help="A new class.", metavar="NAME")] = "",
    rename: Annotated[str, typer.Option(help="Another name for A.", metavar="A=B")] = "",
    merge: Annotated[str, typer.Option(help="A and B become C.", metavar="A,B=C")] = "",
    split: Annotated[
        str, typer.Option(help="A becomes A1 and A2, as --by says.", metavar="A=A1,A2")
    ] = "",
    by: Annotated[str, typer.Option(help="The attribute whose value names the new class.")] = "",
    remove: Annotated[str, typer.Option(help="Take a class without annotations away.")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="What and why.")] = "",
) -> None:
    """List the classes of a commit, or change those of a branch and relabel its samples."""
    from sightloop.cli.views import data_classes as views
    from sightloop.datasets.classes import Classes, EditClasses, EditedClasses, ListClasses

    asked = {"add": add, "rename": rename, "merge": merge, "split": split, "remove": remove}
    given = [name for name, value in asked.items() if value]
    if len(given) > 1:
        raise typer.BadParameter("one change at a time", param_hint=f"--{given[1]}")
    if not given:
        session.print(session.call("data.classes", ListClasses(ref=ref), Classes), views.classes)
        return
    edit = _edit(given[0], asked[given[0]], by)
    request = EditClasses(branch=ref, edit=edit, message=message)
    session.print(session.call("data.classes_edit", request, EditedClasses), views.edited)


def _edit(kind: str, text: str, by: str) -> ClassEdit:
    from sightloop.datasets.taxonomy_edits import (
        AddClass,
        MergeClasses,
        RemoveClass,
        RenameClass,
        SplitClass,
    )

    if kind == "add":
        return AddClass(text)
    if kind == "remove":
        return RemoveClass(text)
    old, equals, new = (one.strip() for one in text.partition("="))
    if not (old and equals and new):
        raise typer.BadParameter(f"{text!r} has no two sides of an '='", param_hint=f"--{kind}")
    if kind == "rename":
        return RenameClass(old, new)
    if kind == "merge":
        return MergeClasses(_names(old), new)
    return SplitClass(old, _names(new), by)


def _names(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]
