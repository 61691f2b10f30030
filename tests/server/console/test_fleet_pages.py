"""The fleet can be looked at, filtered, enrolled into; a rollout can be paused by who may."""

import re
from itertools import product

import pytest

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.fleet.enrolment import enrol_device
from sightloop.fleet.health import HealthCriteria
from sightloop.fleet.rollout_store import get_rollout
from sightloop.fleet.rollouts import StartRollout, advance_rollouts, start_rollout
from sightloop.kernel.actors import Role
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.tokens import actor_of
from sightloop.kernel.workspace import Call
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.testing.clock import ManualClock
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace
from tests.fleet.conftest import EnrolRequest, SimDevice, judge, package, sign
from tests.server.console.conftest import WIDTHS, findings, wait_until_live
from tests.telemetry.conftest import Sender, picture

HOSTILE = "<script>alert(1)</script>" + "x" * 10_000


@pytest.fixture
def clock():
    return ManualClock(SystemClock().now_ms())


@pytest.fixture
def workspace(tmp_path, clock):
    opened = create_workspace(tmp_path / "plant", {}, clock=clock)
    yield opened
    opened.db.close()


def release(workspace, *, champion=False):
    version = package(workspace)
    judge(workspace, version)
    sign(workspace, version)
    if champion:
        alias = SetAlias(model="pcb", alias="champion", number=version.number)
        set_alias(workspace, LOCAL_CALL, alias)
    return version


@pytest.fixture
def boxes(workspace):
    """Three devices in two rings that serve version 1, with telemetry of the first."""
    version = release(workspace, champion=True)
    rings = {"box-disc": "canary", "box-gear": "fleet", "box-seal": "fleet"}
    devices = [
        SimDevice(workspace, name, ring=ring, slots={"main": "pcb"}) for name, ring in rings.items()
    ]
    for device in devices:
        device.obey()
    sender = Sender(workspace, devices[0].id)
    image = sender.upload(picture(1))
    health = [sender.health(n, bundle=version.bundle) for n in range(1, 6)]
    sender.send([*health, sender.swap(6), sender.kept(7, image=image)])
    return devices


@pytest.fixture
def rollout(workspace, boxes):
    """Version 2 on its way: the canary has it, ring fleet waits."""
    version = release(workspace)
    criteria = HealthCriteria(bake_s=600, min_requests=5)
    request = StartRollout(
        model="pcb", number=version.number, rings=["canary", "fleet"], criteria=criteria
    )
    started = start_rollout(workspace, LOCAL_CALL, request)
    advance_rollouts(workspace, LOCAL_CALL)
    boxes[0].obey()
    advance_rollouts(workspace, LOCAL_CALL)
    return started


def state_of(workspace, rollout) -> str:
    with workspace.db.read() as tx:
        return get_rollout(tx, rollout.id).state


def test_an_empty_fleet_says_how_a_device_comes_in(visitor):
    page = visitor.get("/fleet").text
    assert "No device yet" in page
    assert "sightloop devices enroll" in page
    assert "No rollout yet" in visitor.get("/fleet/rollouts").text


def test_devices_stand_by_site_and_ring_with_what_they_run(visitor, boxes):
    page = visitor.get("/fleet").text
    assert page.index("ring canary") < page.index("box-disc") < page.index("ring fleet")
    assert "pcb@1" in page
    assert "5 ms" in page
    assert "&gt; 10 ms" in page.replace("> 10 ms", "&gt; 10 ms")


def test_a_silent_device_is_marked_and_found_by_the_filter(visitor, boxes, clock):
    clock.advance(901)
    boxes[0].check_in()
    page = visitor.get("/fleet?state=silent").text
    assert "box-gear" in page
    assert "box-disc" not in page
    assert "It said nothing since" in visitor.get("/fleet/box-gear").text


def test_a_filter_that_finds_nothing_says_so(visitor, boxes):
    assert "No device is like that" in visitor.get("/fleet?ring=moon").text


@pytest.mark.parametrize("query", ["after=%5B1%5D", "after=nonsense", "state=%3Cb%3E", "site=%00"])
def test_an_address_changed_by_hand_shows_a_page_all_the_same(visitor, boxes, query):
    assert visitor.get(f"/fleet?{query}").status_code == 200


