"""Which images are kept, and why: at most one lane per image, the random ones drawn blindly. Pure.

The audit and drift draws happen when a request arrives, before anyone has looked at the image, so
that what the model makes of it cannot influence them; their probability travels with the image.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from sightloop.contracts.check_in import StreamPolicy
from sightloop.contracts.telemetry import Lane

UNCERTAIN_FROM = 0.25
"""One answer a log-odds away from the threshold; a surer image is not even worth a spare token."""


class Draws(NamedTuple):
    """The probability with which each random lane was just entered; None when it was not."""

    audit: float | None
    drift: float | None


NO_DRAWS = Draws(None, None)
"""For requests that are never kept."""


class Kept(NamedTuple):
    """Why an image is kept, and how likely that was before it was looked at."""

    lane: Lane
    inclusion_probability: float


class StreamLanes:
    """The lanes of one stream. Not for several threads."""

    def __init__(self, policy: StreamPolicy, *, seed: str, at_s: float) -> None:
        self._rng = random.Random(seed)
        self._policy = policy
        self._tokens = float(policy.uncertain_per_hour)
        self._filled_at_s = at_s

    def follow(self, policy: StreamPolicy) -> None:
        """Keep by this policy from now on; an hour's budget at most stays in the bucket."""
        self._policy = policy
        self._tokens = min(self._tokens, float(policy.uncertain_per_hour))

    def draw(self) -> Draws:
        """Decide the random lanes for an image nobody has looked at.

        Two numbers are drawn whatever the rates are, so that equal seeds give equal audits under
        policies that differ only in drift.
        """
        policy = self._policy
        return Draws(audit=self._entered(policy.audit_rate), drift=self._entered(policy.drift_rate))

    def choose(self, draws: Draws, *, uncertainty: float, at_s: float) -> Kept | None:
        """The lane that keeps the image, audit first; None when none does.

        Args:
            draws: as drawn when the image arrived.
            uncertainty: of the model's answer, in [0, 1].
            at_s: monotonic seconds; fills the bucket of the uncertain lane.
        """
        if draws.audit is not None:
            return Kept("audit", draws.audit)
        if draws.drift is not None:
            return Kept("drift", draws.drift)
        if uncertainty >= UNCERTAIN_FROM and self._take_token(at_s):
            return Kept("uncertain", 1.0)
        return None

    def _entered(self, rate: float) -> float | None:
        probability = min(rate, 1.0)
        return probability if self._rng.random() < probability else None

    def _take_token(self, at_s: float) -> bool:
        per_hour = float(self._policy.uncertain_per_hour)
        gained = (at_s - self._filled_at_s) * per_hour / 3600
        self._tokens = min(per_hour, self._tokens + gained)
        self._filled_at_s = at_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
