"""The loop in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import state, table, when
from sightloop.kernel.errors import last_line
from sightloop.loop.services import EventList, LoopStatus


def loop_status(found: LoopStatus) -> RenderableType:
    """Turns, the steps that are not done, and what waits."""
    turns = (
        (
            one.id,
            one.model,
            state(one.state.value),
            one.trigger.kind,
            one.focus or "-",
            f"@{one.version}" if one.version else "-",
            one.reason,
        )
        for one in found.turns
    )
    steps = (
        (one.key, state(one.state.value), one.attempt, last_line(one.error))
        for one in found.steps
        if one.state.value != "done"
    )
    n_done = sum(one.state.value == "done" for one in found.steps)
    columns = ("turn", "model", "state", "started by", "focus", "version", "reason")
    head = "paused; `sightloop loop resume` goes on" if found.is_paused else "moving"
    models = ", ".join(found.models) or "none; write loop.yaml"
    return Group(
        Text(f"{head}; looks after {models}; {found.n_events_waiting} events wait"),
        Text(),
        table(columns, turns, empty="no turn yet; `sightloop loop run MODEL` starts one"),
        Text(),
        table(("step", "state", "attempt", "error"), steps, empty=f"all {n_done} steps are done"),
    )


def events(found: EventList) -> RenderableType:
    """What happened."""
    rows = ((e.number, when(e.at_ms), e.kind, e.subject, e.actor) for e in found.events)
    return table(("#", "when", "event", "subject", "who"), rows, empty="nothing happened")
