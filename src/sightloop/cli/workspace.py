"""Commands about a workspace as a whole: init, up, worker, doctor, demo."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    command(app, "init", inside=False)(init)
    command(app, "up")(up)
    command(app, "worker")(worker)
    command(app, "doctor")(doctor)
    command(app, "demo", inside=False)(demo)


def init(session: Session) -> None:
    """Make a workspace in this folder.

    Settings, database, keys and a token; repeating it completes what is missing.
    """
    from sightloop.wiring import create_workspace, ensure_token

    workspace = create_workspace(session.root)
    ensure_token(workspace)
    session.print(
        {"workspace": str(workspace.root)},
        lambda facts: f"workspace ready in [bold]{facts['workspace']}[/]",
    )


def up(
    session: Session,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "",
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.")] = -1,
    worker: Annotated[bool, typer.Option(help="Also run a worker.")] = True,
) -> None:
    """Serve the workspace, and run a worker beside it."""
    from sightloop.server.control import listen, serve
    from sightloop.wiring import create_workspace, ensure_token

    workspace = create_workspace(session.root)
    token = ensure_token(workspace)
    settings = workspace.config.server
    listener = listen(host or settings.host, settings.port if port < 0 else port)

    def ready(url: str) -> None:
        session.print(
            {"url": url, "token_file": str(workspace.state / "token")},
            lambda facts: (
                f"Sightloop answers at [bold]{facts['url']}[/]\n"
                f"token: {token}\n"
                f"[dim]it is kept in {facts['token_file']}[/]"
            ),
        )
        sys.stdout.flush()

    _log_to_stderr()
    serve(workspace, listener, worker=worker, ready=ready)


def worker(session: Session) -> None:
    """Run steps and answer events until interrupted.

    Several workers may share a workspace.
    """
    from sightloop.loop.worker import RENEW_AFTER_S, run_worker

    stopping, asked = threading.Event(), threading.Event()

    def ask_to_stop(*_: object) -> None:
        # First of all: a second signal would find the event's own lock taken, and wait for ever.
        _handle_stop_signals(signal.SIG_IGN)
        asked.set()
        stopping.set()

    _handle_stop_signals(ask_to_stop)
    _log_to_stderr()
    is_renewed = run_worker(session.workspace(), stopping=stopping, renew_after_s=RENEW_AFTER_S)
    _handle_stop_signals(signal.SIG_DFL)
    if is_renewed and not asked.is_set():
        # The same process, so whoever watches over it sees no end; only its memory is new.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _handle_stop_signals(handler: Callable[..., None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def doctor(session: Session) -> None:
    """Check settings, audit log, keys, engines and disk."""
    from sightloop.cli import render
    from sightloop.kernel.actors import LOCAL
    from sightloop.kernel.workspace import Call
    from sightloop.server.checkup import CheckWorkspace, check_workspace

    # On the files even while a server runs: it may be the server that is not well.
    findings = check_workspace(session.workspace(), Call(LOCAL), CheckWorkspace()).findings
    session.print(
        findings,
        lambda found: render.table(
            ("check", "", "finding"),
            [(one.name, render.verdict(one.is_well), one.finding) for one in found],
            empty="nothing to check",
        ),
    )
    if not all(one.is_well for one in findings):
        raise typer.Exit(1)


def demo(
    session: Session,
    *,
    data: Annotated[str, typer.Option(help="A COCO folder to replay; else images are drawn.")] = "",
    split_key: Annotated[str, typer.Option(help="Image field that keeps images together.")] = "",
    slice_field: Annotated[str, typer.Option(help="Image field that tells product lines.")] = "",
    start_slices: Annotated[str, typer.Option(help="Lines there are at first, by commas.")] = "",
    new_slice: Annotated[str, typer.Option(help="The line that arrives later.")] = "",
    out: Annotated[Path, typer.Option(help="Where report and workspace go.")] = Path(
        "sightloop-demo"
    ),
    seed: Annotated[int, typer.Option(help="Draws other images.")] = 7,
) -> None:
    """Turn the whole loop once and report on it.

    Real processes, real training; exits with 1 when a promise was not kept.
    """
    from sightloop.demo.director import DemoRequest, run_demo

    request = DemoRequest(
        data=data,
        split_key=split_key,
        slice_field=slice_field,
        start_slices=[name for name in start_slices.split(",") if name],
        new_slice=new_slice,
        out=str(out),
        seed=seed,
    )
    kept = run_demo(request, as_json=session.as_json)
    raise typer.Exit(0 if kept else 1)


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s"
    )
