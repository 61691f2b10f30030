"""`loop.yaml` in the workspace's folder; without one the loop has no model to look after."""

from __future__ import annotations

from pathlib import Path

from sightloop.kernel.workspace import Workspace
from sightloop.loop.errors import BadPolicy
from sightloop.loop.policy import Policy, parse_policy

POLICY_NAME = "loop.yaml"


def read_policy(workspace: Workspace) -> Policy:
    """The policy as the file says now, so that an edit takes effect without a restart.

    Raises:
        BadPolicy: the file cannot be used; names the place in it.
    """
    text = read_policy_text(workspace)
    return Policy() if text is None else parse_policy(text, where=str(policy_path(workspace)))


def read_policy_bytes(workspace: Workspace) -> bytes | None:
    """The file as it is; None when there is none."""
    try:
        return policy_path(workspace).read_bytes()
    except FileNotFoundError:
        return None


def policy_text(content: bytes, *, where: str) -> str:
    """The bytes of a policy as text.

    Raises:
        BadPolicy: they are not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPolicy(where=where, problem=f"it is not UTF-8: {error}") from error


def read_policy_text(workspace: Workspace) -> str | None:
    """The file as text; None when there is none.

    Raises:
        BadPolicy: it is not text in UTF-8.
    """
    content = read_policy_bytes(workspace)
    return None if content is None else policy_text(content, where=str(policy_path(workspace)))


def policy_path(workspace: Workspace) -> Path:
    """Where the policy is, or would be."""
    return workspace.root / POLICY_NAME
