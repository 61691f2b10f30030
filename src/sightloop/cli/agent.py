"""`sightloop agent`: what is done on the device itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightloop.cli.command import Session, command

HomeOption = Annotated[Path, typer.Option("--home", help="The folder that is this device.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    app.command(
        "agent",
        help="Run the agent on this device, or launch, update or tune it.",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )(agent)


def agent(context: typer.Context) -> None:
    """Hand the rest of the line to the agent, which needs nothing of the server's side."""
    if context.args[:1] == ["tune"]:
        tuning = typer.Typer(add_completion=False, rich_markup_mode=None)
        command(tuning, "tune")(tune)
        tuning(context.args[1:], prog_name="sightloop agent tune")
    from sightloop.device.__main__ import main

    raise typer.Exit(main(context.args))


def tune(
    session: Session,
    *,
    home: HomeOption,
    slot: Annotated[str, typer.Option(help="Which model's place to tune.")] = "main",
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="onnxruntime, openvino, cuda, tensorrt; may be repeated."),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32 or int8; may be repeated.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Threads of one worker; may be repeated.")
    ] = None,
    images: Annotated[
        str, typer.Option(help="Folder of audit images that scale int8 builds.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each is measured.")] = 3,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="How long, each time, in seconds.")
    ] = 2.0,
    keep: Annotated[bool, typer.Option(help="Use the fastest that is gated from now on.")] = True,
) -> None:
    """Measure every way to run the deployed bundle here; keep the fastest that was gated."""
    import msgspec

    from sightloop.cli.views import tuning as views
    from sightloop.device.errors import BadSetting
    from sightloop.device.settings import settings_for
    from sightloop.device.tune import TuneRequest, tune
    from sightloop.kernel.clock import SystemClock

    given = {
        "slot": slot,
        "runtimes": runtime or [],
        "precisions": precision or [],
        "threads": threads or [],
        "images": images,
        "rounds": rounds,
        "seconds": seconds,
        "is_kept": keep,
    }
    try:
        request = msgspec.convert(given, TuneRequest)
    except msgspec.ValidationError as error:
        raise BadSetting(setting="agent tune", value=str(given), problem=str(error)) from error
    folder = home.absolute()
    with session.progress() as progress:
        settings = settings_for(folder, {})
        result = tune(folder, settings, request, clock=SystemClock(), progress=progress)
    session.print(result, views.tuned)
