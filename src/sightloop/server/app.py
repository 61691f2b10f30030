"""The application: routes around one workspace."""

from __future__ import annotations

from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from sightloop.fleet.report_buffer import ReportBuffer
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.server import api, device_routes, update_routes
from sightloop.server.admission import Admission
from sightloop.server.console.router import console_router
from sightloop.server.context import WORKSPACE
from sightloop.server.mlflow import routes as mlflow
from sightloop.server.rendering import (
    answer_bug,
    answer_http_error,
    answer_refusal,
    json_response,
)


@get("/health", sync_to_thread=False)
def health() -> Response[bytes]:
    """Whether the server answers at all; needs no token and touches no store."""
    return json_response({"status": "ok"})


def build_app(workspace: Workspace) -> Litestar:
    """The application that serves this workspace."""
    desk = device_routes.CheckInDesk(Admission(), ReportBuffer(workspace.db))
    return Litestar(
        route_handlers=[
            health,
            api.list_operations,
            api.call_operation,
            device_routes.enrol,
            device_routes.check_in_route,
            device_routes.telemetry,
            device_routes.upload,
            update_routes.metadata_file,
            update_routes.target_file,
            update_routes.blob_file,
            *mlflow.HANDLERS,
            console_router(),
        ],
        state=State({WORKSPACE: workspace, device_routes.DESK: desk}),
        on_shutdown=[desk.buffer.close],
        exception_handlers={
            SightloopError: answer_refusal,
            HTTPException: answer_http_error,
            Exception: answer_bug,
        },
        openapi_config=None,
        logging_config=None,
    )
