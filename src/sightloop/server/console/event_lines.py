"""Events as lines of a page: in plain words, with devices called by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sightloop.fleet.overview import NameDevices, name_devices
from sightloop.kernel.events import Event
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.session import Viewer
from sightloop.server.console.words import Told, tell_event

MAX_NAMES = 1000
_DEVICE_ID = re.compile(r"\bdev_[0-9a-z]+\b")
_GATHERED = ("tasks.flagged", "tasks.opened")


class Line(NamedTuple):
    """One event of the log."""

    number: int
    at_ms: int
    told: Told
    actor: str


def lines_of(workspace: Workspace, viewer: Viewer, found: Iterable[Event]) -> list[Line]:
    """The events in their order, told for people."""
    events = list(found)
    names = names_of(workspace, viewer, _devices_in(events))
    return [
        Line(
            event.number,
            event.at_ms,
            tell_event(event.kind, event.subject, _with_names(event.data, names)),
            names.get(event.actor, event.actor),
        )
        for event in events
    ]


def names_of(workspace: Workspace, viewer: Viewer, devices: Iterable[str]) -> dict[str, str]:
    """What people call these devices, by id; unknown ones are left out."""
    wanted = sorted(set(devices))[:MAX_NAMES]
    if not wanted:
        return {}
    return name_devices(workspace, viewer.call, NameDevices(devices=wanted)).names


def named(text: str, names: Mapping[str, str]) -> str:
    """The text with names in the place of ids.

    >>> named("dev_1/main failed 3 of 9 requests", {"dev_1": "box-gear"})
    'box-gear/main failed 3 of 9 requests'
    """
    return _DEVICE_ID.sub(lambda found: names.get(found[0], found[0]), text)


def without_turn(reason: str) -> str:
    """Why an incident was closed, without the turn's id: pages link the turn.

    >>> without_turn("answered by pcb@2 (turn turn_1)"), without_turn("lamp (left) replaced")
    ('answered by pcb@2', 'lamp (left) replaced')
    """
    head, _, tail = reason.rpartition(" (turn ")
    return head if head and tail.endswith(")") else reason


def ids_in(texts: Iterable[str]) -> set[str]:
    """The device ids that these texts mention."""
    return {found for text in texts for found in _DEVICE_ID.findall(text)}


def gathered(events: Sequence[Event]) -> list[Event]:
    """The events, where images were chosen and opened in turns with a line for each kind."""
    kept: list[Event] = []
    n_apart = 0  # lines before the present run of choosing and opening
    for event in events:
        if event.kind not in _GATHERED:
            kept.append(event)
            n_apart = len(kept)
            continue
        like = [at for at in range(n_apart, len(kept)) if _is_like(kept[at], event)]
        if like:
            tasks = [*kept[like[0]].data["tasks"], *event.data["tasks"]]
            kept[like[0]] = msgspec.structs.replace(event, data={**event.data, "tasks": tasks})
        else:
            kept.append(event)
    return kept


def _is_like(one: Event, other: Event) -> bool:
    same = (one.kind, one.subject) == (other.kind, other.subject)
    return same and one.data.get("purpose") == other.data.get("purpose")


def _devices_in(events: Sequence[Event]) -> set[str]:
    given = {str(event.data["device"]) for event in events if event.data.get("device")}
    actors = {event.actor for event in events if event.actor.startswith("dev_")}
    return given | actors | ids_in(str(event.data.get("reason", "")) for event in events)


def _with_names(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    told = dict(data)
    if data.get("device") in names:
        told.setdefault("name", names[data["device"]])
    if isinstance(data.get("reason"), str):
        told["reason"] = without_turn(named(data["reason"], names))
    return told
