"""The use cases of the registry, gathered for their callers; each lives in its topic's file."""

from __future__ import annotations

from sightloop.registry.aliases import set_alias
from sightloop.registry.approvals import approve_version, reject_version
from sightloop.registry.catalogue import list_models, list_versions, show_card, show_version
from sightloop.registry.gating import gate_step, gate_version
from sightloop.registry.packaging import package_run, package_step
from sightloop.registry.signing import sign_step, sign_version

__all__ = [
    "approve_version",
    "gate_step",
    "gate_version",
    "list_models",
    "list_versions",
    "package_run",
    "package_step",
    "reject_version",
    "set_alias",
    "show_card",
    "show_version",
    "sign_step",
    "sign_version",
]
