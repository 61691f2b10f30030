"""Two models are timed on the same images in turn."""

import numpy as np
import pytest

from sightloop.contracts.bundle import Thresholds
from sightloop.evaluation.latency import compare_latency
from sightloop.inference.detector import open_model
from sightloop.kernel.clock import SystemClock
from sightloop.testing.clock import ManualClock
from sightloop.testing.models import draw_blob_image, write_blob_model

IMAGE = draw_blob_image(np.random.default_rng(0)).content


class Taking:
    """A model that takes the given times, one after another, then the last one for ever."""

    def __init__(self, clock, *times_ms, log=None):
        self._clock, self._times_ms, self._log = clock, list(times_ms), log

    def detect(self, picture):  # noqa: ARG002 - what is timed, not what is found
        time_ms = self._times_ms.pop(0) if len(self._times_ms) > 1 else self._times_ms[0]
        self._clock.advance(time_ms / 1000)
        if self._log is not None:
            self._log.append(time_ms)
        return []


def test_medians_leave_the_first_run_out():
    clock = ManualClock()
    candidate, champion = Taking(clock, 500, 10), Taking(clock, 900, 8, 8, 300, 8)
    result = compare_latency(candidate, champion, [IMAGE] * 5, clock=clock)
    assert result.n_images == 5
    assert (result.candidate_p50_ms, result.champion_p50_ms) == pytest.approx((10, 8))


def test_a_first_model_is_timed_alone():
    clock = ManualClock()
    result = compare_latency(Taking(clock, 10), None, [IMAGE], clock=clock)
    assert (result.candidate_p50_ms, result.champion_p50_ms) == (pytest.approx(10), None)


def test_the_models_take_turns_at_going_first():
    clock, log = ManualClock(), []
    compare_latency(Taking(clock, 1, log=log), Taking(clock, 2, log=log), [IMAGE] * 4, clock=clock)
    assert log[2:] == [1, 2, 2, 1, 1, 2, 2, 1]


def test_a_real_model_takes_time(tmp_path):
    write_blob_model(tmp_path / "model.onnx", classes=["a"])
    model = open_model(tmp_path / "model.onnx", thresholds=Thresholds(0.5), threads=1)
    result = compare_latency(model, model, [IMAGE] * 5, clock=SystemClock())
    assert 0 < result.candidate_p50_ms < 1000
