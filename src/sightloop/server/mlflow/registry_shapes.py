"""Models and versions as MLflow's clients read them. Pure.

What Sightloop knows of its own versions stands among their tags, under names that begin with
`sightloop.`.
"""

from __future__ import annotations

from typing import Any

from sightloop.registry.registered import RegisteredModel, RegisteredVersion
from sightloop.server.mlflow.shapes import pairs


def model_shape(model: RegisteredModel) -> dict[str, Any]:
    """A registered model with the newest version in each stage."""
    shape: dict[str, Any] = {
        "name": model.name,
        "creation_timestamp": model.created_at_ms,
        "last_updated_timestamp": model.updated_at_ms,
    }
    if model.description:
        shape["description"] = model.description
    if model.latest:
        shape["latest_versions"] = [version_shape(one) for one in model.latest]
    if model.tags:
        shape["tags"] = pairs(model.tags.items())
    if model.aliases:
        shape["aliases"] = [
            {"alias": alias, "version": str(number)} for alias, number in model.aliases.items()
        ]
    return shape


def version_shape(version: RegisteredVersion) -> dict[str, Any]:
    """One version, of whichever kind."""
    shape: dict[str, Any] = {
        "name": version.model,
        "version": str(version.number),
        "creation_timestamp": version.created_at_ms,
        "last_updated_timestamp": version.updated_at_ms,
        "current_stage": version.stage,
        "description": version.description,
        "source": version.source,
        "run_id": version.run,
        "status": "READY",
        "run_link": version.run_link,
    }
    if tags := version.tags | _facts(version):
        shape["tags"] = pairs(tags.items())
    if version.aliases:
        shape["aliases"] = version.aliases
    return shape


def _facts(version: RegisteredVersion) -> dict[str, str]:
    facts = {"bundle": version.bundle, "dataset_commit": version.dataset_commit}
    return {f"sightloop.{name}": value for name, value in facts.items() if value is not None}
