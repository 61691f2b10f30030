"""Tasks, monitors and incidents in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, state, table, when
from sightloop.monitoring.evidence import Incident
from sightloop.monitoring.incidents import Explanation
from sightloop.monitoring.monitors import Monitor
from sightloop.review.listing import TaskDetails, TaskList
from sightloop.review.second_opinions import Disagreements


def tasks(found: TaskList) -> RenderableType:
    """What waits for people."""
    rows = (
        (one.id, one.purpose, state(one.state), one.lane, one.stream, len(one.prelabels))
        for one in found.tasks
    )
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    columns = ("task", "purpose", "state", "lane", "stream", "n pre-labels")
    return Group(
        Text(counts or "no tasks", style="dim"),
        table(columns, rows, empty="nothing waits for labels"),
    )


def task(found: TaskDetails) -> RenderableType:
    """One task with all that is known around it."""
    one, labels, opinion = found.task, found.labels, found.opinion
    known = [
        ("task", one.id),
        ("purpose", one.purpose),
        ("state", state(one.state)),
        ("stream", f"{one.device}/{one.stream}"),
        ("taken", when(one.captured_at_ms)),
        ("lane", one.lane),
        ("pre-labels", "hidden: it is blind" if one.blind else len(one.prelabels)),
    ]
    if found.claim is not None:
        known.append(("held by", f"{found.claim.held_by} until {when(found.claim.until_ms)}"))
    if labels is not None:
        known.append(("labelled by", f"{labels.labelled_by}, {len(labels.boxes)} boxes"))
    if found.loss is not None:
        known.append(("loss", f"{found.loss:.3g}"))
    if opinion is not None:
        known.append(("second", f"{opinion.given_by}, {opinion.agreement:.0%} agreement"))
    if one.note:
        known.append(("note", one.note))
    return facts(known)


def disagreements(found: Disagreements) -> RenderableType:
    """Tasks that two people labelled."""
    rows = (
        (
            one.task.id,
            f"{one.opinion.agreement:.0%}",
            f"{one.labels.labelled_by}: {len(one.labels.boxes)}",
            f"{one.opinion.given_by}: {len(one.opinion.boxes)}",
        )
        for one in found.tasks
    )
    columns = ("task", "agreement", "labels", "second opinion")
    return table(columns, rows, empty="nobody has been asked twice yet")


def monitors(found: Iterable[Monitor], names: Mapping[str, str]) -> RenderableType:
    """One line per monitor, the nearest to its alarm first: evidence against threshold, in nats."""
    nearest_first = sorted(found, key=lambda one: -one.nearness)
    rows = (
        (
            _line(f"{names.get(one.watched.device, one.watched.device)}/{one.watched.stream}"),
            _line(one.measure),
            _line(_evidence(one)),
            _line(one.guarantee),
            _line("alarm" if one.incident else ""),
        )
        for one in nearest_first
    )
    columns = ("stream", "measure", "nats", "promise", "")
    return table(columns, rows, empty="no stream has been heard of yet")


def incidents(found: Iterable[Incident], names: Mapping[str, str]) -> RenderableType:
    """Incidents, the latest first: what moved where on one line, and the id to ask with on the
    next.
    """
    lines = [
        Text.assemble(
            when(one.opened_at_ms),
            " ",
            state(one.state),
            f" {one.measure} on {names.get(one.device, one.device)}/{one.stream}\n",
            (f"  {one.id}, {one.kind}, {one.guarantee}", "dim"),
        )
        for one in found
    ]
    return Group(*lines) if lines else Text("no incident", style="dim")


def explanation(found: Explanation) -> RenderableType:
    """Why an incident was opened."""
    one, evidence = found.incident, found.evidence
    head = facts(
        [
            ("incident", one.id),
            ("kind", one.kind),
            ("state", state(one.state)),
            ("stream", f"{one.device}/{one.stream} against {one.stratum or 'all'}"),
            ("statistic", f"{one.statistic_nats:.1f} nats, alarm at {one.threshold_nats:.1f}"),
            ("promise", one.guarantee),
            ("change", f"about {when(evidence.change_at_ms)}"),
            ("images since", evidence.n_images_since_change),
        ]
    )
    words = [Text(f"- {change.words}") for change in evidence.measures]
    if evidence.loss is not None:
        words.append(Text(f"- {evidence.loss.words}"))
    words += [Text(f"- also {one.measure}", style="dim") for one in found.supporting]
    return Group(head, Text(), *words)


def _evidence(monitor: Monitor) -> str:
    statistic = monitor.state.statistic_nats
    stands_at = "-" if statistic is None else f"{statistic:.1f}"
    return f"{stands_at} of {monitor.threshold_nats:.1f}"


def _line(text: str) -> Text:
    """A cell that is shortened where the terminal ends, and never broken."""
    return Text(text, no_wrap=True, overflow="ellipsis")