def test_the_fleet_goes_on_on_the_next_page(visitor, boxes, monkeypatch):
    monkeypatch.setattr("sightloop.server.console.fleet_pages.N_DEVICES", 2)
    first = visitor.get("/fleet").text
    assert "box-seal" not in first
    (onward,) = re.findall(r'rel="next" href="([^"]+)"', first)
    assert "box-seal" in visitor.get(f"/fleet{onward}").text


def test_a_piece_of_the_page_comes_without_the_frame(visitor, boxes):
    piece = visitor.get("/fleet", headers={"hx-request": "true"}).text
    assert "box-disc" in piece
    assert "<html" not in piece


def test_a_device_shows_slots_streams_latency_and_pictures(visitor, boxes):
    page = visitor.get("/fleet/box-disc").text
    for shown in ("line=a", "latency of box-disc", "side=240", "switched", "reproduced"):
        assert shown in page, shown


def test_events_call_a_device_by_its_name(visitor, boxes):
    assert "Slot main of box-disc switched" in visitor.get(f"/fleet/{boxes[0].id}").text
    assert "Slot main of box-disc switched" in visitor.get("/").text


def test_a_device_that_is_none_is_a_page_with_the_reason(visitor):
    answer = visitor.get("/fleet/nobody")
    assert answer.status_code == 404
    assert "there is no device" in answer.text


def test_what_a_device_says_of_itself_is_shown_as_text(visitor, boxes):
    boxes[0].streams = [StreamDeclaration(HOSTILE, "main", HOSTILE)]
    boxes[0].report(state="failed", problem=HOSTILE)
    boxes[0].check_in()
    for path in ("/fleet", "/fleet/box-disc", "/"):
        page = visitor.get(path).text
        assert "<script>alert" not in page
        assert len(page) < 60_000


def test_a_token_is_shown_once_and_lets_one_device_in(visitor, workspace):
    fields = {"model": "pcb", "ring": "canary", "site": "plant-1", "name": "box", "days": "1"}
    page = visitor.post("/fleet/enrolments", fields).text
    token = re.findall(r'<code id="token">([^<]+)</code>', page)[0]
    assert token not in visitor.get("/fleet").text
    with workspace.db.read() as tx:
        actor = actor_of(tx, token, now_ms=workspace.clock.now_ms())
    request = EnrolRequest(name="x", device_class="box", agent_version="1", capabilities=[])
    enrol_device(workspace, Call(actor), request, token=token)
    assert ">box</a>" in visitor.get("/fleet?site=plant-1&state=new").text


@pytest.mark.parametrize("bad", [{"ring": "<b>"}, {"model": ""}, {"name": "a" * 64}])
def test_a_place_that_cannot_be_prepared_says_why(visitor, bad):
    answer = visitor.post("/fleet/enrolments", {"model": "pcb", "ring": "canary", **bad})
    assert answer.status_code == 400
    assert "<b>" not in answer.text


def test_only_an_admin_makes_tokens_for_devices(visitor_as):
    fields = {"model": "pcb", "ring": "canary"}
    assert visitor_as(Role.APPROVER).post("/fleet/enrolments", fields).status_code == 403


def test_a_device_is_removed_from_its_page_and_what_it_did_stays(visitor, workspace, boxes):
    assert "Remove box-gear" in visitor.get("/fleet/box-gear").text
    answer = visitor.post("/fleet/box-gear/remove", {"reason": "sold"})
    assert answer.headers["location"] == "/fleet"
    assert ">box-gear</a>" not in visitor.get("/fleet").text
    assert visitor.get("/fleet/box-gear").status_code == 404


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER])
def test_only_an_admin_is_offered_and_allowed_to_remove_a_device(visitor_as, boxes, role):
    visitor = visitor_as(role)
    assert "Remove box-gear" not in visitor.get("/fleet/box-gear").text
    assert visitor.post("/fleet/box-gear/remove", {"reason": "mine"}).status_code == 403


def test_a_rollout_shows_rings_criteria_and_values(visitor, rollout):
    page = visitor.get(f"/fleet/rollouts/{rollout.id}").text
    for shown in ("canary", "waits", "box-disc", "has served it for 0 of 600 s", "ring by ring"):
        assert shown in page, shown
    assert f"/fleet/rollouts/{rollout.id}" in visitor.get("/fleet").text
    assert "pcb@2" in visitor.get("/fleet/rollouts?model=pcb").text


