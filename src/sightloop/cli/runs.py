"""`sightloop train` and `sightloop runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli import runs_others, runs_sync
from sightloop.cli.command import Session, command


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    command(app, "train")(train)
    runs = typer.Typer(help="Trainings and what was measured of them.", no_args_is_help=True)
    app.add_typer(runs, name="runs")
    command(runs, "list")(list_runs)
    command(runs, "show")(show)
    command(runs, "compare")(compare)
    command(runs, "log")(log)
    command(runs, "cancel")(cancel)
    runs_others.register(runs)
    runs_sync.register(runs)


def train(
    session: Session,
    *,
    ref: Annotated[str, typer.Option("--data", help="Branch or commit to train on.")] = "main",
    name: Annotated[str, typer.Option(help="Name of the run.")] = "run",
    experiment: Annotated[str, typer.Option(help="What runs are compared within.")] = "default",
    engine: Annotated[str, typer.Option(help="Which engine trains.")] = "yolo26",
    weights: Annotated[
        str, typer.Option(help="'starter', an architecture, a file, or run:ID.")
    ] = "starter",
    epochs: Annotated[int, typer.Option(help="How often each image is shown.")] = 20,
    image_size: Annotated[int, typer.Option(help="Square input size in pixels.")] = 640,
    batch: Annotated[int, typer.Option(help="Images per step.")] = 16,
    seed: Annotated[int, typer.Option(help="Equal seeds train equal models.")] = 0,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", help="An engine setting as NAME=VALUE; may be repeated."),
    ] = None,
) -> None:
    """Train on a commit, with everything recorded."""
    import msgspec

    from sightloop.cli.views import runs as views
    from sightloop.kernel.clock import SystemClock
    from sightloop.kernel.ids import TimeSortedIds
    from sightloop.tracking.values import Run
    from sightloop.training.requests import TrainRequest

    parameters = {}
    for text in parameter or []:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--set")
        try:
            parameters[key] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            parameters[key] = value  # a plain word needs no quotes
    request = TrainRequest(
        run=TimeSortedIds(SystemClock()).new("run"),
        experiment=experiment,
        name=name,
        dataset_commit=ref,
        engine=engine,
        weights=weights,
        epochs=epochs,
        image_size_px=image_size,
        batch_size=batch,
        seed=seed,
        parameters=parameters,
    )
    session.print(session.call("train", request, Run), views.run)


def list_runs(
    session: Session,
    *,
    experiment: Annotated[str, typer.Option(help="Only runs of this experiment.")] = "",
    filter_: Annotated[
        str,
        typer.Option("--filter", help='As on the Runs page: "metrics.loss < 0.1".'),
    ] = "",
    sort: Annotated[
        str, typer.Option(help="By what, as metrics.loss; -metrics.loss has the greatest first.")
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(help="Also show metrics.NAME, params.NAME or tags.NAME; may be repeated."),
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Runs that were deleted.")] = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 30,
) -> None:
    """Runs, newest first."""
    from sightloop.cli.views import runs as views
    from sightloop.tracking.browsing import MAX_ROWS, BrowseRuns, RunRow, RunRows
    from sightloop.tracking.run_columns import column_of, order_term

    columns = []
    for text in column or []:
        if (wanted := column_of(text)) is None:
            raise typer.BadParameter(
                f"{text!r} is no metrics.NAME, params.NAME or tags.NAME", param_hint="--column"
            )
        columns.append(wanted)
    rows: list[RunRow] = []
    token = ""
    while True:
        request = BrowseRuns(
            experiment=experiment or None,
            filter=filter_,
            order_by=[order_term(sort) or sort] if sort else [],
            columns=columns,
            is_deleted=deleted,
            limit=min(limit - len(rows), MAX_ROWS),
            token=token,
        )
        page = session.call("runs.browse", request, RunRows)
        rows += page.rows
        token = page.next_token
        if not token or len(rows) >= limit:
            break
    found = RunRows(rows=rows, next_token=token)
    is_narrowed = bool(experiment or filter_ or deleted)
    session.print(found, lambda _: views.runs(found, columns, is_narrowed=is_narrowed))


def show(session: Session, *, run: Annotated[str, typer.Argument(help="Id of the run.")]) -> None:
    """Everything about one run."""
    from sightloop.cli.views import runs as views
    from sightloop.tracking.services import RunFacts, ShowRun

    session.print(session.call("runs.show", ShowRun(run=run), RunFacts), views.run_facts)


def compare(
    session: Session, *, runs: Annotated[list[str], typer.Argument(help="Ids of two or more runs.")]
) -> None:
    """What went into runs differently, and what came out."""
    from sightloop.cli.views import runs as views
    from sightloop.tracking.services import RunFacts, ShowRun

    if len(set(runs)) < 2:
        raise typer.BadParameter("name two or more runs", param_hint="RUNS")
    found = [session.call("runs.show", ShowRun(run=run), RunFacts) for run in runs]
    session.print(found, views.comparison)


def log(
    session: Session,
    *,
    run: Annotated[str, typer.Argument(help="Id of the run.")],
    lines: Annotated[int, typer.Option(help="How many, counted from the end.", min=1)] = 200,
) -> None:
    """The last lines a run's engine printed."""
    from sightloop.cli.views import runs as views
    from sightloop.training.logs import LogTail, ShowLog

    found = session.call("runs.log", ShowLog(run=run, lines=min(lines, 2000)), LogTail)
    session.print(found, views.log_tail)


def cancel(session: Session, *, run: Annotated[str, typer.Argument(help="Id of the run.")]) -> None:
    """End a run's job; the run counts as cancelled."""
    from sightloop.server.operations import Done
    from sightloop.training.services import CancelRun

    session.call("runs.cancel", CancelRun(run=run), Done)
    session.print({"cancelled": run}, lambda _: f"{run} will end within seconds")
