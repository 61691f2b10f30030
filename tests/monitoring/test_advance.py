import threading

import msgspec
import pytest
from sqlalchemy import select

from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.database import metadata
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.monitoring import store
from sightloop.monitoring.advance import Advanced, AdvanceMonitors, advance_monitors
from sightloop.monitoring.incidents import CloseIncident, close_incident
from sightloop.monitoring.releases import read_bundle
from sightloop.monitoring.settings import MonitorSettings
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL

TABLES = ("monitors", "monitoring_steps", "incidents", "incident_monitors", "monitoring_streams")
REQUEST = AdvanceMonitors(settings=MonitorSettings(n_streams=2, horizon_windows=200))


def rows(workspace, tables=TABLES):
    with workspace.db.read() as tx:
        return {
            name: sorted(map(str, tx.execute(select(metadata.tables[name])).mappings()))
            for name in tables
        }


def test_every_window_and_label_is_counted_once_however_often_one_asks(plant):
    for _ in range(3):
        plant.window()
    plant.label(0.1)
    assert plant.advance() == Advanced(n_profiles=3, n_losses=1, incidents=[])
    before = rows(plant.workspace)
    assert plant.advance() == Advanced(n_profiles=0, n_losses=0, incidents=[])
    assert rows(plant.workspace) == before


def test_windows_counted_one_by_one_leave_the_same_monitors_as_all_at_once(plant):
    plant.window()
    plant.advance()
    plant.window([8, 2, *[5] * 18])
    plant.advance()
    one_by_one = [monitor.state for monitor in plant.monitors()]
    plant.window(stream="other")
    plant.window([8, 2, *[5] * 18], stream="other")
    plant.advance()
    assert [one.state for one in plant.monitors() if one.watched.stream == "other"] == one_by_one


def test_two_workers_at_once_count_every_window_once(plant):
    for _ in range(30):
        plant.window()
    plant.send()
    counted = []

    def work():
        counted.append(advance_monitors(plant.workspace, LOCAL_CALL, REQUEST).n_profiles)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == 30
    assert {monitor.state.n_windows for monitor in plant.monitors()} == {30}


def test_a_crash_before_any_write_leaves_no_trace_and_the_next_call_finishes(plant):
    plant.window()
    plant.darken()
    plant.send()
    plan = CrashPlan()
    undisturbed = crashing(plant.workspace, plan)
    before = rows(plant.workspace)
    for step in range(2):
        with pytest.raises(SimulatedCrash):
            advance_monitors(
                crashing(plant.workspace, CrashPlan(before_write=step)), LOCAL_CALL, REQUEST
            )
        assert rows(plant.workspace) == before
    assert len(advance_monitors(undisturbed, LOCAL_CALL, REQUEST).incidents) == 1
    assert plan.n_writes == 2


def test_a_change_opens_one_incident_and_tells_of_it(plant):
    plant.window()
    plant.darken()
    (incident,) = plant.advance().incidents
    (event,) = [one for one in plant_events(plant) if one.kind == "incident.opened"]
    assert event.subject == incident
    assert event.data["kind"] == "input"
    assert event.data["measure"] == "brightness"
    assert (event.data["device"], event.data["stream"]) == ("dev_1", "cam")


def plant_events(plant):
    with plant.workspace.db.read() as tx:
        return history(tx)


def test_usual_windows_open_nothing(plant):
    for _ in range(150):
        plant.window()
    assert plant.advance().incidents == []


def test_a_second_measure_supports_the_open_incident_instead_of_opening_another(plant):
    plant.window()
    plant.darken()
    plant.advance()
    both_dark = {"brightness": [10] + [0] * 19, "contrast": [10] + [0] * 19}
    plant.darken(4, counts=both_dark)
    assert plant.advance().incidents == []
    (incident,) = plant.incidents()
    with plant.workspace.db.read() as tx:
        assert [one.measure for one in store.supporting_of(tx, incident.id)] == ["contrast"]


def test_a_monitor_that_alarmed_opens_nothing_more_while_the_change_lasts(plant):
    plant.darken(20)
    assert len(plant.advance().incidents) == 1
    plant.darken(20)
    assert plant.advance().incidents == []


