"""`/live`: tells open pages that something happened, by server-sent events, within a second.

A page does not get the news itself but its topic, and fetches the pieces that show it: what may be
seen is decided in one place. A browser that was away tells the number it saw last, and gets a
message for every topic if anything happened since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from litestar import Request, get
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from sightloop.kernel import events
from sightloop.kernel.errors import Unauthenticated
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.paging import whole
from sightloop.server.console.session import viewer_of
from sightloop.server.console.words import topic_of
from sightloop.server.context import workspace_of

LOOK_EVERY_S = 0.3
ALIVE_EVERY_S = 15.0


@get("/live", sync_to_thread=False)
def live(request: Request[Any, Any, Any]) -> ServerSentEvent:
    """A stream that lasts as long as the page is open."""
    viewer_of(request)
    after = whole(request.headers.get("last-event-id", ""))
    heard = news(workspace_of(request), after=after, still_welcome=lambda: _is_welcome(request))
    return ServerSentEvent(heard)


async def news(
    workspace: Workspace, *, after: int | None, still_welcome: Callable[[], bool]
) -> AsyncIterator[ServerSentEventMessage]:
    """Topics as they come up; each message's id is the number of the newest event it tells of.

    It ends when whoever listens is no longer welcome: a session may be over before its page is.
    """
    number = await asyncio.to_thread(_newest, workspace) if after is None else after
    quiet_s = 0.0
    while True:
        found = await asyncio.to_thread(_since, workspace, number)
        if (found or quiet_s >= ALIVE_EVERY_S) and not await asyncio.to_thread(still_welcome):
            return
        for topic in sorted({topic_of(event.kind) for event in found}):
            yield ServerSentEventMessage(event=topic, data="", id=str(found[-1].number))
        if found:
            number, quiet_s = found[-1].number, 0.0
        elif quiet_s >= ALIVE_EVERY_S:
            yield ServerSentEventMessage(comment="alive")
            quiet_s = 0.0
        await asyncio.sleep(LOOK_EVERY_S)
        quiet_s += LOOK_EVERY_S


def _is_welcome(request: Request[Any, Any, Any]) -> bool:
    try:
        viewer_of(request)
    except Unauthenticated:
        return False
    return True


def _newest(workspace: Workspace) -> int:
    with workspace.db.read() as tx:
        return events.newest_number(tx)


def _since(workspace: Workspace, number: int) -> list[events.Event]:
    with workspace.db.read() as tx:
        return events.history(tx, after=number)
