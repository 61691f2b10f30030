"""How long a design takes to notice a change: by playing it, with the chance that is passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from sightloop.monitoring.detector import Detector, Floats, log_mean, stakes_after
from sightloop.monitoring.references import LossDetector

N_STREAMS = 200
LIMIT_IMAGES = 5_000


class Delay(msgspec.Struct, frozen=True):
    """Images (or labels) from a change to its alarm, over the streams that were played.

    None where so many streams had not alarmed when the playing stopped.
    """

    median: int | None
    nine_in_ten: int | None
    n_missed: int
    n_streams: int


def expected_delay(
    detector: Detector,
    live_counts: Sequence[int],
    *,
    threshold_nats: float,
    window_images: int,
    rng: np.random.Generator,
    n_streams: int = N_STREAMS,
) -> Delay:
    """Images until the alarm when they are distributed as `live_counts` from the start on.

    An alarm comes at the end of its window. Takes about 0.1 s for a clear shift.
    """
    shares = np.asarray(live_counts, dtype=np.float64)
    shares /= shares.sum()

    def play_window() -> Floats:
        return rng.multinomial(window_images, shares, size=n_streams) @ detector.log_factors.T

    return _play(play_window, threshold_nats=threshold_nats, images_each=window_images)


def expected_loss_delay(
    detector: LossDetector,
    live_losses: Sequence[float],
    *,
    threshold_nats: float,
    rng: np.random.Generator,
    n_streams: int = N_STREAMS,
) -> Delay:
    """Labels until the alarm when their losses are drawn from `live_losses`."""
    gains = detector.side.log_factors(np.asarray(live_losses, dtype=np.float64)).T

    def play_label() -> Floats:
        return gains[rng.integers(len(gains), size=n_streams)]

    return _play(play_label, threshold_nats=threshold_nats, images_each=1)


def _play(play: Callable[[], Floats], *, threshold_nats: float, images_each: int) -> Delay:
    gains = play()
    log_stakes = np.zeros_like(gains)
    alarmed_at = np.full(len(gains), np.inf)
    for n_images in range(images_each, LIMIT_IMAGES + 1, images_each):
        log_m = log_stakes + gains
        newly = (log_mean(log_m) >= threshold_nats) & np.isinf(alarmed_at)
        alarmed_at[newly] = n_images
        if np.isfinite(alarmed_at).all():
            break
        log_stakes, gains = stakes_after(log_m), play()
    return Delay(
        median=_quantile(alarmed_at, 0.5),
        nine_in_ten=_quantile(alarmed_at, 0.9),
        n_missed=int(np.isinf(alarmed_at).sum()),
        n_streams=len(alarmed_at),
    )


def _quantile(alarmed_at: Floats, share: float) -> int | None:
    value = float(np.quantile(alarmed_at, share, method="inverted_cdf"))
    return int(value) if np.isfinite(value) else None
