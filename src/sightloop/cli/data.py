"""`sightloop data`: versions of images and boxes."""

from __future__ import annotations

import typer

from sightloop.cli import (
    data_classes,
    data_copies,
    data_curation,
    data_files,
    data_history,
    data_merging,
    data_refs,
    data_remotes,
    data_samples,
    data_upkeep,
)

PARTS = (
    data_files,
    data_copies,
    data_history,
    data_refs,
    data_merging,
    data_classes,
    data_remotes,
    data_samples,
    data_curation,
    data_upkeep,
)
"""Where the commands are: each has a `register`, and its views in `views/` under its name."""


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    data = typer.Typer(help="Versions of images and of every box on them.", no_args_is_help=True)
    app.add_typer(data, name="data")
    for part in PARTS:
        part.register(data)
