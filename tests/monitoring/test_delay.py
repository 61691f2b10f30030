import numpy as np
import pytest

from sightloop.monitoring.delay import LIMIT_IMAGES, expected_delay, expected_loss_delay
from sightloop.monitoring.detector import Detector, Side
from sightloop.monitoring.references import LossDetector
from sightloop.monitoring.scores import build_detector
from sightloop.monitoring.settings import MonitorSettings

REFERENCE = [5] * 20
DARKER = [20, 20, 20, 20, *[1] * 16]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def detector() -> Detector:
    return build_detector(REFERENCE, pooled=REFERENCE, n_errors=2.0, settings=MonitorSettings())


def images_until_alarm(detector: Detector, rng: np.random.Generator) -> int:
    state = detector.start()
    while not state.has_reached(12.0):
        counts = rng.multinomial(5, np.array(DARKER) / sum(DARKER))
        state = detector.advance(state, counts.tolist())
    return state.n_images


def test_the_expected_delay_is_that_of_the_detector_itself(detector, rng):
    played = [images_until_alarm(detector, rng) for _ in range(200)]
    delay = expected_delay(
        detector, DARKER, threshold_nats=12.0, window_images=5, rng=rng, n_streams=400
    )
    assert delay.median == pytest.approx(np.median(played), rel=0.15)
    assert delay.nine_in_ten == pytest.approx(np.quantile(played, 0.9), rel=0.15)


def test_a_live_stream_like_its_reference_is_expected_never_to_alarm(detector, rng):
    delay = expected_delay(
        detector, REFERENCE, threshold_nats=12.0, window_images=50, rng=rng, n_streams=20
    )
    assert (delay.median, delay.nine_in_ten, delay.n_missed) == (None, None, 20)


def test_an_alarm_comes_at_the_end_of_a_window(detector, rng):
    delay = expected_delay(detector, DARKER, threshold_nats=12.0, window_images=50, rng=rng)
    assert delay.median % 50 == 0


def test_equal_chance_gives_equal_delays(detector):
    delays = {
        expected_delay(
            detector,
            DARKER,
            threshold_nats=12.0,
            window_images=5,
            rng=np.random.default_rng(7),
        )
        for _ in range(2)
    }
    assert len(delays) == 1


def test_worse_losses_are_expected_to_be_noticed_sooner(rng):
    detector = LossDetector(Side("loss", 1, 0.3, 0.0, 1.0))
    medians = [
        expected_loss_delay(detector, [0.0] * 10 + [1.0] * n, threshold_nats=9.0, rng=rng).median
        for n in (10, 20, 40)
    ]
    assert medians == sorted(medians, reverse=True)
    assert medians[0] < LIMIT_IMAGES
