"""Open pages hear of what happened, for as long as their session lasts."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sightloop.kernel.actors import LOCAL
from sightloop.kernel.events import EventKind, tell
from sightloop.server.console.live import news


def happen(workspace, kind: str) -> None:
    with workspace.db.write() as tx:
        tell(tx, EventKind(kind), "x", by=LOCAL, at_ms=1, data={})


async def topics(workspace, *, after: int, welcome: bool = True) -> list[str]:
    heard = news(workspace, after=after, still_welcome=lambda: welcome)
    found = []
    async for message in heard:
        found.append(message.event)
        if len(found) == 2:
            break
    return found


def heard(workspace, **how) -> list[str]:
    # In a thread of its own: a browser test before this one may have left a loop in ours.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(topics(workspace, **how))).result()


def test_a_page_hears_each_topic_once_however_much_happened(workspace):
    for kind in ("run.started", "run.finished", "incident.opened"):
        happen(workspace, kind)
    assert heard(workspace, after=0) == ["incidents", "runs"]


def test_whoever_has_lost_the_session_hears_nothing_more(workspace):
    happen(workspace, "run.started")
    assert heard(workspace, after=0, welcome=False) == []


def test_nobody_listens_without_a_session(stranger):
    assert stranger.get("/live", follow_redirects=False).status_code == 303