def test_a_rollout_is_paused_resumed_and_stopped(visitor, workspace, rollout):
    address = f"/fleet/rollouts/{rollout.id}"
    assert visitor.post(f"{address}/pause").status_code == 303
    assert state_of(workspace, rollout) == "paused"
    assert visitor.post(f"{address}/resume").status_code == 303
    assert state_of(workspace, rollout) == "running"
    assert visitor.post(f"{address}/abort", {"reason": "wrong labels"}).status_code == 303
    assert state_of(workspace, rollout) == "aborted"
    assert "wrong labels" in visitor.get(address).text


def test_pausing_twice_says_that_it_is_paused(visitor, rollout):
    visitor.post(f"/fleet/rollouts/{rollout.id}/pause")
    answer = visitor.post(f"/fleet/rollouts/{rollout.id}/pause")
    assert answer.status_code == 409
    assert "paused" in answer.text


@pytest.mark.parametrize("action", ["pause", "resume", "abort"])
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ENGINEER])
def test_who_may_not_release_changes_no_rollout(visitor_as, workspace, rollout, role, action):
    answer = visitor_as(role).post(f"/fleet/rollouts/{rollout.id}/{action}")
    assert answer.status_code == 403
    assert state_of(workspace, rollout) == "running"


def test_a_rollout_is_not_changed_without_the_csrf_token(visitor, workspace, rollout):
    assert visitor.post(f"/fleet/rollouts/{rollout.id}/pause", csrf="x").status_code == 403
    assert state_of(workspace, rollout) == "running"


def test_reasons_name_devices(visitor, workspace, rollout, boxes):
    boxes[0].report(state="failed", problem="no memory")
    boxes[0].check_in()
    advance_rollouts(workspace, LOCAL_CALL)
    page = visitor.get(f"/fleet/rollouts/{rollout.id}").text
    assert "box-disc/main could not put the bundle to work: no memory" in page
    assert "box-disc/main could not" in visitor.get("/fleet/rollouts").text


@pytest.mark.processes
def test_a_person_pauses_a_rollout_from_the_page_and_lets_it_go_on(tab, workspace, rollout):
    tab.goto("/fleet")
    tab.locator(".rollout-now").get_by_role("link", name="pcb@2").click()
    tab.get_by_role("button", name="Pause").click()
    tab.get_by_text("Paused since").wait_for()
    assert state_of(workspace, rollout) == "paused"
    tab.get_by_role("button", name="Resume").click()
    tab.get_by_role("button", name="Pause").wait_for()
    assert state_of(workspace, rollout) == "running"


@pytest.mark.processes
def test_an_open_page_follows_the_rollout_by_itself(tab, workspace, rollout, visitor):
    tab.goto(f"/fleet/rollouts/{rollout.id}")
    wait_until_live(tab)
    visitor.post(f"/fleet/rollouts/{rollout.id}/pause")
    tab.get_by_text("Paused since").wait_for(timeout=2000)


@pytest.mark.processes
def test_a_reason_that_is_being_typed_survives_news(tab, rollout, visitor):
    tab.goto(f"/fleet/rollouts/{rollout.id}")
    wait_until_live(tab)
    tab.get_by_text("Stop…").click()
    tab.get_by_label("Why").fill("wrong lab")
    visitor.post(f"/fleet/rollouts/{rollout.id}/pause")
    tab.get_by_text("Paused since").wait_for(timeout=2000)
    assert tab.get_by_label("Why").input_value() == "wrong lab"


@pytest.mark.processes
def test_nobody_is_kept_out_of_the_fleet_by_how_it_looks(tab, rollout):
    for path in ("/fleet", "/fleet/box-disc", "/fleet/rollouts", f"/fleet/rollouts/{rollout.id}"):
        tab.goto(path)
        for width, scheme in product(WIDTHS, ("light", "dark")):
            tab.emulate_media(color_scheme=scheme)
            tab.set_viewport_size({"width": width, "height": 900})
            assert findings(tab) == [], (path, width, scheme)
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.processes
def test_the_token_page_can_be_read_by_all(tab):
    tab.goto("/fleet")
    tab.get_by_label("Model", exact=True).last.fill("pcb")
    tab.get_by_role("button", name="Make a token").click()
    tab.get_by_text("shown once").wait_for()
    assert findings(tab) == []
