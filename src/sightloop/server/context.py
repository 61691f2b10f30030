"""Which workspace a request is about: the one the application was built around."""

from __future__ import annotations

from typing import Any

from litestar import Request

from sightloop.kernel.workspace import Workspace

WORKSPACE = "workspace"


def workspace_of(request: Request[Any, Any, Any]) -> Workspace:
    """The workspace this application serves."""
    workspace = request.app.state[WORKSPACE]
    assert isinstance(workspace, Workspace), "build_app puts it there"
    return workspace
