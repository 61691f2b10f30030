"""`loop.yaml` in the workspace's folder; without one the loop has no model to look after."""

from __future__ import annotations

from sightloop.kernel.workspace import Workspace
from sightloop.loop.policy import Policy, parse_policy

POLICY_NAME = "loop.yaml"


def read_policy(workspace: Workspace) -> Policy:
    """The policy as the file says now, so that an edit takes effect without a restart.

    Raises:
        BadPolicy: the file cannot be used; names the place in it.
    """
    path = workspace.root / POLICY_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Policy()
    return parse_policy(text, where=str(path))
