"""`sightloop data import` and `export`: COCO folders in and out."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "import")(import_coco)
    command(data, "export")(export_coco)


def import_coco(
    session: Session,
    *,
    folder: Annotated[str, typer.Argument(help="A COCO folder: annotations.json and images/.")],
    branch: Annotated[str, typer.Option(help="Branch to commit to.")] = "main",
    message: Annotated[str, typer.Option("--message", "-m", help="What and why.")] = "",
    split_key: Annotated[str, typer.Option(help="Image field that keeps images together.")] = "",
    slice_field: Annotated[
        list[str] | None, typer.Option(help="Image field to keep as a slice; may be repeated.")
    ] = None,
    annotations: Annotated[str, typer.Option(help="Another file than annotations.json.")] = "",
    images: Annotated[str, typer.Option(help="Another folder than images/.")] = "",
    skip_bad: Annotated[bool, typer.Option(help="Import what can be, list the rest.")] = False,
) -> None:
    """Import a COCO folder as one commit. Original files are only read."""
    from pathlib import Path

    from sightloop.cli.views import data_coco as views
    from sightloop.datasets.coco_import import ImportCoco, Imported

    root = Path(folder).resolve()
    request = ImportCoco(
        annotations=str(Path(annotations).resolve() if annotations else root / "annotations.json"),
        images=str(Path(images).resolve() if images else root / "images"),
        branch=branch,
        message=message or f"Import {root.name}",
        split_key=split_key or None,
        slice_fields=slice_field or [],
        skip_bad=skip_bad,
    )
    imported = session.call("data.import", request, Imported)
    session.print(imported, views.imported)


def export_coco(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch, commit, or the beginning of one.")],
    folder: Annotated[str, typer.Argument(help="A folder that is not there yet.")],
) -> None:
    """Write a commit as a COCO folder, original bytes and all."""
    from pathlib import Path

    from sightloop.cli.views import data_coco as views
    from sightloop.datasets.coco_export import ExportCoco, Exported

    request = ExportCoco(ref=ref, folder=str(Path(folder).resolve()))
    exported = session.call("data.export", request, Exported)
    session.print(exported, views.exported)
