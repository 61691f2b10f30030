"""Lines about devices name them, and say things once."""

from sightloop.kernel.events import Event, EventKind
from sightloop.server.console.event_lines import gathered, ids_in


def tasks(kind: str, number: int, *names: str, purpose: str = "train") -> Event:
    data = {"tasks": list(names), "purpose": purpose, "incident": "incident_1"}
    return Event(number, EventKind(kind), "incident_1", "step:x", number, data)


def test_images_flagged_and_opened_in_turns_are_two_lines():
    events = [
        tasks("tasks.flagged", 1, "a"),
        tasks("tasks.opened", 2, "a"),
        tasks("tasks.flagged", 3, "b", "c"),
        tasks("tasks.opened", 4, "b"),
    ]
    flagged, opened = gathered(events)
    assert (flagged.kind, flagged.data["tasks"]) == ("tasks.flagged", ["a", "b", "c"])
    assert (opened.kind, opened.data["tasks"], opened.number) == ("tasks.opened", ["a", "b"], 4)


def test_what_happened_in_between_keeps_them_apart():
    turn = Event(2, EventKind("turn.moved"), "turn_1", "step:x", 2, {})
    events = [tasks("tasks.opened", 1, "a"), turn, tasks("tasks.opened", 3, "b")]
    assert gathered(events) == events


def test_tasks_opened_for_another_purpose_are_another_line():
    events = [tasks("tasks.opened", 1, "a"), tasks("tasks.opened", 2, "b", purpose="audit")]
    assert gathered(events) == events


def test_only_ids_of_devices_are_taken_for_ids():
    assert ids_in(["dev_1/main failed; see device dev_2", "development"]) == {"dev_1", "dev_2"}
