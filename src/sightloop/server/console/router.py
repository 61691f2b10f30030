"""All pages under one roof, so that a refusal of any of them becomes a page."""

from __future__ import annotations

from litestar import Router

from sightloop.kernel.errors import SightloopError
from sightloop.server.console import (
    assets,
    live,
    loop_pages,
    notify_pages,
    people_pages,
    pictures,
    policy_pages,
    session,
    settings_pages,
)
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
            notify_pages.add,
            notify_pages.notifications,
            notify_pages.remove,
            notify_pages.test,
            people_pages.invite,
            people_pages.people,
            people_pages.revoke,
            people_pages.role,
            pictures.picture,
            policy_pages.moved,
            policy_pages.policy,
            policy_pages.preview,
            policy_pages.save,
            session.sign_in,
            session.sign_in_page,
            session.sign_out,
            settings_pages.keys,
            settings_pages.overview,
            settings_pages.verify,
            settings_pages.workspace_tab,
        ],
        exception_handlers={SightloopError: answer_page_refusal, Exception: answer_page_bug},
    )
