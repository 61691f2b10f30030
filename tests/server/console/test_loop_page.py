"""The home page shows the loop as it is, and says so to everybody."""

import pytest

from sightloop.kernel.actors import LOCAL
from sightloop.kernel.events import EventKind, tell
from sightloop.server.console.loop_pages import HREFS
from tests.server.console.conftest import WIDTHS, findings, wait_until_live


def test_an_empty_workspace_says_what_to_do_first(visitor):
    page = visitor.get("/").text
    assert "Nothing has been imported yet" in page
    assert "sightloop data import FOLDER" in page


def test_every_station_leads_to_its_pages(visitor):
    page = visitor.get("/").text
    for href in HREFS.values():
        assert f'href="{href}"' in page


def test_markup_in_an_event_is_shown_as_text(visitor, workspace):
    data = {"step": "train", "inputs": {}, "error": "<img src=x onerror=alert(1)>" + "x" * 10_000}
    with workspace.db.write() as tx:
        tell(tx, EventKind("step.failed"), "s", by=LOCAL, at_ms=1, data=data)
    page = visitor.get("/").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert len(page) < 60_000


@pytest.mark.processes
def test_an_event_is_on_the_page_within_a_second(tab, workspace):
    tab.goto("/")
    wait_until_live(tab)
    data = {"branch": "nightly", "commit": "sha256:" + "0" * 64}
    with workspace.db.write() as tx:
        tell(tx, EventKind("branch.created"), "nightly", by=LOCAL, at_ms=1, data=data)
    tab.get_by_text("Branch nightly begins").wait_for(timeout=1000)


@pytest.mark.processes
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/loop", "/sign-in"])
def test_nobody_is_kept_out_by_how_it_looks(tab, path: str, width: int, scheme: str):
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(path)
    assert findings(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.processes
def test_keys_lead_from_room_to_room(tab):
    tab.goto("/loop")
    tab.keyboard.press("g")
    tab.keyboard.press("l")
    tab.wait_for_url("**/")
    tab.keyboard.press("?")
    assert tab.get_by_role("dialog").is_visible()
