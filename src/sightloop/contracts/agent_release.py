"""A release of the agent itself, as devices fetch it: a signed manifest and the wheels it names.

Specification: docs/formats/agent-release.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.bundle import BundleFile
from sightloop.kernel.digests import Digest

AGENT_SLOT = "@agent"
"""The slot, and the model, of an assignment that names a release of the agent."""

SELF_UPDATE = "self-update/1"
"""The capability of an agent that can be replaced like this."""


class AgentRelease(msgspec.Struct, frozen=True, kw_only=True):
    """What to start, and the wheels to unpack beside each other before that."""

    format: Literal["sightloop.agent-release/1"] = "sightloop.agent-release/1"
    version: str
    """As the agent calls itself."""
    number: int
    entry: str = "sightloop.device"
    """The module that is run, with the same flags as the agent before."""
    files: list[BundleFile]
    created_at_ms: int


def release_path(release: Digest) -> str:
    """How the update metadata calls the release."""
    return f"agents/{release.removeprefix('sha256:')}.json"
