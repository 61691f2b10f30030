"""What every command has: `--workspace`, `--server`, `--json`, one way to fail, one look."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from sightloop.kernel.config import CONFIG_NAME, STATE_FOLDER
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace
from sightloop.server.callers import Caller, LocalCaller, RemoteCaller, read_token

Result = TypeVar("Result")

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", help="The workspace's folder.", show_default="the one around")
]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        help="Address of a Sightloop server to work on instead of local files; its token comes "
        "from SIGHTLOOP_TOKEN.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON, nothing else.")]


@dataclass(slots=True)
class Session:
    """One run of one command: where it works and how it speaks."""

    root: Path
    server: str
    as_json: bool
    _caller: Caller | None = field(default=None)

    def workspace(self) -> Workspace:
        """The local workspace, for the few commands that only make sense on files."""
        from sightloop.wiring import open_workspace

        return open_workspace(self.root)

    def call(self, operation: str, request: msgspec.Struct, result: type[Result]) -> Result:
        """Run an operation, with a progress bar when it takes long and a person watches."""
        if self._caller is None:
            self._caller = self._choose_caller()
        with self.progress() as progress:
            return self._caller.call(operation, request, result, progress=progress)

    def print(self, value: Any, render: Callable[[Any], Any] | None = None) -> None:  # noqa: ANN401
        """Show the result: as JSON when asked, else as `render` draws it."""
        if self.as_json or render is None:
            text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
            sys.stdout.write(text + "\n")
        else:
            from sightloop.cli.render import console

            console().print(render(value))

    def _choose_caller(self) -> Caller:
        if self.server:
            return RemoteCaller(self.server, os.environ.get("SIGHTLOOP_TOKEN", ""))
        from sightloop.server.presence import running_server

        state = self.root / STATE_FOLDER
        if note := running_server(state):
            return RemoteCaller(note.url, read_token(state))
        return LocalCaller(self.workspace())

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Who is told how far the work is: bars, where a person watches."""
        if self.as_json or not sys.stderr.isatty():
            yield silent
            return
        from sightloop.cli.render import progress_bars

        with progress_bars() as progress:
            yield progress


Command = Callable[..., None]


def command(app: typer.Typer, name: str, *, inside: bool = True) -> Callable[[Command], Command]:
    """Register `function(session, ...)` as a command with the options every command has.

    Args:
        app: where it is registered.
        name: the word people type.
        inside: without --workspace, the workspace that one stands in, at any depth, is meant.
    """

    def register(function: Command) -> Command:
        @functools.wraps(function)
        def run(*, workspace: Path, server: str, as_json: bool, **arguments: Any) -> None:  # noqa: ANN401
            root = workspace_around(workspace) if inside and workspace == Path() else workspace
            session = Session(root, server, as_json)
            with reported(session):
                function(session, **arguments)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        everywhere = [
            _option("workspace", WorkspaceOption, Path()),
            _option("server", ServerOption, os.environ.get("SIGHTLOOP_SERVER", "")),
            _option("as_json", JsonOption, False),
        ]
        keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        run.__signature__ = inspect.Signature(keyword_only + everywhere)  # type: ignore[attr-defined]
        app.command(name)(run)
        return function

    return register


def workspace_around(folder: Path) -> Path:
    """The nearest folder that is a workspace, from this one upwards; itself if none is."""
    start = folder.resolve()
    for one in (start, *start.parents):
        if (one / CONFIG_NAME).is_file():
            return folder if one == start else one
    return folder


@contextmanager
def reported(session: Session) -> Iterator[None]:
    """Turn our errors into one message and exit code 1; a bug keeps its traceback."""
    try:
        yield
    except SightloopError as error:
        if session.as_json:
            body = {"code": error.code, "message": error.message, "facts": error.facts}
            sys.stdout.write(json.dumps({"error": body}) + "\n")
        else:
            from sightloop.cli.render import error_console

            error_console().print(f"[bold red]error[/] [dim]{error.code}[/] ", end="")
            # Soft: a terminal wraps it, but a path that is copied or piped stays in one piece.
            error_console().print(error.message, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise typer.Exit(1) from None


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:  # noqa: ANN401
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
