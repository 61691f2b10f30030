"""`sightloop data import` and `export`: data sets in and out."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command
from sightloop.datasets.formats.names import READ, WRITTEN

_SOURCE = "A data set's folder, the file describing it, or a zip, tar or tar.gz of the folder."


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "import")(import_)
    command(data, "export")(export)


def import_(
    session: Session,
    *,
    source: Annotated[str, typer.Argument(help=_SOURCE)],
    format_: Annotated[
        str, typer.Option("--format", help=f"auto: told from its files; {', '.join(READ)}.")
    ] = "auto",
    branch: Annotated[str, typer.Option(help="Branch to commit to.")] = "main",
    message: Annotated[str, typer.Option("--message", "-m", help="What and why.")] = "",
    split_key: Annotated[str, typer.Option(help="Image field that keeps images together.")] = "",
    slice_field: Annotated[
        list[str] | None, typer.Option(help="Image field to keep as a slice; may be repeated.")
    ] = None,
    images: Annotated[str, typer.Option(help="Another image folder than the usual one.")] = "",
    ignore_splits: Annotated[
        bool, typer.Option(help="Deal images out anew, whatever split they come in.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="Import all or, with one problem, nothing.")] = False,
) -> None:
    """Import a data set as one commit.

    What can be imported is; what cannot is listed with file and line or index. Images keep their
    bytes and the splits that the data set gives them. Files are only read: nothing they name is
    fetched or run.
    """
    from pathlib import Path

    from sightloop.cli.views import data_files as views
    from sightloop.datasets.importing import ImportDataset, Imported

    root = Path(source).resolve()
    request = ImportDataset(
        source=str(root),
        format=format_,
        images=str(Path(images).resolve()) if images else "",
        branch=branch,
        message=message or f"Import {root.name}",
        split_key=split_key or None,
        slice_fields=slice_field or [],
        ignore_splits=ignore_splits,
        strict=strict,
    )
    imported = session.call("data.import", request, Imported)
    session.print(imported, views.imported)


def export(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch, commit, or the beginning of one.")],
    folder: Annotated[str, typer.Argument(help="A folder that is not there yet.")],
    format_: Annotated[str, typer.Option("--format", help=f"{', '.join(WRITTEN)}.")] = "coco",
) -> None:
    """Write a commit as a folder of another format, original bytes and all.

    What the format has no place for is counted.
    """
    from pathlib import Path

    from sightloop.cli.views import data_files as views
    from sightloop.datasets.exporting import ExportDataset, Exported

    request = ExportDataset(ref=ref, folder=str(Path(folder).resolve()), format=format_)
    exported = session.call("data.export", request, Exported)
    session.print(exported, views.exported)
