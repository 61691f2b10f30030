"""`sightloop`: the tree of commands. Bodies import what they need, so that help comes at once."""

from __future__ import annotations

import typer

from sightloop import __version__
from sightloop.cli import (
    access,
    agent,
    data,
    fleet,
    fleet_updates,
    loop,
    models,
    models_reproducing,
    notify,
    review,
    runs,
    sweeps,
    workspace,
)

app = typer.Typer(
    name="sightloop",
    help="Keeps vision models right after they ship.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # its panels would take 0.4 s to load
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sightloop {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_version, is_eager=True
    ),
) -> None:
    """Version images and boxes, train, prove, release, watch, label, retrain."""


workspace.register(app)
data.register(app)
runs.register(app)
sweeps.register(app)
models.register(app)
models_reproducing.register(app)
fleet.register(app)
fleet_updates.register(app)
review.register(app)
loop.register(app)
notify.register(app)
access.register(app)
agent.register(app)


def main() -> None:
    """Run the command line; the console script's entry point."""
    app()


if __name__ == "__main__":
    main()
