"""A sequential test with a bound on false alarms: the mixture Shiryaev-Roberts e-detector.

**The null.** Every image has a score g in a known interval. For a *side* that looks for larger
scores the null says: whatever was seen before, the mean of the next image's score is at most the
side's boundary, E[g | past] <= m0 + tol; for smaller scores, E[g | past] >= m0 - tol. Nothing else
is assumed: no distribution, no equal spread, not even that images resemble one another. What
breaks it are neighbours that are alike (the past then tells more of the next image than its
stratum does, see `dependence`) and a reference mean off by more than tol (see `scores`).

**The bets.** A bet with fraction f multiplies its stake, per image, by 1 + lambda * (g - boundary)
with lambda = f / (boundary - low) upwards and -f / (high - boundary) downwards. That lies between
1 - f > 0 and a bound above, and under the null its mean given the past is at most 1. Over a window
with counts c the stake grows by exp(S), S = sum over bins of c_b * ln(1 + lambda * (g_b -
boundary)). The product over images is a non-negative supermartingale, so E[exp(S) | past] <= 1
also for a window that ends at a time of its own choosing, as long as that choice does not look
ahead.

**The bound.** Each window stakes 1 anew: M <- (1 + M) * exp(S), and the statistic is the mean of M
over all bets. From E[M_t | past] <= 1 + M_(t-1), M_t - t is a supermartingale, and so is it for
the mean. Stop at the first window T in which the mean reaches A, or at window W: by optional
stopping E[M_min(T,W)] <= E[min(T, W)] <= W, and M is at least A where T <= W, hence

    P(any alarm within W windows) <= W / A.

It also holds when a test starts afresh in between, since each window still stakes 1 at most once.

Source: the e-detectors of Shin, Ramdas and Rinaldo (2024); Shiryaev (1963), Roberts (1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FRACTIONS: Floats = np.geomspace(0.05, 0.9, 6)
"""What each bet risks of its stake on the worst score.

Eight from 0.01 alarm 4 to 8 % later on clear changes. Four from 0.1 alarm up to 9 % sooner on
those, and 40 % later on small ones (bench/monitoring_delay.py).
"""


class Side(msgspec.Struct, frozen=True):
    """One way in which scores may move, and how far they may without it mattering.

    `boundary` is the worst mean of the null: reference mean plus tolerance for direction 1, minus
    tolerance for direction -1. Scores lie in [low, high].
    """

    name: str
    direction: Literal[1, -1]
    boundary: float
    low: float
    high: float

    @property
    def is_testable(self) -> bool:
        """Whether any score lies beyond the boundary, so that a bet on it could ever win."""
        beyond = self.high - self.boundary if self.direction == 1 else self.boundary - self.low
        return beyond > 0.01 * (self.high - self.low)

    def log_factors(self, scores: Sequence[float] | Floats) -> Floats:
        """By what each bet's stake grows on one image, in nats: (n_fractions, n_scores)."""
        risked = self.boundary - self.low if self.direction == 1 else self.high - self.boundary
        gains = self.direction * (np.asarray(scores, dtype=np.float64) - self.boundary) / risked
        return np.log1p(FRACTIONS[:, None] * gains[None, :])


class State(msgspec.Struct, frozen=True):
    """Where a test stands; survives as JSON. A value: advancing makes a new one.

    `log_stakes` holds ln(1 + M) per bet: what the next window multiplies. `since` holds, per bet,
    after how many images the stakes that now dominate were placed; for the bet that leads it
    estimates when the change came. `statistic_nats` is the ln of the mean of M, None before the
    first window, where it would be minus infinity.
    """

    n_windows: int
    n_images: int
    statistic_nats: float | None
    leading_bet: int
    log_stakes: list[float]
    since: list[int]

    @property
    def n_images_since_change(self) -> int:
        """Images seen since the leading bet's estimate of the change."""
        return self.n_images - self.since[self.leading_bet]

    def has_reached(self, threshold_nats: float) -> bool:
        """Whether the statistic stands at or above the threshold."""
        return self.statistic_nats is not None and self.statistic_nats >= threshold_nats


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """The bets on one measure: for each, what it wins or loses in each bin, in nats.

    `sides[i]` is what row i of `log_factors` (n_bets, n_bins) bets on.
    """

    sides: tuple[Side, ...]
    log_factors: Floats

    @property
    def n_bets(self) -> int:
        """How many there are."""
        return len(self.sides)

    def start(self) -> State:
        """The state before the first window."""
        return start(self.n_bets)

    def advance(self, state: State, counts: Sequence[int]) -> State:
        """The state after one more window with these counts; about 50 us."""
        return advance(state, self.log_factors @ np.asarray(counts), n_images=sum(counts))


def start(n_bets: int) -> State:
    """A state in which nothing was seen and 1 is staked on each bet."""
    return State(0, 0, None, 0, [0.0] * n_bets, [0] * n_bets)


def advance(state: State, gains: Floats, *, n_images: int) -> State:
    """The state after a window (or label) that multiplied the stakes by exp(gains)."""
    log_m = np.asarray(state.log_stakes) + gains
    seen = state.n_images + n_images
    # Below M = 1 the stake placed next outweighs all earlier ones: the bet begins anew there.
    since = np.where(log_m < 0, seen, state.since)
    return State(
        n_windows=state.n_windows + 1,
        n_images=seen,
        statistic_nats=float(log_mean(log_m)),
        leading_bet=int(np.argmax(log_m)),
        log_stakes=stakes_after(log_m).tolist(),
        since=since.tolist(),
    )


def stakes_after(log_m: Floats) -> Floats:
    """ln(1 + M) from ln M, of any shape: the next window stakes 1 more."""
    return np.logaddexp(0.0, log_m)


def log_mean(log_m: Floats) -> Floats:
    """Of ln M per bet, on the last axis: the ln of the mean of M."""
    peak = log_m.max(axis=-1, keepdims=True)
    mean = np.mean(np.exp(log_m - peak), axis=-1)
    return np.asarray(np.log(mean) + peak[..., 0])
