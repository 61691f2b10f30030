"""Commands about folders on disk: status, commit, checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sightloop.cli.command import Session, command

if TYPE_CHECKING:
    from sightloop.datasets.working_copies.status import CopyStatus


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "status")(status)
    command(data, "commit")(commit)
    command(data, "checkout")(checkout)


FolderArgument = Annotated[
    str, typer.Argument(help="A working copy; the one you stand in, or the only one, if left out.")
]


def status(session: Session, *, folder: FolderArgument = "") -> None:
    """What a working copy's next commit would hold, and where its branch is."""
    from sightloop.cli.views import data_copies as views

    session.print(_status(session, folder), views.status)


def commit(
    session: Session,
    *,
    folder: FolderArgument = "",
    message: Annotated[str, typer.Option("--message", "-m", help="What and why.")] = "",
    branch: Annotated[
        str, typer.Option(help="Another branch than the copy's; begun here if there is none.")
    ] = "",
    strict: Annotated[bool, typer.Option(help="Commit all or, with one problem, nothing.")] = False,
) -> None:
    """Commit exactly what `data status` shows."""
    from sightloop.cli.views import data_copies as views
    from sightloop.datasets.working_copies.committing import CommitCopy, CommittedCopy

    request = CommitCopy(
        folder=_named_or_here(session, folder), message=message, branch=branch, strict=strict
    )
    session.print(session.call("data.commit_folder", request, CommittedCopy), views.committed)


def checkout(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch, tag, commit, or the beginning of one.")],
    folder: Annotated[str, typer.Argument(help="A new folder, or a working copy to switch.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="sightloop (a label file beside each image), images, coco, yolo, ..."
        ),
    ] = "",
    class_name: Annotated[str, typer.Option("--class", help="Samples with this class.")] = "",
    split: Annotated[str, typer.Option(help="train, val, test, audit or quarantined.")] = "",
    slice_: Annotated[
        list[str] | None, typer.Option("--slice", help="FIELD=VALUE; may be repeated.")
    ] = None,
    tag: Annotated[str, typer.Option(help="Samples with this tag.")] = "",
    lane: Annotated[str, typer.Option(help="Samples of this lane, or none.")] = "",
    everything: Annotated[
        bool, typer.Option("--everything", help="Make a sparse copy full.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Give up local changes.")] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Read-only hard links instead of copies.")
    ] = False,
) -> None:
    """Make a folder the copy of a commit, or of the samples that a query fits.

    Writes only what differs; files that nobody tracks stay.
    """
    from pathlib import Path

    from sightloop.cli.views import data_copies as views
    from sightloop.datasets.working_copies.checkout import CheckedOut, CheckoutCopy

    request = CheckoutCopy(
        ref=ref,
        folder=str(Path(folder).resolve()),
        format=format_,
        class_name=class_name,
        split=split,
        slices=slice_ or [],
        tag=tag,
        lane=lane,
        everything=everything,
        force=force,
        link=link,
    )
    session.print(session.call("data.checkout", request, CheckedOut), views.checked_out)


def _status(session: Session, folder: str) -> CopyStatus:
    """Without the database layer where that is possible: it takes longer to load than a status."""
    from sightloop.datasets.working_copies.quick_status import quick_status
    from sightloop.datasets.working_copies.status import CopyStatus

    named = _named_or_here(session, folder)
    if not session.server and (found := quick_status(session.root, named)) is not None:
        return found
    from sightloop.datasets.working_copies.showing import ShowStatus

    return session.call("data.status", ShowStatus(folder=named), CopyStatus)


def _named_or_here(session: Session, folder: str) -> str:
    """The folder as an absolute path: the named one, or the one we stand in if it is a copy."""
    from pathlib import Path

    from sightloop.datasets.working_copies.copies import is_in_copy
    from sightloop.kernel.config import STATE_FOLDER

    if folder:
        return str(Path(folder).resolve())
    here = str(Path.cwd())
    return here if is_in_copy(session.root / STATE_FOLDER, here) else ""
