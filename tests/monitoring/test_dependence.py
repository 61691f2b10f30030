import numpy as np
import pytest

from sightloop.contracts.profile import Dependence
from sightloop.monitoring.dependence import (
    NeighbourSums,
    add_window,
    correlation_of,
    is_too_dependent,
)


def dependence(ranks: np.ndarray) -> Dependence:
    first, second = ranks[:-1], ranks[1:]
    return Dependence(
        n=len(first),
        sum_first=float(first.sum()),
        sum_second=float(second.sum()),
        sum_first_squared=float(first @ first),
        sum_second_squared=float(second @ second),
        sum_product=float(first @ second),
    )


def sums_of(windows: list[np.ndarray]) -> NeighbourSums:
    sums = NeighbourSums()
    for ranks in windows:
        sums = add_window(sums, dependence(ranks))
    return sums


def alike(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    values = rng.standard_normal(n)
    for i in range(1, n):
        values[i] = correlation * values[i - 1] + (1 - correlation**2) ** 0.5 * values[i]
    return values


@pytest.mark.parametrize("window_images", [10, 20, 100])
@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_the_correlation_is_found_in_windows_of_any_length(window_images, correlation):
    rng = np.random.default_rng(1)
    windows = [alike(rng, window_images, correlation) for _ in range(40_000 // window_images)]
    found = correlation_of(sums_of(windows))
    # Short windows are biased a little low where there is a correlation at all.
    assert found.value == pytest.approx(correlation, abs=0.02 + correlation * 2 / window_images)


def test_independent_images_are_called_dependent_in_few_of_many_streams():
    rng = np.random.default_rng(2)
    streams = [sums_of([rng.random(20) for _ in range(20)]) for _ in range(400)]
    assert sum(is_too_dependent(sums, limit=0.05) for sums in streams) <= 12


def test_clearly_alike_neighbours_are_called_dependent_after_some_hundred_images():
    rng = np.random.default_rng(3)
    streams = [sums_of([alike(rng, 20, 0.4) for _ in range(20)]) for _ in range(50)]
    assert sum(is_too_dependent(sums, limit=0.05) for sums in streams) >= 48


def test_a_drift_from_window_to_window_does_not_make_images_look_alike():
    rng = np.random.default_rng(4)
    drifting = [rng.random(20) * 0.2 + 0.02 * window for window in range(40)]
    assert not is_too_dependent(sums_of(drifting), limit=0.05)


def test_nothing_is_said_of_a_measure_that_never_varied_or_of_too_few_pairs():
    assert correlation_of(sums_of([np.full(20, 0.5)])) is None
    assert add_window(NeighbourSums(), dependence(np.array([0.1, 0.9]))) == NeighbourSums()
