"""`sightloop devices` and `sightloop rollout`."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command
from sightloop.cli.versions import named_version

RolloutId = Annotated[str, typer.Argument(help="Id of the rollout; none takes the latest.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    devices = typer.Typer(help="Machines that run models.", no_args_is_help=True)
    app.add_typer(devices, name="devices")
    command(devices, "list")(list_devices)
    command(devices, "show")(show_device)
    command(devices, "enroll")(enroll)
    command(devices, "remove")(remove)
    rollout = typer.Typer(help="Releases going through the rings.", no_args_is_help=True)
    app.add_typer(rollout, name="rollout")
    command(rollout, "start")(start)
    command(rollout, "status")(status)
    command(rollout, "pause")(pause)
    command(rollout, "resume")(resume)
    command(rollout, "abort")(abort)


def list_devices(session: Session) -> None:
    """Every device, what it runs and when it last came by."""
    from sightloop.cli.views import fleet as views
    from sightloop.fleet.devices import DeviceList, ListDevices

    session.print(session.call("devices.list", ListDevices(), DeviceList), views.devices)


def show_device(
    session: Session, *, device: Annotated[str, typer.Argument(help="Id or name.")]
) -> None:
    """Everything about one device."""
    from sightloop.cli.views import fleet as views
    from sightloop.fleet.devices import DeviceFacts, ShowDevice

    session.print(
        session.call("devices.show", ShowDevice(device=device), DeviceFacts), views.device
    )


def enroll(
    session: Session,
    *,
    model: Annotated[str, typer.Option(help="Model its slot 'main' shall run.")],
    ring: Annotated[str, typer.Option(help="Ring it gets releases with.")] = "fleet",
    site: Annotated[str, typer.Option(help="Where it stands.")] = "",
    name: Annotated[str, typer.Option(help="Its name; else it says its own.")] = "",
) -> None:
    """A token with which one device may enrol, once."""
    from sightloop.fleet.enrolment import CreateEnrolment, EnrolmentToken

    request = CreateEnrolment(name=name or None, ring=ring, site=site, slots={"main": model})
    made = session.call("devices.enroll", request, EnrolmentToken)
    session.print(made, lambda one: f"one-time token: {one.token}")


def remove(
    session: Session,
    *,
    device: Annotated[str, typer.Argument(help="Id or name.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Take a device out of the fleet: its token ends, its history stays."""
    from sightloop.fleet.removal import RemoveDevice
    from sightloop.fleet.removed_store import RemovedDevice

    request = RemoveDevice(device=device, reason=reason)
    done = session.call("devices.remove", request, RemovedDevice)
    session.print(done, lambda one: f"{one.name} ({one.device}) is no device any more")


def start(
    session: Session,
    *,
    version: Annotated[str, typer.Argument(help="MODEL@NUMBER, signed and passed.")],
    ring: Annotated[
        list[str] | None, typer.Option(help="A ring, in order; may be repeated.")
    ] = None,
    bake_s: Annotated[float, typer.Option(help="How long a ring must serve well.")] = 300.0,
) -> None:
    """Send a version to every device of its model, ring after ring."""
    from sightloop.cli.views import fleet as views
    from sightloop.fleet.health import HealthCriteria
    from sightloop.fleet.rollout import Rollout
    from sightloop.fleet.rollouts import StartRollout

    named = named_version(session, version)
    request = StartRollout(
        model=named.model,
        number=named.number,
        rings=ring or ["canary", "fleet"],
        criteria=HealthCriteria(bake_s=bake_s),
    )
    session.print(session.call("rollout.start", request, Rollout), views.rollout)


def status(session: Session, *, rollout: RolloutId = "") -> None:
    """How far a rollout is: rings, devices, timeline."""
    from sightloop.cli.views import fleet as views
    from sightloop.fleet.rollout_status import RolloutStatus
    from sightloop.fleet.rollouts import NameRollout

    request = NameRollout(rollout=_or_latest(session, rollout))
    session.print(session.call("rollout.status", request, RolloutStatus), views.rollout_status)


def pause(session: Session, *, rollout: RolloutId = "") -> None:
    """No further ring opens until it is resumed."""
    _move(session, "rollout.pause", rollout)


def resume(session: Session, *, rollout: RolloutId = "") -> None:
    """Let a paused rollout go on."""
    _move(session, "rollout.resume", rollout)


def abort(
    session: Session,
    *,
    rollout: RolloutId = "",
    reason: Annotated[str, typer.Option(help="Why.")] = "asked for by a person",
) -> None:
    """Stop a rollout and give its devices the version before."""
    from sightloop.cli.views import fleet as views
    from sightloop.fleet.rollout import Rollout
    from sightloop.fleet.rollouts import AbortRollout

    request = AbortRollout(rollout=_or_latest(session, rollout), reason=reason)
    session.print(session.call("rollout.abort", request, Rollout), views.rollout)


def _move(session: Session, operation: str, rollout: str) -> None:
    from sightloop.cli.views import fleet as views
    from sightloop.fleet.rollout import Rollout
    from sightloop.fleet.rollouts import NameRollout

    request = NameRollout(rollout=_or_latest(session, rollout))
    session.print(session.call(operation, request, Rollout), views.rollout)


def _or_latest(session: Session, rollout: str) -> str:
    from sightloop.fleet.rollout_status import ListRollouts, RolloutList
    from sightloop.kernel.errors import NotFound

    if rollout:
        return rollout
    found = session.call("rollout.list", ListRollouts(limit=1), RolloutList).rollouts
    if not found:
        raise NotFound(what="rollout", name="latest", hint="none was ever started")
    return found[0].id
