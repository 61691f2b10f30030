"""`sightloop sweep`: many trainings that search for the settings which do best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightloop.cli.command import Session, command

if TYPE_CHECKING:
    import threading

SweepId = Annotated[str, typer.Argument(help="Id of the sweep.")]
MAX_WORKERS = 64


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    sweeps = typer.Typer(help="Search for the settings that do best.", no_args_is_help=True)
    app.add_typer(sweeps, name="sweep")
    command(sweeps, "start")(start)
    command(sweeps, "run")(run)
    command(sweeps, "list")(list_sweeps)
    command(sweeps, "show")(show)
    command(sweeps, "stop")(stop)
    command(sweeps, "resume")(resume)
    command(sweeps, "best")(best)


def start(
    session: Session,
    *,
    file: Annotated[
        str, typer.Argument(help="sweep.yaml; without one, the options say everything.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the sweep.")] = "",
    ref: Annotated[str, typer.Option("--data", help="Branch or commit to train on.")] = "",
    engine: Annotated[str, typer.Option(help="Which engine trains.")] = "",
    epochs: Annotated[int | None, typer.Option(help="Epochs of each trial.")] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting to vary, as NAME='{type: float, low: 1e-4, high: 0.1, log: true}'; "
            "may be repeated."
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="An engine setting that is fixed, as NAME=VALUE; may be repeated."
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="A metric and what is wanted of it, as METRIC=maximize; may be repeated."
        ),
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe, random or grid.")] = "",
    trials: Annotated[int | None, typer.Option(help="How many trials in all.")] = None,
    time_limit_s: Annotated[
        float | None, typer.Option(help="Seconds in all; 0 means no limit.")
    ] = None,
    parallel: Annotated[int | None, typer.Option(help="How many trials at a time.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds search alike.")] = None,
) -> None:
    """Begin a sweep. Workers make its trials: `sightloop worker`, or `sightloop sweep run`."""
    from sightloop.cli.views import sweeps as views
    from sightloop.kernel.clock import SystemClock
    from sightloop.kernel.ids import TimeSortedIds
    from sightloop.training.sweeps.services import StartSweep
    from sightloop.training.sweeps.values import Sweep

    flags: dict[str, Any] = {
        field: value
        for field, value in (
            ("name", name),
            ("data", ref),
            ("engine", engine),
            ("epochs", epochs),
            ("space", _pairs("--search", search)),
            ("fixed", _pairs("--set", parameter)),
            ("objectives", _objectives(objective)),
            ("sampler", sampler),
            ("trials", trials),
            ("time_limit_s", time_limit_s),
            ("parallel", parallel),
            ("seed", seed),
        )
        if value not in (None, "", {}, [])
    }
    request = StartSweep(
        sweep=TimeSortedIds(SystemClock()).new("sweep"),
        text=_read(file) if file else "",
        where=file or "sweep",
        flags=flags,
    )
    session.print(session.call("sweep.start", request, Sweep), views.started)


def run(
    session: Session,
    *,
    sweep: SweepId,
    workers: Annotated[
        int, typer.Option(help="Processes that make trials.", min=1, max=MAX_WORKERS)
    ] = 1,
) -> None:
    """Make trials on this machine until the sweep is over; may run several times at once.

    Ending it loses nothing: what was under way is taken up by the next worker.
    """
    import threading

    from sightloop.cli.views import sweeps as views
    from sightloop.kernel.actors import LOCAL
    from sightloop.kernel.workspace import Call
    from sightloop.training.sweeps.services import ShowSweep, show_sweep
    from sightloop.training.sweeps.working import work_on_sweep

    stopping = threading.Event()
    _stop_when_asked(stopping)
    workspace = session.workspace()
    show_sweep(workspace, Call(LOCAL), ShowSweep(sweep=sweep))  # before anything is started
    others = [_another_worker(session, sweep) for _ in range(workers - 1)]
    try:
        work_on_sweep(workspace, sweep, stopping=stopping)
    finally:
        for other in others:
            if stopping.is_set():
                other.terminate()
            other.wait()
    session.print(show_sweep(workspace, Call(LOCAL), ShowSweep(sweep=sweep)), views.sweep)


def list_sweeps(
    session: Session, *, limit: Annotated[int, typer.Option(help="How many.", min=1)] = 30
) -> None:
    """Sweeps, newest first."""
    from sightloop.cli.views import sweeps as views
    from sightloop.training.sweeps.services import ListSweeps, SweepList

    session.print(session.call("sweep.list", ListSweeps(limit=limit), SweepList), views.sweeps)


def show(session: Session, *, sweep: SweepId) -> None:
    """Trials, the best of them, and which settings matter."""
    from sightloop.cli.views import sweeps as views
    from sightloop.training.sweeps.results import SweepFacts
    from sightloop.training.sweeps.services import ShowSweep

    session.print(session.call("sweep.show", ShowSweep(sweep=sweep), SweepFacts), views.sweep)


def stop(
    session: Session,
    *,
    sweep: SweepId,
    reason: Annotated[str, typer.Option(help="Why.")] = "asked for by a person",
) -> None:
    """Begin nothing new and end what is under way; `resume` goes on."""
    from sightloop.training.sweeps.services import StopSweep
    from sightloop.training.sweeps.values import Sweep

    stopped = session.call("sweep.stop", StopSweep(sweep=sweep, reason=reason), Sweep)
    session.print(stopped, lambda one: f"{one.id} is stopped; its trials end within seconds")


def resume(
    session: Session,
    *,
    sweep: SweepId,
    trials: Annotated[int | None, typer.Option(help="How many trials in all from now on.")] = None,
    time_limit_s: Annotated[
        float | None, typer.Option(help="Seconds in all; 0 means no limit.")
    ] = None,
    parallel: Annotated[int | None, typer.Option(help="How many trials at a time.")] = None,
) -> None:
    """Go on with a sweep that was stopped or is over, or change one that is running."""
    from sightloop.cli.views import sweeps as views
    from sightloop.training.sweeps.services import ResumeSweep
    from sightloop.training.sweeps.values import Sweep

    request = ResumeSweep(sweep=sweep, trials=trials, time_limit_s=time_limit_s, parallel=parallel)
    session.print(session.call("sweep.resume", request, Sweep), views.started)


def best(
    session: Session,
    *,
    sweep: SweepId,
    register_as: Annotated[
        str,
        typer.Option("--register", help="Make the best trial's model the next version of this."),
    ] = "",
    trial: Annotated[
        int | None, typer.Option(help="Which of the best; the first unless given.")
    ] = None,
) -> None:
    """The best trials; with --register, hand one over to the models."""
    from sightloop.cli.views import sweeps as views
    from sightloop.registry.origins import PackageRun
    from sightloop.registry.values import ModelVersion
    from sightloop.training.sweeps.services import BestTrials, ShowSweep

    found = session.call("sweep.best", ShowSweep(sweep=sweep), BestTrials)
    if not register_as:
        session.print(found, views.best)
        return
    chosen = _chosen(found, trial)
    request = PackageRun(model=register_as, run=chosen)
    made = session.call("models.package", request, ModelVersion)
    session.print(made, lambda one: f"{one.model}@{one.number}  bundle {one.bundle}")


def _chosen(found: Any, trial: int | None) -> str:  # noqa: ANN401 - BestTrials, which help must not load
    from sightloop.kernel.errors import NotFound

    runs = {one.number: one.run for one in found.trials}
    number = next(iter(runs)) if trial is None else trial
    if number not in runs:
        there = ", ".join(map(str, runs))
        raise NotFound(what="best trial", name=str(number), hint=f"the best are: {there}")
    return str(runs[number])


def _pairs(option: str, texts: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE, where the value is YAML."""
    from sightloop.training.sweeps.errors import BadSweep
    from sightloop.training.sweeps.places import read_yaml

    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        read, problem = read_yaml(value)
        if not equals or not name or problem is not None:
            why = problem.why if problem and equals else "it must be NAME=VALUE"
            raise BadSweep(field=option, value=text, problem=why, where="the command's options")
        pairs[name] = read
    return pairs


def _objectives(texts: list[str] | None) -> list[dict[str, str]]:
    pairs = []
    for text in texts or []:
        metric, equals, direction = text.rpartition("=")
        pairs.append({"metric": metric, "direction": direction} if equals else {"metric": text})
    return pairs


def _read(file: str) -> str:
    from pathlib import Path

    from sightloop.kernel.errors import NotFound
    from sightloop.training.sweeps.errors import BadSweep

    try:
        return Path(file).read_bytes().decode()
    except OSError as error:
        raise NotFound(what="sweep file", name=file, hint=str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise BadSweep(field="", value="", problem=f"not UTF-8: {error}", where=file) from error


def _another_worker(session: Session, sweep: str) -> Any:  # noqa: ANN401 - a Popen
    import subprocess
    import sys

    words = ["sweep", "run", sweep, "--workspace", str(session.root), "--json"]
    command_line = [sys.executable, "-m", "sightloop.cli.main", *words]
    return subprocess.Popen(command_line, stdout=subprocess.DEVNULL)


def _stop_when_asked(stopping: threading.Event) -> None:
    import signal

    def ask_to_stop(*_: object) -> None:
        # First of all: a second signal would find the event's own lock taken, and wait for ever.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
