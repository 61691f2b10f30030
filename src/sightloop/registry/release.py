"""The one rule of release: nothing goes out whose latest verdict is not a pass."""

from __future__ import annotations

from sightloop.registry.errors import NotReleasable
from sightloop.registry.values import ModelVersion, VerdictRecord


def require_passed(version: ModelVersion, verdict: VerdictRecord | None, *, action: str) -> None:
    """Return when the verdict lets the version out.

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
