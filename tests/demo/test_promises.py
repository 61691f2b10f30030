"""The demo keeps to its word, and its exit code to the truth."""

import msgspec
import pytest

from sightloop.demo.promises import Observed, judge_promises
from sightloop.evaluation.bootstrap import Gain

GAIN = Gain(first=0.3, second=0.6, gain=0.3, low=0.2, high=0.4, n_images=100)
SAME = Gain(first=0.8, second=0.79, gain=-0.01, low=-0.03, high=0.01, n_images=200)
GOOD = Observed(
    n_alarms_before=0,
    images_until_alarm=40,
    alarm_within=100,
    n_requests=1000,
    n_failed=0,
    n_devices=3,
    n_devices_elsewhere=0,
    model_got_worse=True,
    loss_rise=0.3,
    tolerated_rise=0.1,
    n_retrainings=1,
    new_gain=GAIN,
    old_gain=SAME,
    max_drop=0.05,
    n_train_labels=60,
    label_budget=60,
    evidence_holds=True,
)


def broken(**changes) -> list[str]:
    seen = msgspec.structs.replace(GOOD, **changes)
    return [promise.name for promise in judge_promises(seen) if not promise.kept]


def test_a_good_run_keeps_every_promise():
    assert broken() == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n_alarms_before": 1}, "no alarm before the change"),
        ({"n_failed": 1}, "no failed request"),
        ({"n_requests": 0}, "no failed request"),
        ({"n_devices_elsewhere": 1}, "no device left behind"),
        ({"evidence_holds": False}, "every step can be traced"),
        ({"images_until_alarm": None}, "alarm soon after the change"),
        ({"images_until_alarm": 101}, "alarm soon after the change"),
        ({"new_gain": None}, "better on the new line"),
        (
            {"new_gain": msgspec.structs.replace(GAIN, low=0.0)},
            "better on the new line",
        ),
        ({"old_gain": None}, "not worse on the old lines"),
        (
            {"old_gain": msgspec.structs.replace(SAME, gain=-0.06)},
            "not worse on the old lines",
        ),
        ({"n_train_labels": 61}, "labels within the budget"),
        ({"n_train_labels": 0}, "labels within the budget"),
    ],
)
def test_each_way_to_fail_breaks_its_promise(changes, name: str):
    assert name in broken(**changes)


def test_a_model_that_stayed_right_must_be_left_alone():
    right = {"model_got_worse": False, "new_gain": None, "old_gain": None, "n_train_labels": 0}
    assert broken(**right, n_retrainings=0) == []
    assert broken(**right, n_retrainings=1) == ["no retraining where the model stays right"]


def test_no_alarm_is_promised_where_the_model_stayed_right():
    seen = msgspec.structs.replace(GOOD, model_got_worse=False, n_retrainings=0)
    assert "alarm soon after the change" not in {one.name for one in judge_promises(seen)}
