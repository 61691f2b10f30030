"""`sightloop runs sync`: what programs tracked while their server was away."""

from __future__ import annotations

import typer

from sightloop.cli.command import Session, command


def register(runs: typer.Typer) -> None:
    """Add the command to `sightloop runs`."""
    command(runs, "sync")(sync)


def sync(session: Session) -> None:
    """Forward runs that wait on this disk to their servers and workspaces.

    Every run is sent where its program meant it to go; --server and --workspace change nothing
    about that. Runs that are still being tracked are left alone.
    """
    import os
    import time

    from sightloop.cli.views.runs_sync import synced
    from sightloop.client.places import spool_folder
    from sightloop.client.syncing import sync_spools
    from sightloop.server.run_links import link_to
    from sightloop.wiring import open_workspace

    done = list(
        sync_spools(
            spool_folder(os.environ),
            lambda target: link_to(target, open_workspace),
            now_ms=time.time_ns() // 1_000_000,
        )
    )
    session.print(done, synced)
    if not all(one.is_done for one in done):
        raise typer.Exit(1)
