"""The loop is watched from the home page while it turns, with every process there is."""

import pytest

from sightloop.demo.stage import opened_stage
from sightloop.loop.services import RunLoop
from sightloop.loop.turns import Turn
from sightloop.server.callers import read_token
from sightloop.testing.plant import MODEL, start_plant


@pytest.fixture
def plant(tmp_path):
    with opened_stage(tmp_path / "out") as stage:
        start_plant(stage)
        yield stage


@pytest.fixture
def home(chromium, plant):
    context = chromium.new_context(base_url=plant.server_url)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto("/")
    page.get_by_label("Token").fill(read_token(plant.workspace / ".sightloop"))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(plant.server_url + "/")
    yield page
    context.close()


def station(page, name: str):
    return page.locator(f"svg.loop a.station[aria-label^='{name}:']")


@pytest.mark.processes
def test_a_turn_passes_from_station_to_station_before_ones_eyes(home, plant):
    station(home, "registry").get_by_text("no champion yet", exact=True).wait_for()
    plant.call("loop.run", RunLoop(model=MODEL), Turn)
    home.locator("a.station.busy[aria-label^='training:']").wait_for()
    station(home, "registry").get_by_text("blobs@1", exact=True).wait_for()
    home.get_by_text("Turn of blobs: released").first.wait_for()
    home.get_by_text("watching, nothing under way").wait_for()
    station(home, "device").get_by_text("1 online", exact=True).wait_for()


@pytest.mark.processes
def test_a_page_that_stayed_open_over_a_restart_goes_on(home, plant):
    port = int(plant.server_url.rpartition(":")[2])
    plant.server.terminate()
    plant.server.wait()
    plant.start_server(port=port)
    plant.call("loop.run", RunLoop(model=MODEL), Turn)
    home.get_by_text("Turn of blobs: released").first.wait_for()