def test_after_its_incident_is_closed_a_lasting_change_opens_another(plant):
    plant.darken(10)
    (first,) = plant.advance().incidents
    close_incident(plant.workspace, LOCAL_CALL, CloseIncident(incident=first, reason="new lamp"))
    assert {monitor.state.n_windows for monitor in plant.monitors()} == {0}
    plant.darken(10)
    (second,) = plant.advance().incidents
    assert second != first


def test_a_new_bundle_starts_afresh_and_can_alarm_while_the_old_incident_is_open(plant):
    plant.darken(10)
    plant.advance()
    plant.bundle = plant.release(a_second_bundle(plant))
    plant.window()
    assert plant.advance().incidents == []
    plant.darken(10)
    assert len(plant.advance().incidents) == 1
    assert len(plant.incidents(state="open")) == 2


def a_second_bundle(plant):
    return msgspec.structs.replace(read_bundle(plant.workspace.blobs, plant.bundle), run="run_2")


def test_streams_alarm_each_for_itself(plant):
    plant.darken(10)
    plant.darken(10, stream="other")
    plant.darken(10, device="dev_2")
    assert len(plant.advance().incidents) == 3


def test_a_small_stratum_is_not_tested_against_a_mixture_of_others(plant):
    plant.window(stratum="line=rare")
    plant.advance()
    for monitor in plant.monitors():
        assert monitor.guarantee == "untestable"
        assert "10 images of line=rare, 30 are needed" in monitor.reason


def test_without_enough_reference_a_measure_is_untestable_and_says_so(plant):
    plant.window()
    plant.advance(MonitorSettings(min_reference_images=500))
    for monitor in plant.monitors():
        assert monitor.guarantee == "untestable"
        assert "500 are needed" in monitor.reason
        assert monitor.state.statistic_nats is None


def test_neighbours_that_are_alike_take_the_guarantee_away(plant, alike):
    for _ in range(5):
        plant.window(dependence={"brightness": alike})
    plant.advance()
    by_measure = {monitor.measure: monitor for monitor in plant.monitors()}
    assert by_measure["brightness"].guarantee == "calibrated"
    assert "neighbouring images are alike" in by_measure["brightness"].reason
    assert by_measure["contrast"].guarantee == "guaranteed"


def test_a_stream_pointed_at_another_line_is_compared_with_that_line_from_then_on(plant):
    plant.window()
    plant.advance()
    plant.window(stratum="line=b")
    plant.advance()
    for monitor in plant.monitors():
        assert monitor.watched.stratum == "line=b"
        assert monitor.state.n_windows == 1


def test_a_release_keeps_the_settings_it_began_with(plant):
    plant.window()
    plant.advance(MonitorSettings(alpha_input=0.01))
    before = {monitor.threshold_nats for monitor in plant.monitors()}
    plant.window(stream="other")
    plant.advance(MonitorSettings(alpha_input=0.5))
    assert {monitor.threshold_nats for monitor in plant.monitors()} == before


def test_a_stream_nobody_declared_waits_for_a_higher_threshold(plant):
    for stream in ("cam", "other", "third"):
        plant.window(stream=stream)
    plant.advance()
    by_stream = {one.watched.stream: one.threshold_nats for one in plant.monitors()}
    assert by_stream["cam"] == by_stream["other"] < by_stream["third"] - 2


def test_windows_of_an_unknown_bundle_or_of_other_bins_hold_nobody_up(plant):
    plant.window(bundle=digest_of(b"never released"))
    plant.window(counts={"brightness": [1, 1], "contrast": [5] * 20})
    plant.window()
    assert plant.advance().n_profiles == 3
    with plant.workspace.db.read() as tx:
        watched = plant.monitors()[0].watched
        problems = [step.problem for step in store.steps_of(tx, watched, limit=10)]
    assert problems == ["brightness: 2 bins, the reference has 20", ""]


def test_a_measure_the_reference_does_not_know_is_untestable(plant):
    plant.window()
    plant.advance(MonitorSettings(measures=["brightness", "colour"]))
    by_measure = {monitor.measure: monitor for monitor in plant.monitors()}
    assert by_measure["colour"].guarantee == "untestable"
    assert by_measure["brightness"].guarantee == "guaranteed"


def test_a_viewer_may_not_advance_the_monitors(plant):
    viewer = Call(Actor(ActorId("v"), "person", Role.VIEWER))
    with pytest.raises(NotAllowed) as caught:
        advance_monitors(plant.workspace, viewer, REQUEST)
    assert caught.value.code == "SL-300"
    assert "may not run the loop" in caught.value.message
