"""An incident can be followed from what changed to its images and what was decided."""

import re
from itertools import product

import pytest

from sightloop.fleet import store as fleet
from sightloop.fleet.values import Device, DeviceId
from sightloop.kernel.actors import Role
from sightloop.kernel.clock import SystemClock
from sightloop.loop.turns import Trigger, Turn, TurnState, open_turn
from sightloop.monitoring.listing import Promise
from sightloop.monitoring.settings import MonitorSettings
from sightloop.review.flagging import FlagImages, flag_images
from sightloop.server.console.incident_pages import promise_words
from sightloop.testing.clock import ManualClock
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace
from tests.monitoring.conftest import Plant
from tests.server.console.conftest import WIDTHS, findings, wait_until

HOSTILE = "<script>alert(1)</script>" + "x" * 10_000


@pytest.fixture
def workspace(tmp_path):
    clock = ManualClock(SystemClock().now_ms())
    opened = create_workspace(tmp_path / "plant", {}, clock=clock)
    yield opened
    opened.db.close()


@pytest.fixture
def plant(workspace):
    """A plant whose device `dev_1` people call box-gear."""
    with workspace.db.write() as tx:
        device = Device(
            id=DeviceId("dev_1"),
            name="box-gear",
            ring="canary",
            site="",
            device_class="cpu",
            agent_version="1",
            capabilities=[],
            enrolled_at_ms=0,
        )
        fleet.put_device(tx, device)
    return Plant(workspace)


def darken(plant: Plant, stream: str = "cam") -> str:
    for _ in range(6):
        plant.window(stream=stream)
    plant.darken(n_windows=1, stream=stream)
    if stream == "cam":
        for grey in (5, 9):
            plant.keep(grey)
    plant.darken(n_windows=3, stream=stream)
    return plant.advance().incidents[0]


@pytest.fixture
def dark(plant) -> str:
    """An open input incident with two kept images."""
    return darken(plant)


@pytest.fixture
def worse(plant) -> str:
    """An open loss incident."""
    for i in range(60):
        plant.label(0.4 if i % 4 == 0 else 0.0)
    for _ in range(20):
        plant.label(1.0)
    return plant.advance().incidents[0]


def test_without_incidents_the_page_says_how_they_come_about(visitor):
    assert "No incident yet" in visitor.get("/incidents").text
    assert "No stream has been heard of yet" in visitor.get("/incidents?tab=monitors").text


def test_an_incident_is_listed_with_its_stream_and_what_its_alarm_is_worth(visitor, dark):
    page = visitor.get("/incidents").text
    for shown in ("brightness", "box-gear", "cam", "guaranteed", "1 open", f"/incidents/{dark}"):
        assert shown in page, shown


def test_a_filter_leaves_out_the_others(visitor, dark):
    assert "brightness" in visitor.get("/incidents?kind=input&device=box-gear").text
    assert "No incident is like that" in visitor.get("/incidents?kind=loss").text
    assert "No incident is like that" in visitor.get("/incidents?device=nobody").text
    assert "No incident is like that" in visitor.get("/incidents?state=closed").text


@pytest.mark.parametrize("query", ["after=%5B1%5D", "state=%3Cb%3E", "tab=monitors&after=x"])
def test_an_address_changed_by_hand_shows_a_page_all_the_same(visitor, dark, query):
    assert visitor.get(f"/incidents?{query}").status_code == 200


def test_an_incident_says_what_changed_and_shows_why(visitor, dark):
    page = visitor.get(f"/incidents/{dark}").text
    for shown in (
        "brightness moved down: 100 % of images where the lowest 10 % of the reference are",
        "how the evidence against the reference grew",
        "reference quantiles",
        "box-gear",
        "line=a",
        "side=240",
    ):
        assert shown in page, shown


def test_a_loss_incident_shows_every_audited_image_since(visitor, worse):
    page = visitor.get(f"/incidents/{worse}").text
    assert "loss of an image" in page
    assert "mean at release (100 images)" in page


def test_images_lead_to_their_task(visitor, plant, workspace, dark):
    plant.keep(7)
    plant.send()
    with workspace.db.write() as tx:
        tx.exec_driver_sql("update telemetry_kept_images set lane = 'drift'")
    tasks = flag_images(workspace, LOCAL_CALL, FlagImages(incident=dark, budget=2)).tasks
    page = visitor.get(f"/incidents/{dark}").text
    for task in tasks:
        assert f'href="/review/{task}"' in page
    assert f"{len(tasks)} flagged" in page


