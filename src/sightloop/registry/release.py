"""The one rule of release: nothing goes out that did not pass its gate, or that was rejected."""

from __future__ import annotations

from sightloop.registry.errors import NotReleasable, VersionRejected, VersionRevoked
from sightloop.registry.values import Approval, ModelVersion, VerdictRecord


def require_releasable(
    version: ModelVersion,
    verdict: VerdictRecord | None,
    approval: Approval | None,
    *,
    action: str,
) -> None:
    """Return when the verdict lets the version out and nobody rejected it.

    Raises:
        NotReleasable: see `require_passed`.
        VersionRejected: a person said no.
        VersionRevoked: its owner took it back.
    """
    if version.revoked_at_ms is not None:
        raise VersionRevoked(version=version.name, action=action, reason=version.revoked_reason)
    require_passed(version, verdict, action=action)
    if approval is not None and approval.decision == "reject":
        raise VersionRejected(
            version=version.name, action=action, by=approval.by, comment=approval.comment
        )


def require_passed(version: ModelVersion, verdict: VerdictRecord | None, *, action: str) -> None:
    """Return when the verdict is a pass.

    Raises:
        NotReleasable: it failed, was inconclusive, or there is none; says which rules were not met.
    """
    if verdict is None:
        raise NotReleasable(version=version.name, action=action, outcome="none", reasons=[])
    if verdict.verdict.outcome != "pass":
        raise NotReleasable(
            version=version.name,
            action=action,
            outcome=verdict.verdict.outcome,
            reasons=unmet_rules(verdict),
        )


def unmet_rules(verdict: VerdictRecord) -> list[str]:
    """Each rule that was not passed, with its reason."""
    return [
        f"{rule.rule} ({rule.outcome}): {rule.reason}"
        for rule in verdict.verdict.rules
        if rule.outcome != "pass"
    ]
