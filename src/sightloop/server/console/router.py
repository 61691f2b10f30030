"""All pages under one roof, so that a refusal of any of them becomes a page."""

from __future__ import annotations

from litestar import Router

from sightloop.kernel.errors import SightloopError
from sightloop.server.console import assets, dataset_pages, live, loop_pages, pictures, session
from sightloop.server.console.rendering import answer_page_bug, answer_page_refusal


def console_router() -> Router:
    """The console's routes."""
    return Router(
        path="/",
        route_handlers=[
            assets.asset_file,
            dataset_pages.compare,
            dataset_pages.dataset,
            dataset_pages.datasets,
            dataset_pages.sample_page,
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
