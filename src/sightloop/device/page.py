"""The page at `/`: what the device sees, what it runs, how it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sightloop.device.front import Front, json_response
from sightloop.device.status import AgentStatus, SlotStatus
from sightloop.kernel.clock import format_utc
from sightloop.kernel.digests import short

_FILES = Path(__file__).parent / "page_files"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class LiveReply(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a stream's last image; `at_ms` is None before there is one."""

    stream: str
    at_ms: int | None = None
    model: str = ""
    version: int = 0
    n_objects: int = 0
    duration_ms: float = 0.0
    problem: str = ""
    """Why there is no picture of it; empty when there is one."""


class PageRoutes:
    """The page and what it loads."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", self.page),
            Route("/page.css", _file("page.css", "text/css")),
            Route("/page.js", _file("page.js", "text/javascript")),
            Route("/live.json", self.live),
            Route("/live.jpg", self.picture),
        ]

    async def page(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """The page itself, complete without its script but for the picture."""
        return HTMLResponse(page_of(self._front.status()), headers=_HEADERS)

    async def live(self, request: Request) -> Response:
        """What the last image of `?stream=` was; asking makes the next one be drawn."""
        stream = self._front.stream(request.query_params.get("stream", ""))
        picture = self._front.live.watch(stream.name)
        if picture is None:
            return json_response(LiveReply(stream=stream.name))
        return json_response(
            LiveReply(
                stream=stream.name,
                at_ms=picture.at_ms,
                model=picture.model,
                version=picture.version,
                n_objects=picture.n_objects,
                duration_ms=round(picture.duration_ms, 3),
                problem=picture.problem,
            )
        )

    async def picture(self, request: Request) -> Response:
        """The last image of `?stream=` with the answer in it; 204 when there is none yet."""
        stream = self._front.stream(request.query_params.get("stream", ""))
        picture = self._front.live.watch(stream.name)
        if picture is None or not picture.jpeg:
            return Response(status_code=204, headers=_HEADERS)
        return Response(picture.jpeg, media_type="image/jpeg", headers=_HEADERS)


def page_of(status: AgentStatus) -> str:
    """The page as HTML."""
    streams = "".join(f"<option>{escape(stream.name)}</option>" for stream in status.streams)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(status.device)}</title>"
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css">'
        '<script src="/page.js" defer></script>'
        '<noscript><meta http-equiv="refresh" content="5"></noscript></head><body><main>'
        f"<h1>{escape(status.device)}</h1>"
        '<div class="columns"><section class="card" aria-labelledby="live"><h2 id="live">Live</h2>'
        f'<label for="stream">Stream</label> <select id="stream">{streams}</select>'
        '<figure><img id="picture" alt="" hidden><figcaption id="caption" class="soft">'
        "Waiting for an image of this stream…</figcaption></figure></section>"
        f"{_facts(status)}</div>{_slots(status)}</main></body></html>"
    )


def _facts(status: AgentStatus) -> str:
    spool, seen = status.spool, status.last_check_in_at_ms
    facts = [
        ("Agent", status.agent_version),
        ("Server", status.server),
        ("Last check-in", "never" if seen is None else format_utc(seen)),
        ("Problem", status.check_in_problem or "none"),
        ("Spool", f"{spool.n_envelopes} messages, {spool.size_bytes} bytes"),
        ("Streams", ", ".join(stream.name for stream in status.streams)),
    ]
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{escape(value)}</td></tr>' for name, value in facts
    )
    return (
        '<section class="card" id="device" data-fresh aria-labelledby="device-h">'
        f'<h2 id="device-h">Device</h2><table>{rows}</table></section>'
    )


def _slots(status: AgentStatus) -> str:
    head = ("Slot", "Model", "Bundle", "State", "Requests", "Failed", "95 % within", "Problem")
    columns = "".join(f'<th scope="col">{name}</th>' for name in head)
    rows = "".join(_row(slot) for slot in status.slots)
    return (
        '<section class="card" id="slots" data-fresh aria-labelledby="slots-h" tabindex="0">'
        f'<h2 id="slots-h">Slots</h2><table><thead><tr>{columns}</tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _row(slot: SlotStatus) -> str:
    report = slot.report
    cells = [
        report.slot,
        f"{slot.model}@{slot.version}" if slot.model else "none",
        short(report.running or ""),
        report.state,
        str(report.n_requests),
        str(report.n_failed),
        f"{report.latency_p95_ms:.1f} ms",
        report.problem or "none",
    ]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:  # noqa: ARG001 - a route's form
        return Response((_FILES / name).read_bytes(), media_type=media_type, headers=_HEADERS)

    return answer
