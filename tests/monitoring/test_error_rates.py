"""How often the detectors alarm when they should not, and how soon when they should.

Every rate is over a few hundred seeded streams, played side by side.
"""

import numpy as np
import pytest

from sightloop.contracts.bundle import ReferenceLoss
from sightloop.inference.histograms import count_bins, quantile_edges
from sightloop.monitoring.budget import share_of, threshold_nats
from sightloop.monitoring.detector import Floats, Side, log_mean, stakes_after
from sightloop.monitoring.references import loss_side
from sightloop.monitoring.scores import N_SIDES, build_detector, tolerated_errors
from sightloop.monitoring.settings import MonitorSettings

A_SINGLE = np.log(1e4)
LOSS_SIDE = Side("loss", 1, 0.10, 0.0, 1.0)


def alarm_times(gains: Floats, threshold_nats: float) -> Floats:
    """The window of each stream's first alarm, from 1; infinite without. (n, windows, bets)."""
    log_stakes = np.zeros((len(gains), gains.shape[2]))
    times = np.full(len(gains), np.inf)
    for window in range(gains.shape[1]):
        log_m = log_stakes + gains[:, window]
        times[(log_mean(log_m) >= threshold_nats) & np.isinf(times)] = window + 1
        log_stakes = stakes_after(log_m)
    return times


def loss_gains(side: Side, losses: Floats) -> Floats:
    """Of losses that are 0 or 1: (n, labels, bets)."""
    return side.log_factors([0.0, 1.0]).T[losses.astype(int)]


def windows_of(ranks: Floats, edges: list[float], *, images_each: int) -> Floats:
    """Counts of consecutive windows of one stream."""
    n_bins, n_windows = len(edges) + 1, len(ranks) // images_each
    window = np.arange(len(ranks)) // images_each
    places = window * n_bins + np.searchsorted(edges, ranks, side="left")
    return np.bincount(places, minlength=n_windows * n_bins).reshape(n_windows, n_bins)


def estimated_null(rng, *, n_reference: int, n_errors: float, smallest: float) -> Floats:
    """8,000 images of a stream that is as its reference, of which only a sample is known."""
    settings = MonitorSettings(
        smallest_location=smallest, smallest_spread=smallest, smallest_tail=smallest
    )
    reference = rng.random(n_reference)
    edges = quantile_edges(reference.tolist())
    counts = count_bins(edges, reference)
    detector = build_detector(counts, pooled=counts, n_errors=n_errors, settings=settings)
    return windows_of(rng.random(8000), edges, images_each=20) @ detector.log_factors.T


def test_a_null_that_holds_with_room_to_spare_is_left_in_peace():
    losses = np.random.default_rng(1).random((300, 4000)) < 0.08
    alarmed = np.isfinite(alarm_times(loss_gains(LOSS_SIDE, losses), A_SINGLE)).mean()
    assert alarmed <= 0.06  # the bound is 0.4


def test_in_the_worst_case_of_the_null_the_bound_holds():
    losses = np.random.default_rng(2).random((300, 4000)) < 0.10
    alarmed = np.isfinite(alarm_times(loss_gains(LOSS_SIDE, losses), A_SINGLE)).mean()
    assert 0.1 <= alarmed <= 0.4  # close enough to the bound that it is no empty promise


def test_the_bound_holds_for_losses_that_learn_from_the_past_what_to_be():
    """The null is about the mean given the past, so even a malicious order cannot break it."""
    rng = np.random.default_rng(3)
    log_stakes, alarmed = np.zeros((300, 6)), np.zeros(300, dtype=bool)
    for _ in range(1000):
        ahead = log_mean(log_stakes) > np.log(30)
        # Ahead, go for all or nothing; behind, keep still. The mean is 0.10 either way.
        losses = np.where(ahead, rng.random(300) < 0.10, 0.10)
        gains = LOSS_SIDE.log_factors(losses).T
        alarmed |= log_mean(log_stakes + gains) >= np.log(1e4)
        log_stakes = stakes_after(log_stakes + gains)
    assert alarmed.mean() <= 1000 / 1e4


@pytest.mark.parametrize("n_reference", [300, 2000])
def test_without_a_tolerance_an_estimated_reference_breaks_the_bound(n_reference):
    rng = np.random.default_rng(4)
    gains = [
        estimated_null(rng, n_reference=n_reference, n_errors=1e-3, smallest=1e-6)
        for _ in range(60)
    ]
    alarmed = np.isfinite(alarm_times(np.stack(gains), np.log(400 / 0.08))).mean()
    assert alarmed >= 2 * 0.08


