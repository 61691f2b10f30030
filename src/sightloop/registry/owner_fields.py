"""What an owner says beside his list of manifests: versions taken back, builds vouched for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sightloop.contracts import gated_builds, revocation
from sightloop.contracts.revocation import Revocation
from sightloop.kernel.database import Tx
from sightloop.registry.build_verdicts import gated_bundles
from sightloop.registry.values import ModelVersion


def owner_fields(
    tx: Tx, *, vouched: Iterable[ModelVersion], revoked: Iterable[ModelVersion]
) -> dict[str, Any]:
    """The fields of the owner's metadata, from what is recorded of these versions of his."""
    return {
        **revocation.as_fields([_statement(one) for one in revoked]),
        **gated_builds.as_fields(gated_bundles(tx, vouched)),
    }


def _statement(version: ModelVersion) -> Revocation:
    assert version.revoked_at_ms is not None, "only revoked versions are listed"
    return Revocation(
        bundle=version.bundle,
        version=version.number,
        reason=version.revoked_reason,
        revoked_at_ms=version.revoked_at_ms,
    )
