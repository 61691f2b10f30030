"""`sightloop runs import|export`: runs that others recorded, and runs as others read them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sightloop.cli.command import Session, command


def register(runs: typer.Typer) -> None:
    """Add the commands to `sightloop runs`."""
    command(runs, "import")(import_)
    command(runs, "export")(export)


def import_(
    session: Session,
    *,
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of TensorBoard logs or Ultralytics runs, MLflow's mlruns or mlflow.db."
        ),
    ],
    format_: Annotated[
        Literal["tensorboard", "mlruns", "mlflow", "ultralytics"] | None,
        typer.Option("--format", help="Default: what it looks like."),
    ] = None,
    experiment: Annotated[
        str,
        typer.Option(help="Where the runs go; default: MLflow's own, else the folder's name."),
    ] = "",
) -> None:
    """Import runs that others recorded; repeated, it adds what is new."""
    from sightloop.cli.views import runs_others as views
    from sightloop.tracking.importing.account import ImportedRuns, ImportRuns

    request = ImportRuns(path=str(path.resolve()), format=format_, experiment=experiment)
    session.print(session.call("runs.import", request, ImportedRuns), views.imported)


def export(
    session: Session,
    *,
    runs: Annotated[list[str], typer.Argument(help="Ids of runs.")],
    folder: Annotated[Path, typer.Argument(help="Where to; a folder for each run in it.")],
    format_: Annotated[
        Literal["tensorboard"], typer.Option("--format", help="For whom.")
    ] = "tensorboard",
) -> None:
    """Write runs as event files for `tensorboard --logdir FOLDER`."""
    from sightloop.cli.views import runs_others as views
    from sightloop.tracking.exporting import ExportedRuns, ExportRuns

    request = ExportRuns(runs=runs, folder=str(folder.resolve()), format=format_)
    session.print(session.call("runs.export", request, ExportedRuns), views.exported)