@pytest.mark.parametrize("n_reference", [80, 300, 2000])
def test_with_the_mandatory_tolerance_the_bound_holds_for_an_estimated_reference(n_reference):
    rng = np.random.default_rng(5)
    n_errors = tolerated_errors(n_means=N_SIDES, reference_error=0.05)
    gains = [
        estimated_null(rng, n_reference=n_reference, n_errors=n_errors, smallest=1e-6)
        for _ in range(120)
    ]
    alarmed = np.isfinite(alarm_times(np.stack(gains), np.log(400 / 0.08))).mean()
    assert alarmed <= 0.04


@pytest.mark.parametrize(
    ("live", "nats", "labels"),
    [(0.15, 9.21, 330), (0.20, 9.21, 125), (0.30, 9.21, 44), (0.20, 16.1, 290)],
)
def test_a_worse_loss_is_noticed_after_as_many_labels_as_planned(live, nats, labels):
    losses = np.random.default_rng(6).random((300, 1500)) < live
    times = alarm_times(loss_gains(LOSS_SIDE, losses), nats)
    assert np.median(times) == pytest.approx(labels, rel=0.15)


def test_a_small_fleet_with_small_references_stays_calm_for_thousands_of_images():
    """Three streams, 11 measures, 80 reference images each: 3,000 images without an alarm."""
    rng, settings = np.random.default_rng(7), MonitorSettings(n_streams=3)
    n_errors = tolerated_errors(n_means=4 * 11 * N_SIDES, reference_error=0.1)
    gains = []
    for _ in range(3 * 11 * 4):
        reference, others = rng.random(80), rng.random(160)
        edges = quantile_edges([*reference, *others])
        counts, pooled = count_bins(edges, reference), count_bins(edges, [*reference, *others])
        detector = build_detector(counts, pooled=pooled, n_errors=n_errors, settings=settings)
        gains.append(windows_of(rng.random(3000), edges, images_each=20) @ detector.log_factors.T)
    assert np.isinf(alarm_times(np.stack(gains), small_fleet_nats(settings))).all()


@pytest.mark.parametrize("n_reference", [60, 100])
def test_a_line_that_looks_clearly_different_is_noticed_within_forty_images(n_reference):
    """Nine in ten images beyond what nine in ten of the reference were, windows of ten."""
    rng, settings = np.random.default_rng(8), MonitorSettings(n_streams=3)
    n_errors = tolerated_errors(n_means=4 * 11 * N_SIDES, reference_error=0.1)
    gains = []
    for _ in range(60):
        reference = rng.random(n_reference)
        edges = quantile_edges([*reference, *(rng.random(200) * 1.2)])
        counts = count_bins(edges, reference)
        detector = build_detector(counts, pooled=counts, n_errors=n_errors, settings=settings)
        live = np.where(rng.random(200) < 0.9, 0.9 + 0.2 * rng.random(200), rng.random(200))
        gains.append(windows_of(live, edges, images_each=10) @ detector.log_factors.T)
    times = 10 * alarm_times(np.stack(gains), small_fleet_nats(settings))
    assert np.quantile(times, 0.9) <= 40


def test_a_doubled_loss_on_a_small_reference_is_noticed_within_fifty_labels():
    """Mean 0.25 over 80 images, 0.60 after; three streams, 100 labels each, 5 %."""
    rng = np.random.default_rng(9)
    kinds = np.array([0.0, 1 / 3, 0.5, 1.0])
    before, after = np.array([0.62, 0.12, 0.12, 0.14]), np.array([0.25, 0.1, 0.13, 0.52])
    sample = rng.choice(kinds, p=before, size=80)
    reference = ReferenceLoss(80, float(kinds @ before), float(sample.std()))
    n_errors = tolerated_errors(n_means=4, reference_error=0.1)
    side = loss_side(reference, n_errors=n_errors, smallest=0.05)
    nats = threshold_nats(alpha=0.05, horizon=100, n_monitors=1, share=share_of(1, n_declared=3))
    gains = side.log_factors(kinds).T[rng.choice(4, p=after, size=(300, 300))]
    assert np.median(alarm_times(gains, nats)) <= 50


def small_fleet_nats(settings: MonitorSettings) -> float:
    return threshold_nats(
        alpha=settings.alpha_input,
        horizon=settings.horizon_windows,
        n_monitors=11,
        share=share_of(1, n_declared=settings.n_streams),
    )
