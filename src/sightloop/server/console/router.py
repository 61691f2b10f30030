"""All pages under one roof, so that a refusal of any of them becomes a page."""

from __future__ import annotations

from litestar import Router

from sightloop.kernel.errors import SightloopError
from sightloop.server.console import assets, live, loop_pages, pictures, review_pages, session
from sightloop.server.console.rendering import answer_page_bug, answer_page_refusal


def console_router() -> Router:
    """The console's routes."""
    return Router(
        path="/",
        route_handlers=[
            assets.asset_file,
            live.live,
            loop_pages.home,
            loop_pages.state,
            loop_pages.turn_page,
            loop_pages.turns,
            pictures.picture,
            review_pages.claim,
            review_pages.disagreements,
            review_pages.label,
            review_pages.next_task,
            review_pages.no_next_task,
            review_pages.queue,
            review_pages.queue_piece,
            review_pages.release,
            review_pages.second,
            review_pages.second_page,
            review_pages.skip,
            review_pages.task_page,
            session.sign_in,
            session.sign_in_page,
            session.sign_out,
        ],
        exception_handlers={SightloopError: answer_page_refusal, Exception: answer_page_bug},
    )
