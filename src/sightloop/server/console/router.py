"""All pages under one roof, so that a refusal of any of them becomes a page."""

from __future__ import annotations

from litestar import Router

from sightloop.kernel.errors import SightloopError
from sightloop.server.console import (
    assets,
    dataset_pages,
    fleet_pages,
    incident_pages,
    live,
    loop_pages,
    model_pages,
    pictures,
    review_pages,
    run_pages,
    session,
)
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
            model_pages.model_page,
            model_pages.models_compare,
            model_pages.models_page,
            model_pages.version_card,
            model_pages.version_comparison,
            model_pages.version_decide,
            model_pages.version_evidence,
            model_pages.version_page,
            model_pages.version_state,
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
            run_pages.run_cancel,
            run_pages.run_file,
            run_pages.run_log,
            run_pages.run_page,
            run_pages.run_state,
            run_pages.runs_compare,
            run_pages.runs_curves,
            run_pages.runs_page,
            run_pages.runs_rows,
            session.sign_in,
            session.sign_in_page,
            session.sign_out,
        ],
        exception_handlers={SightloopError: answer_page_refusal, Exception: answer_page_bug},
    )
