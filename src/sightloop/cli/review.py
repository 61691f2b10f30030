"""`sightloop review` and `sightloop monitor`."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    review = typer.Typer(help="Images that wait for labels.", no_args_is_help=True)
    app.add_typer(review, name="review")
    command(review, "list")(list_tasks)
    command(review, "show")(show)
    command(review, "disagreements")(disagreements)
    command(review, "export")(export)
    command(review, "import")(import_labels)
    command(review, "commit")(commit)
    monitor = typer.Typer(help="What watches the streams, and its alarms.", no_args_is_help=True)
    app.add_typer(monitor, name="monitor")
    command(monitor, "status")(status)
    command(monitor, "incidents")(incidents)
    command(monitor, "explain")(explain)
    command(monitor, "close")(close)


def list_tasks(
    session: Session,
    *,
    state: Annotated[list[str] | None, typer.Option(help="Only tasks in this state.")] = None,
    purpose: Annotated[str | None, typer.Option(help="Only audit, or only train.")] = None,
    incident: Annotated[str | None, typer.Option(help="Only those chosen for it.")] = None,
    limit: Annotated[int, typer.Option(help="How many.")] = 30,
) -> None:
    """Tasks in the order in which people should take them."""
    import msgspec

    from sightloop.cli.views import review as views
    from sightloop.review.listing import ListTasks, TaskList

    wanted = {"states": state or ["open"], "purpose": purpose, "incident": incident, "limit": limit}
    request = msgspec.convert(wanted, ListTasks)
    session.print(session.call("review.list", request, TaskList), views.tasks)


def show(session: Session, *, task: Annotated[str, typer.Argument(help="Id of the task.")]) -> None:
    """One task: why it is there, who works on it, and what people said."""
    from sightloop.cli.views import review as views
    from sightloop.review.listing import ShowTask, TaskDetails

    session.print(session.call("review.show", ShowTask(task=task), TaskDetails), views.task)


def disagreements(
    session: Session, *, limit: Annotated[int, typer.Option(help="How many.")] = 30
) -> None:
    """Tasks that two people labelled, those they agree on least first."""
    from sightloop.cli.views import review as views
    from sightloop.review.second_opinions import Disagreements, ListDisagreements

    request = ListDisagreements(limit=limit)
    found = session.call("review.disagreements", request, Disagreements)
    session.print(found, views.disagreements)


def export(
    session: Session,
    *,
    folder: Annotated[str, typer.Argument(help="A folder that is not there yet.")],
    branch: Annotated[str, typer.Option(help="Whose classes to offer.")] = "main",
) -> None:
    """Write open tasks as a COCO folder, with pre-labels, for any labelling tool."""
    from pathlib import Path

    from sightloop.review.exchange import ExportedTasks, ExportTasks

    request = ExportTasks(folder=str(Path(folder).resolve()), branch=branch)
    made = session.call("review.export", request, ExportedTasks)
    session.print(made, lambda one: f"{one.n_tasks} tasks in {one.folder}")


def import_labels(
    session: Session,
    *,
    annotations: Annotated[str, typer.Argument(help="The COCO file with the labels.")],
    branch: Annotated[str, typer.Option(help="Whose classes they use.")] = "main",
    skip_empty: Annotated[bool, typer.Option(help="Leave images without boxes open.")] = False,
) -> None:
    """Take labels back from a labelling tool; one wrong box and nothing is taken."""
    from pathlib import Path

    from sightloop.review.exchange import ImportedLabels, ImportLabels

    request = ImportLabels(
        annotations=str(Path(annotations).resolve()), branch=branch, skip_empty=skip_empty
    )
    taken = session.call("review.import", request, ImportedLabels)
    session.print(taken, lambda one: f"{one.n_tasks} tasks labelled, {one.n_boxes} boxes")


def commit(
    session: Session, *, branch: Annotated[str, typer.Option(help="Branch to commit to.")] = "main"
) -> None:
    """Make verified labels one dataset commit."""
    from sightloop.review.committing import CommitLabels
    from sightloop.server.catalogue import CommittedOrNot

    made = session.call("review.commit", CommitLabels(branch=branch), CommittedOrNot).committed
    if made is None:
        session.print({"committed": None}, lambda _: "no labels wait to be committed")
    else:
        session.print(made, lambda one: f"{len(one.tasks)} labelled images in {one.commit}")


def status(session: Session) -> None:
    """Every monitor: what it watches, how far from its alarm, and what it promises."""
    from sightloop.cli.views import review as views
    from sightloop.monitoring.incidents import ListMonitors
    from sightloop.monitoring.monitors import Monitor

    found = session.call("monitor.status", ListMonitors(), list[Monitor])
    names = _names_of(session, sorted({one.watched.device for one in found}))
    session.print(found, lambda monitors: views.monitors(monitors, names))


def incidents(
    session: Session,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
) -> None:
    """Open incidents, the latest first."""
    from sightloop.cli.views import review as views
    from sightloop.monitoring.evidence import Incident
    from sightloop.monitoring.incidents import ListIncidents

    request = ListIncidents(state=None if everything else "open")
    found = session.call("monitor.incidents", request, list[Incident])
    names = _names_of(session, sorted({one.device for one in found}))
    session.print(found, lambda incidents: views.incidents(incidents, names))


def explain(
    session: Session, *, incident: Annotated[str, typer.Argument(help="Id of the incident.")]
) -> None:
    """Why an incident was opened, in words and numbers."""
    from sightloop.cli.views import review as views
    from sightloop.monitoring.incidents import Explanation, FindIncident

    request = FindIncident(incident=incident)
    session.print(session.call("monitor.explain", request, Explanation), views.explanation)


def close(
    session: Session,
    *,
    incident: Annotated[str, typer.Argument(help="Id of the incident.")],
    reason: Annotated[str, typer.Option(help="What was done, or why it was no problem.")],
) -> None:
    """Close an incident; its monitors begin anew."""
    from sightloop.monitoring.evidence import Incident
    from sightloop.monitoring.incidents import CloseIncident

    request = CloseIncident(incident=incident, reason=reason)
    closed = session.call("monitor.close", request, Incident)
    session.print(closed, lambda one: f"{one.id} is closed")


def _names_of(session: Session, devices: list[str]) -> dict[str, str]:
    """What people call these devices; asked for in parts, as the operation takes them."""
    from sightloop.fleet.overview import MAX_NAMES, DeviceNames, NameDevices

    names: dict[str, str] = {}
    for start in range(0, len(devices) if not session.as_json else 0, MAX_NAMES):
        request = NameDevices(devices=devices[start : start + MAX_NAMES])
        names |= session.call("devices.names", request, DeviceNames).names
    return names
