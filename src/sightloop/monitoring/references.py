"""Which reference fits a stream, and the test that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from sightloop.contracts.bundle import Reference, ReferenceLoss, ReferenceMeasure
from sightloop.monitoring.detector import FRACTIONS, Detector, Side, State, advance, start
from sightloop.monitoring.scores import (
    N_SIDES,
    build_detector,
    tolerance,
    tolerated_errors,
)
from sightloop.monitoring.settings import MonitorSettings

POOLED = ""
"""The stratum of all images together."""

Guarantee = Literal["guaranteed", "calibrated", "untestable"]
"""`guaranteed`: the bound on false alarms holds. `calibrated`: same test, but its null is not
known to hold, so its threshold is only customary. `untestable`: there is nothing to compare with.
"""


class Standing(NamedTuple):
    """What a monitor's alarm is worth, and why it is not worth more."""

    guarantee: Guarantee
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class LossDetector:
    """The bets that audited losses, which lie in [0, 1], have a higher mean than the reference.

    Each label is a window of its own. The null, "the mean loss of the next audited image is at
    most the boundary, whatever was seen before", is about single images chosen by chance: that an
    image was kept says nothing about its loss, at whatever rate. So labels need no weights, and a
    rate that changes only changes how soon they come. Weights would be needed to estimate the
    mean loss of a *period* over which the rate changed, which is not done here. What the null
    does need: the rate is fixed before the image is seen, and labels arrive in an order that does
    not depend on the loss (nobody labels the easy ones first).
    """

    side: Side

    @property
    def n_bets(self) -> int:
        """How many there are."""
        return len(FRACTIONS)

    def start(self) -> State:
        """The state before the first label."""
        return start(self.n_bets)

    def advance(self, state: State, loss: float) -> State:
        """The state after one more label."""
        return advance(state, self.side.log_factors([loss])[:, 0], n_images=1)


class FittedMeasure(NamedTuple):
    """The test of one measure against one stratum; without a detector when it is untestable."""

    detector: Detector | None
    standing: Standing
    reference: ReferenceMeasure | None
    counts: list[int]


class FittedLoss(NamedTuple):
    """The test of audited losses against one stratum."""

    detector: LossDetector | None
    standing: Standing
    reference: ReferenceLoss | None


def fit_measure(
    reference: Reference, measure: str, *, stratum: str, settings: MonitorSettings
) -> FittedMeasure:
    """The detector for a stream of this stratum.

    A stratum with fewer than `min_reference_images` is untestable, and not compared with all
    strata together: one line among several differs from their mixture without any drift, and a
    trial with twelve images per line alarmed on every camera within a minute. Only a stratum of
    which the reference knows nothing is compared with all, and counts as calibrated: that it
    looks like none of them is what somebody should hear.
    """
    known = next((one for one in reference.measures if one.name == measure), None)
    if known is None:
        reason = f"the release's reference has no measure {measure!r}"
        return FittedMeasure(None, Standing("untestable", reason), None, [])
    pooled = known.counts.get(POOLED, [])
    sizes = {name: sum(counts) for name, counts in known.counts.items()}
    n_own = sizes.get(stratum, 0)
    if 0 < n_own < settings.min_reference_images:
        reason = _too_few(n_own, stratum, settings.min_reference_images)
        return FittedMeasure(None, Standing("untestable", reason), known, [])
    chosen, standing = _choose(sizes, stratum, settings.min_reference_images)
    if chosen is None:
        return FittedMeasure(None, standing, known, [])
    counts = known.counts[chosen]
    n_means = N_SIDES * sum(len(one.counts) for one in reference.measures)
    n_errors = tolerated_errors(n_means=n_means, reference_error=settings.reference_error)
    detector = build_detector(counts, pooled=pooled or counts, n_errors=n_errors, settings=settings)
    return FittedMeasure(detector, standing, known, counts)


def fit_loss(reference: Reference, *, stratum: str, settings: MonitorSettings) -> FittedLoss:
    """The loss detector for a stream of this stratum.

    A stratum with fewer than `min_reference_images` is held to the loss of all strata together,
    which is calibrated only; with too few in all, the loss is untestable.
    """
    sizes = {name: loss.n_images for name, loss in reference.losses.items()}
    chosen, standing = _choose(sizes, stratum, settings.min_reference_images)
    if chosen is None:
        return FittedLoss(None, standing, None)
    loss = reference.losses[chosen]
    n_errors = tolerated_errors(n_means=len(sizes), reference_error=settings.reference_error)
    side = loss_side(loss, n_errors=n_errors, smallest=settings.smallest_loss)
    if not side.is_testable:
        reason = f"a mean loss of {loss.mean:.2f} leaves no room to get worse"
        return FittedLoss(None, Standing("untestable", reason), loss)
    return FittedLoss(LossDetector(side), standing, loss)


def loss_side(loss: ReferenceLoss, *, n_errors: float, smallest: float) -> Side:
    """Upwards from the reference's mean loss and its tolerance."""
    tol = tolerance(
        variance=loss.deviation**2,
        room=1.0 - loss.mean,
        n_images=loss.n_images,
        n_errors=n_errors,
        smallest=smallest,
    )
    return Side("loss", 1, loss.mean + tol, 0.0, 1.0)


def _choose(sizes: dict[str, int], stratum: str, min_images: int) -> tuple[str | None, Standing]:
    if sizes.get(stratum, 0) >= min_images:
        return stratum, Standing("guaranteed")
    too_few = _too_few(sizes.get(stratum, 0), stratum, min_images)
    if sizes.get(POOLED, 0) >= min_images:
        return POOLED, Standing("calibrated", f"{too_few}; compared with all strata together")
    return None, Standing("untestable", too_few)


def _too_few(n_images: int, stratum: str, min_images: int) -> str:
    name = stratum or "all strata"
    return f"the reference has {n_images} images of {name}, {min_images} are needed"
