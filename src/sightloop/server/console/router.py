"""All pages under one roof, so that a refusal of any of them becomes a page."""

from __future__ import annotations

from litestar import Router

from sightloop.kernel.errors import SightloopError
from sightloop.server.console import (
    assets,
    fleet_pages,
    incident_pages,
    live,
    loop_pages,
    pictures,
    session,
)
from sightloop.server.console.rendering import answer_page_bug, answer_page_refusal


def console_router() -> Router:
    """The console's routes."""
    return Router(
        path="/",
        route_handlers=[
            assets.asset_file,
            fleet_pages.abort,
            fleet_pages.device_page,
            fleet_pages.enrol,
            fleet_pages.fleet,
            fleet_pages.pause,
            fleet_pages.resume,
            fleet_pages.rollout_page,
            fleet_pages.rollouts,
            incident_pages.close,
            incident_pages.incident_page,
            incident_pages.incidents,
            live.live,
            loop_pages.home,
            loop_pages.state,
            loop_pages.turn_page,
            loop_pages.turns,
            pictures.picture,
            session.sign_in,
            session.sign_in_page,
            session.sign_out,
        ],
        exception_handlers={SightloopError: answer_page_refusal, Exception: answer_page_bug},
    )
