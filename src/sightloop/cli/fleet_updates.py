"""`sightloop fleet`: what devices trust, and how updates reach those without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    fleet = typer.Typer(help="Keys and updates of the whole fleet.", no_args_is_help=True)
    app.add_typer(fleet, name="fleet")
    command(fleet, "release-agent")(release_agent)
    command(fleet, "update-agents")(update_agents)
    command(fleet, "export-usb")(export_usb)
    command(fleet, "rotate-key")(rotate_key)


def export_usb(
    session: Session,
    *,
    folder: Annotated[Path, typer.Argument(help="An empty folder, on a stick say.")],
    device: Annotated[
        list[str] | None, typer.Option(help="Id or name; may be repeated. All unless given.")
    ] = None,
) -> None:
    """Write what devices are assigned into a folder, for `sightloop agent update --from`."""
    from datetime import UTC, datetime

    from sightloop.contracts.update_folder import UpdateFolder
    from sightloop.fleet.exporting import ExportUpdates, export_updates
    from sightloop.kernel.actors import LOCAL
    from sightloop.kernel.workspace import Call

    request = ExportUpdates(folder=str(folder.absolute()), devices=device or [])
    # On the workspace's own files, because the folder is on this machine.
    note = export_updates(session.workspace(), Call(LOCAL), request)

    def shown(one: UpdateFolder) -> str:
        until = datetime.fromtimestamp(one.usable_until_ms / 1000, tz=UTC)
        size_mb = one.size_bytes / 1e6
        return (
            f"{len(one.devices)} devices, {one.n_bundles} bundles, {size_mb:.1f} MB; "
            f"devices take it until {until:%Y-%m-%d %H:%M} UTC"
        )

    session.print(note, shown)


def rotate_key(
    session: Session,
    *,
    role: Annotated[
        str,
        typer.Argument(help="root, targets, snapshot, timestamp, assignments or owner-MODEL."),
    ],
    keys: Annotated[int, typer.Option(help="For root: how many keys from now on.")] = 1,
    threshold: Annotated[int, typer.Option(help="For root: how many of them must sign.")] = 1,
) -> None:
    """Give a role another key; devices follow, and the old key is worth nothing."""
    from sightloop.fleet.rotation import KeyRotated, RotateKey

    request = RotateKey(role=role, n_keys=keys, threshold=threshold)
    done = session.call("keys.rotate", request, KeyRotated)
    ids = ", ".join(key[:12] for key in done.key_ids)
    again = f"; {done.n_assignments} assignments signed again" if done.n_assignments else ""
    session.print(done, lambda one: f"{one.role} is now {ids}{again}")


def release_agent(
    session: Session,
    *,
    version: Annotated[str, typer.Argument(help="As the agent calls itself.")],
    wheel: Annotated[list[Path], typer.Option(help="A wheel of it; may be repeated.")],
) -> None:
    """Sign wheels as the next release of the agent; no device runs it yet."""
    from sightloop.fleet.agent_releases import AgentReleased, ReleaseAgent

    request = ReleaseAgent(version=version, wheels=[str(path.absolute()) for path in wheel])
    done = session.call("agents.release", request, AgentReleased)
    session.print(done, lambda one: f"agent release {one.number} is {one.version}, {one.digest}")


def update_agents(
    session: Session,
    *,
    number: Annotated[int, typer.Argument(help="Of the release.")],
    ring: Annotated[str | None, typer.Option(help="Only devices of this ring.")] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be repeated.")
    ] = None,
) -> None:
    """Let devices replace their agent by a release; those whose new agent fails keep the old."""
    from sightloop.fleet.agent_releases import AgentAssigned, AssignAgent

    request = AssignAgent(number=number, ring=ring, devices=device or [])
    done = session.call("agents.assign", request, AgentAssigned)
    session.print(done, lambda one: f"release {one.number} is for {len(one.devices)} devices")
