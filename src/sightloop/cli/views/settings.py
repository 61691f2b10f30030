"""People, policy and destinations in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import table, when
from sightloop.kernel.access import PeoplePage
from sightloop.loop.notifying import DestinationList
from sightloop.loop.policy_editing import CheckedPolicy, PolicyText
from sightloop.loop.preview import Replay
from sightloop.loop.previewing import ModelPreview, PolicyPreview


def people(found: PeoplePage) -> RenderableType:
    """Who may come in."""
    rows = (
        (
            one.id,
            one.role.value,
            one.n_tokens,
            one.n_sessions,
            when(one.expires_at_ms) if one.expires_at_ms else "-",
            when(one.signed_in_at_ms) if one.signed_in_at_ms else "-",
        )
        for one in found.people
    )
    columns = ("person", "role", "n tokens", "n sessions", "ends", "signed in last")
    drawn = table(columns, rows, empty="nobody; `sightloop access invite NAME ROLE` lets one in")
    if found.next_after is None:
        return drawn
    return Group(drawn, Text(f"more with --after {found.next_after}", style="dim"))


def policy(found: PolicyText) -> RenderableType:
    """The file, and what is wrong with it."""
    if found.problem:
        return Group(Text(found.text), Text(found.problem, style="red"))
    empty = "there is no loop.yaml: the loop looks after no model"
    return Text(found.text.rstrip()) if found.text else Text(empty, style="dim")


def checked_policy(found: CheckedPolicy) -> RenderableType:
    """What saving would change."""
    said = f"the loop could use it; it would look after {names(found.models)}"
    return Group(Text(said), Text(found.diff or "nothing would change"))


def preview(found: PolicyPreview) -> RenderableType:
    """What would have happened, beside what the present policy gives."""
    parts: list[RenderableType] = [
        Text(f"what is on record from {when(found.from_ms)} to {when(found.to_ms)}, replayed")
    ]
    for one in found.models:
        parts += [Text(), Text(one.model, style="bold"), _model(one)]
    parts += [Text(), *(Text(f"! {said}", style="dim") for said in found.unknowns)]
    return Group(*parts)


def destinations(found: DestinationList) -> RenderableType:
    """Where news goes."""
    rows = (
        (
            one.name,
            one.masked_address,
            ", ".join(one.wants),
            when(one.delivered_at_ms) if one.delivered_at_ms else "-",
            one.n_waiting,
            one.problem or "-",
        )
        for one in found.destinations
    )
    columns = ("destination", "address", "hears of", "arrived last", "n waiting", "problem")
    return table(columns, rows, empty="none; `sightloop notify add NAME ADDRESS` adds one")


def names(models: Sequence[str]) -> str:
    """Models by name, or that there are none."""
    return ", ".join(models) or "no model"


def _model(one: ModelPreview) -> RenderableType:
    rows = [
        (label, _cell(one.present, label), _cell(one.proposed, label)) for label in PREVIEW_ROWS
    ]
    changes = [Text(f"{c.rule}: {c.before} -> {c.after}") for c in one.changes]
    return Group(*changes, table(("", "present", "proposed"), rows, empty=""))


def _cell(replay: Replay | None, label: str) -> str:
    return "-" if replay is None else PREVIEW_ROWS[label](replay)


PREVIEW_ROWS = {
    "turns begun by loss incidents": lambda r: (
        f"{sum(t.because == 'loss incident' for t in r.turns)} of {r.n_loss_incidents} incidents"
    ),
    "turns begun by labels": lambda r: str(sum(t.because == "labels" for t in r.turns)),
    "images flagged, at most": lambda r: f"{r.n_flagged_at_most}",
    "images people are asked for, at most": lambda r: f"{r.n_asked_at_most}",
    "audit labels": lambda r: f"{r.audit_labels:.0f}",
    "audit labels per day with traffic": lambda r: (
        "-" if r.audit_labels_per_day is None else f"{r.audit_labels_per_day:.1f}"
    ),
}
