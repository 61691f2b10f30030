"""What the monitors cost and how soon they speak: `python bench/monitoring_delay.py`.

Seeded and offline; takes about a minute on one core. Prints, in this order: which fractions to
bet, labels until a loss alarm, images until an input alarm, false alarms, time per window.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np

from sightloop.contracts.bundle import ReferenceLoss
from sightloop.inference.histograms import count_bins, quantile_edges
from sightloop.monitoring.budget import share_of, threshold_nats
from sightloop.monitoring.delay import Delay, expected_delay, expected_loss_delay
from sightloop.monitoring.detector import Detector, Floats, Side, State, log_mean, stakes_after
from sightloop.monitoring.references import LossDetector, loss_side
from sightloop.monitoring.scores import N_SIDES, build_detector, tolerated_errors
from sightloop.monitoring.settings import MonitorSettings

N_MEASURES = 11
FLEET = 3


def main() -> None:
    print("## Which fractions to bet: median labels until an alarm\n")
    show_fractions()
    print("\n## Labels until a loss alarm: median (nine in ten)\n")
    show_loss_delays()
    print("\n## Images until an input alarm, windows of 10: median (nine in ten)\n")
    show_input_delays()
    print("\n## Streams that alarmed falsely: 3 streams of 11 measures, 3,000 images\n")
    show_false_alarms()
    print("\n## Time\n")
    show_time()


def show_fractions() -> None:
    """Alternatives to `detector.FRACTIONS` on losses that are 0 or 1."""
    cases = [(0.10, 0.12, 9.2), (0.10, 0.20, 9.2), (0.35, 0.55, 9.8), (0.35, 0.80, 9.8)]
    grids = {
        "6 from 0.05 to 0.9": np.geomspace(0.05, 0.9, 6),
        "8 from 0.01 to 0.9": np.geomspace(0.01, 0.9, 8),
        "8 from 0.03 to 0.9": np.geomspace(0.03, 0.9, 8),
        "4 from 0.1 to 0.8": np.geomspace(0.1, 0.8, 4),
    }
    print("| fractions |", " | ".join(f"{b:g} to {live:g}" for b, live, _ in cases), "|")
    for name, fractions in grids.items():
        medians = [median_labels(fractions, *case) for case in cases]
        print(f"| {name} |", " | ".join(f"{median:.0f}" for median in medians), "|")


def median_labels(fractions: Floats, boundary: float, live: float, nats: float) -> float:
    rng, n_streams = np.random.default_rng(1), 400
    gains = np.log1p(fractions * (np.array([[0.0], [1.0]]) - boundary) / boundary)
    log_stakes, times = np.zeros((n_streams, len(fractions))), np.full(n_streams, np.inf)
    for label in range(1, 6000):
        log_m = log_stakes + gains[(rng.random(n_streams) < live).astype(int)]
        times[(log_mean(log_m) >= nats) & np.isinf(times)] = label
        if np.isfinite(times).all():
            break
        log_stakes = stakes_after(log_m)
    return float(np.median(times))


def show_loss_delays() -> None:
    """Reference mean 0.25 over 80 images; losses 0 or 1, or partly in between."""
    rng = np.random.default_rng(2)
    for name, draw in (("0 or 1", all_or_nothing), ("mixed", mixed)):
        deviation = float(np.std(draw(rng, 0.25)))
        reference = ReferenceLoss(80, 0.25, deviation)
        measured = loss_side(
            reference, n_errors=tolerated_errors(n_means=4, reference_error=0.1), smallest=0.05
        )
        print(f"Losses {name}, deviation {deviation:.2f}, {FLEET} streams:\n")
        print("| tolerance | alpha | labels per stream | nats | to 0.55 | to 0.60 | to 0.70 |")
        for tol in (0.05, 0.10, measured.boundary - 0.25):
            side = Side("loss", 1, 0.25 + tol, 0.0, 1.0)
            for alpha in (0.05, 0.01):
                for horizon in (100, 300, 2000):
                    nats = threshold_nats(
                        alpha=alpha,
                        horizon=horizon,
                        n_monitors=1,
                        share=share_of(1, n_declared=FLEET),
                    )
                    delays = [
                        expected_loss_delay(
                            LossDetector(side), draw(rng, live), threshold_nats=nats, rng=rng
                        )
                        for live in (0.55, 0.60, 0.70)
                    ]
                    row = [f"{tol:.3f}", f"{alpha:g}", str(horizon), f"{nats:.1f}"]
                    print("|", " | ".join([*row, *map(text_of, delays)]), "|")
        print()


def all_or_nothing(_rng: np.random.Generator, mean: float) -> list[float]:
    n_wrong = round(2000 * mean)
    return [1.0] * n_wrong + [0.0] * (2000 - n_wrong)


def mixed(rng: np.random.Generator, mean: float) -> list[float]:
    """A quarter of the images are partly right (1 - F1 of one object found of two, ...)."""
    partly = rng.choice([1 / 3, 0.5, 0.6], size=500)
    n_wrong = round(2000 * mean - partly.sum())
    return [*partly, *([1.0] * n_wrong), *([0.0] * (1500 - n_wrong))]


def show_input_delays() -> None:
    """Normal values; the live mean moved by so many deviations, or into new values."""
    settings = MonitorSettings(n_streams=FLEET)
    nats = input_nats(settings)
    shifts = (0.5, 1.0, 1.5, 2.0, 3.0)
    print(f"{N_MEASURES} measures, {FLEET} streams, threshold {nats:.1f} nats:\n")
    print("| reference |", " | ".join(f"{shift:g} s.d." for shift in shifts), "|")
    rng = np.random.default_rng(3)
    for n_reference in (60, 100, 300, 2000):
        delays = []
        for shift in shifts:
            edges, detector = detector_for(rng.standard_normal(n_reference), rng, settings)
            live = count_bins(edges, rng.standard_normal(20_000) + shift)
            delays.append(
                expected_delay(detector, live, threshold_nats=nats, window_images=10, rng=rng)
            )
        print(f"| {n_reference} images |", " | ".join(map(text_of, delays)), "|")


def show_false_alarms() -> None:
    """Each stream with a reference of its own, of which only a sample is known."""
    settings = MonitorSettings(n_streams=FLEET)
    nats, rng = input_nats(settings), np.random.default_rng(4)
    for n_reference in (60, 100, 300):
        alarmed = 0
        for _ in range(50 * FLEET * N_MEASURES):
            edges, detector = detector_for(rng.standard_normal(n_reference), rng, settings)
            alarmed += has_alarmed(detector, edges, rng.standard_normal(3000), nats)
        print(f"- references of {n_reference}: {alarmed} of {50 * FLEET * N_MEASURES} monitors")


def has_alarmed(detector: Detector, edges: list[float], live: Floats, nats: float) -> bool:
    bins = np.searchsorted(edges, live, side="left").reshape(-1, 20)
    counts = np.stack([np.bincount(row, minlength=len(edges) + 1) for row in bins])
    log_stakes = np.zeros(detector.n_bets)
    for gains in counts @ detector.log_factors.T:
        log_m = log_stakes + gains
        if log_mean(log_m) >= nats:
            return True
        log_stakes = stakes_after(log_m)
    return False


def show_time() -> None:
    rng, settings = np.random.default_rng(5), MonitorSettings()
    edges, detector = detector_for(rng.standard_normal(300), rng, settings)
    counts = count_bins(edges, rng.standard_normal(100))
    state, n = detector.start(), 5000
    began = time.perf_counter()
    for _ in range(n):
        state = detector.advance(state, counts)
    each_us = (time.perf_counter() - began) / n * 1e6
    began = time.perf_counter()
    for _ in range(n):
        msgspec.json.decode(msgspec.json.encode(state), type=State)
    json_us = (time.perf_counter() - began) / n * 1e6
    size = len(msgspec.json.encode(state))
    print(f"- {each_us:.0f} us per window and monitor ({detector.n_bets} bets, 64 bins)")
    print(f"- {json_us:.0f} us for its state to JSON and back, {size} bytes")
    print(f"- 12,000 streams x 12 monitors: {(each_us + json_us) * 144_000 / 1e6:.1f} s per window")


def detector_for(
    reference: Floats, rng: np.random.Generator, settings: MonitorSettings
) -> tuple[list[float], Detector]:
    """Against this reference, with edges from four strata that resemble each other."""
    others = rng.standard_normal(3 * len(reference))
    edges = quantile_edges([*reference, *others])
    n_errors = tolerated_errors(
        n_means=4 * N_MEASURES * N_SIDES, reference_error=settings.reference_error
    )
    detector = build_detector(
        count_bins(edges, reference),
        pooled=count_bins(edges, [*reference, *others]),
        n_errors=n_errors,
        settings=settings,
    )
    return edges, detector


def input_nats(settings: MonitorSettings) -> float:
    return threshold_nats(
        alpha=settings.alpha_input,
        horizon=settings.horizon_windows,
        n_monitors=N_MEASURES,
        share=share_of(1, n_declared=settings.n_streams),
    )


def text_of(delay: Delay) -> str:
    values: Sequence[int | None] = (delay.median, delay.nine_in_ten)
    median, most = ("never" if value is None else str(value) for value in values)
    return f"{median} ({most})"


if __name__ == "__main__":
    main()
