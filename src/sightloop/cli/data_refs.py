"""`sightloop data branch`, `tag`, `refs`: names for commits, and where they have been."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "branch")(branch)
    command(data, "tag")(tag)
    command(data, "reflog")(reflog)


def branch(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(help="Name of a new branch; none lists them.")] = "",
    at: Annotated[str, typer.Option(help="Where it begins.")] = "main",
    delete: Annotated[str, typer.Option(help="Take this branch away; commits stay.")] = "",
    move: Annotated[
        tuple[str, str], typer.Option(help="Give a branch a new name.", metavar="OLD NEW")
    ] = ("", ""),
) -> None:
    """List branches, make one, rename one, or take one away."""
    from sightloop.cli.views import data_refs as views
    from sightloop.datasets.branches import CreateBranch, DeleteBranch, RenameBranch
    from sightloop.datasets.store import Ref
    from sightloop.server.operations import Nothing

    if delete:
        gone = session.call("data.branch_delete", DeleteBranch(name=delete), Ref)
        session.print(gone, views.deleted)
        return
    if move[0]:
        request = RenameBranch(name=move[0], new_name=move[1])
        session.call("data.branch_rename", request, Ref)
    elif name:
        session.call("data.branch", CreateBranch(name=name, at=at), Ref)
    session.print(session.call("data.branches", Nothing(), list[Ref]), views.branches)


def tag(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(help="Name of a new tag; none lists them.")] = "",
    ref: Annotated[str, typer.Argument(help="Branch or commit to name.")] = "main",
    delete: Annotated[str, typer.Option(help="Take this tag away; its commit stays.")] = "",
) -> None:
    """List tags, name a commit for good, or take a tag away."""
    from sightloop.cli.views import data_refs as views
    from sightloop.datasets.store import Ref
    from sightloop.datasets.tags import CreateTag, DeleteTag, ListTags

    if delete:
        gone = session.call("data.tag_delete", DeleteTag(name=delete), Ref)
        session.print(gone, views.deleted)
        return
    if name:
        session.call("data.tag", CreateTag(name=name, at=ref), Ref)
    session.print(session.call("data.tags", ListTags(), list[Ref]), views.tags)


def reflog(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(help="A branch, also one that is gone.")] = "main",
    tag: Annotated[bool, typer.Option("--tag", help="It is the name of a tag.")] = False,
    limit: Annotated[int, typer.Option(help="How many moves.")] = 20,
) -> None:
    """Where a branch or tag has been, the latest move first."""
    from sightloop.cli.views import data_refs as views
    from sightloop.datasets.branches import ListMoves
    from sightloop.datasets.store import RefMove

    request = ListMoves(name=name, kind="tag" if tag else "branch", limit=limit)
    session.print(session.call("data.ref_log", request, list[RefMove]), views.moves)
