"""Monitors and incidents are read page by page, and a release says what it promises."""

from sightloop.monitoring.incidents import CloseIncident, close_incident
from sightloop.monitoring.listing import (
    ListPromises,
    PageIncidents,
    PageMonitors,
    list_promises,
    page_incidents,
    page_monitors,
)
from sightloop.monitoring.pages import WantedIncidents
from sightloop.testing.workspaces import LOCAL_CALL


def monitors(plant, **wanted):
    return page_monitors(plant.workspace, LOCAL_CALL, PageMonitors(**wanted))


def incidents(plant, *, after=None, limit=50, **wanted):
    request = PageIncidents(wanted=WantedIncidents(**wanted), after=after, limit=limit)
    return page_incidents(plant.workspace, LOCAL_CALL, request)


def alarm(plant, *streams: str) -> None:
    for stream in streams:
        for _ in range(6):
            plant.window(stream=stream)
        plant.darken(stream=stream)
        plant.advance()


def test_the_monitor_nearest_to_its_alarm_comes_first(plant):
    alarm(plant, "cam")
    first, second = monitors(plant).monitors
    assert (first.measure, second.measure) == ("brightness", "contrast")
    assert first.nearness >= 1 > second.nearness
    assert first.incident is not None


def test_every_monitor_is_on_exactly_one_page(plant):
    for stream in ("a", "b", "c"):
        plant.window(stream=stream)
    plant.advance()
    seen, after = [], None
    while True:
        found = monitors(plant, after=after, limit=2)
        seen += [(one.stream, one.measure) for one in found.monitors]
        after = found.after
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 6


def test_monitors_are_filtered_by_what_they_are(plant):
    alarm(plant, "cam")
    assert len(monitors(plant, has_alarmed=True).monitors) == 1
    assert len(monitors(plant, has_alarmed=False).monitors) == 1
    assert monitors(plant, kind="loss").monitors == []
    assert monitors(plant, guarantee="calibrated").monitors == []
    assert len(monitors(plant, device="dev_1").monitors) == 2
    assert monitors(plant, device="dev_2").monitors == []
    assert monitors(plant, model="nobody").monitors == []


def test_open_incidents_come_before_closed_ones_that_are_later(plant):
    alarm(plant, "a", "b")
    latest = incidents(plant).incidents[0]
    request = CloseIncident(incident=latest.id, reason="lamp replaced")
    close_incident(plant.workspace, LOCAL_CALL, request)
    found = incidents(plant)
    assert [one.state for one in found.incidents] == ["open", "closed"]
    assert found.n_open == {"input": 1}
    first = incidents(plant, limit=1)
    (second,) = incidents(plant, limit=1, after=first.after).incidents
    assert second.id == latest.id


def test_incidents_are_filtered_by_what_they_are(plant):
    alarm(plant, "a")
    assert len(incidents(plant, state="open", kind="input", model="pcb").incidents) == 1
    assert incidents(plant, state="closed").incidents == []
    assert incidents(plant, kind="loss").incidents == []
    assert incidents(plant, model="glass").incidents == []
    assert incidents(plant, device="dev_2").incidents == []


def test_a_release_promises_what_it_began_with(plant):
    for stream in ("a", "b", "c"):
        plant.window(stream=stream)
    plant.advance()
    (promise,) = list_promises(plant.workspace, LOCAL_CALL, ListPromises()).promises
    assert (promise.bundle, promise.n_streams) == (plant.bundle, 3)
    assert (promise.settings.n_streams, promise.settings.alpha_input) == (2, 0.01)
