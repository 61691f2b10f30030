"""Monitors and incidents in a terminal of eighty columns."""

from rich.console import Console

from sightloop.cli.views.review import incidents, monitors
from tests.monitoring.conftest import Plant

NAMES = {"dev_1": "box-gear-at-the-far-end-of-hall-7"}


def shown(view) -> list[str]:
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(view)
    return captured.get().splitlines()


def alarmed(workspace) -> Plant:
    plant = Plant(workspace)
    for _ in range(6):
        plant.window()
    plant.darken()
    plant.advance()
    return plant


def test_each_monitor_is_one_line_with_the_name_of_its_device(workspace):
    head, first, second = shown(monitors(alarmed(workspace).monitors(), NAMES))
    assert head.split() == ["stream", "measure", "nats", "promise"]
    assert first.startswith("box-gear-at-the-far-end")
    assert "brightness" in first
    assert first.rstrip().endswith("alarm")
    assert "contrast" in second
    assert "dev_1" not in first + second


def test_an_incident_names_its_device_and_the_id_to_ask_with(workspace):
    found = alarmed(workspace).incidents()
    text = "\n".join(shown(incidents(found, NAMES)))
    assert "open brightness on box-gear-at-the-far-end" in text
    assert found[0].id in text