def test_the_turn_that_answers_an_incident_is_linked(visitor, workspace, worse):
    turn = Turn(
        id="turn_1",
        model="pcb",
        trigger=Trigger("loss incident", worse, "the audited loss rose"),
        focus="line=a",
        state=TurnState.COLLECTING,
        reason="collects labels",
        champion=None,
        run=None,
        version=None,
        verdict=None,
        rollout=None,
        opened_at_ms=1,
        moved_at_ms=1,
    )
    with workspace.db.write() as tx:
        assert open_turn(tx, turn, by=LOCAL_CALL.actor)
    page = visitor.get(f"/incidents/{worse}").text
    assert "It started" in page
    assert 'href="/loop/turn_1"' in page


def test_an_incident_is_closed_with_a_reason(visitor, dark):
    answer = visitor.post(f"/incidents/{dark}/close", {"reason": "lamp replaced"})
    assert answer.status_code == 303
    page = visitor.get(f"/incidents/{dark}").text
    assert "lamp replaced" in page
    assert "Close the incident" not in page
    assert "No incident is open" in visitor.get("/incidents").text


def test_closing_it_again_is_refused(visitor, dark):
    visitor.post(f"/incidents/{dark}/close", {"reason": "x"})
    answer = visitor.post(f"/incidents/{dark}/close", {"reason": "y"})
    assert answer.status_code == 409
    assert "MON-400" in answer.text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR])
def test_who_may_not_run_the_loop_closes_nothing(visitor_as, plant, dark, role):
    assert visitor_as(role).post(f"/incidents/{dark}/close", {"reason": "x"}).status_code == 403
    assert plant.incidents(state="open")


def test_an_incident_that_is_none_is_a_page_with_the_reason(visitor):
    answer = visitor.get("/incidents/incident_none")
    assert answer.status_code == 404
    assert "MON-200" in answer.text


def test_monitors_stand_by_how_near_they_are_to_an_alarm(visitor, dark):
    page = visitor.get("/incidents?tab=monitors").text
    assert page.index(">brightness") < page.index(">contrast")
    assert f"/incidents/{dark}" in page
    assert "at most 1 %, for 200 windows of every stream" in page


def test_monitors_go_on_on_the_next_page(visitor, plant, monkeypatch):
    for stream in ("a", "b"):
        plant.window(stream=stream)
    plant.advance()
    monkeypatch.setattr("sightloop.server.console.incident_pages.N_MONITORS", 3)
    first = visitor.get("/incidents?tab=monitors").text
    (onward,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = visitor.get("/incidents" + onward.replace("&amp;", "&")).text
    assert len(re.findall('id="m-', first)) == 3
    assert len(re.findall('id="m-', second)) == 1


def test_streams_nobody_declared_are_told_apart_in_the_promise():
    promise = Promise(
        bundle="sha256:" + "0" * 64,
        model="pcb",
        number=1,
        settings=MonitorSettings(n_streams=1),
        n_streams=3,
        began_at_ms=0,
    )
    words = promise_words(promise)[2]
    assert words.startswith("Nine tenths of that is for the 1 stream declared")
    assert "2 streams that came later share the last tenth" in words


def test_a_stream_with_a_hostile_name_is_shown_as_text(visitor, plant):
    incident = darken(plant, HOSTILE)
    for path in ("/incidents", "/incidents?tab=monitors", f"/incidents/{incident}", "/"):
        page = visitor.get(path).text
        assert "<script>alert" not in page
        assert len(page) < 80_000, path


@pytest.mark.processes
def test_a_person_follows_an_incident_to_its_images(tab, dark):
    tab.goto("/")
    tab.get_by_role("link", name="1 open incident").first.click()
    tab.get_by_role("link", name="brightness").click()
    tab.get_by_text("brightness moved down").first.wait_for()
    image = tab.locator("ul.pictures img").first
    image.scroll_into_view_if_needed()
    wait_until(tab, "document.querySelector('ul.pictures img').naturalWidth > 0")
    with tab.expect_response(lambda answer: "/pictures/" in answer.url) as answered:
        image.click()
    assert answered.value.ok


@pytest.mark.processes
def test_nobody_is_kept_out_of_incidents_by_how_they_look(tab, dark):
    for path in ("/incidents", "/incidents?tab=monitors", f"/incidents/{dark}"):
        tab.goto(path)
        for width, scheme in product(WIDTHS, ("light", "dark")):
            tab.emulate_media(color_scheme=scheme)
            tab.set_viewport_size({"width": width, "height": 900})
            assert findings(tab) == [], (path, width, scheme)
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
