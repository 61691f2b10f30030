"""What the demo promises, and whether it was kept: pure, from what was observed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sightloop.evaluation.bootstrap import Gain


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """One promise with the number that decides it and its bound, in words beside it."""

    name: str
    kept: bool
    value: float | None
    bound: float
    meaning: str


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen from outside."""

    n_alarms_before: int
    images_until_alarm: int | None
    """Images of the new line shown before the first incident opened; None when none did."""
    alarm_within: int
    n_requests: int
    n_failed: int
    n_devices: int
    n_devices_elsewhere: int
    """Devices that do not serve the champion at the end."""
    model_got_worse: bool
    """By the referee: the first model's mean loss on the new line rose by more than tolerated."""
    loss_rise: float
    tolerated_rise: float
    n_retrainings: int
    new_gain: Gain | None
    old_gain: Gain | None
    max_drop: float
    n_train_labels: int
    label_budget: int
    evidence_holds: bool


def judge_promises(seen: Observed) -> list[Promise]:
    """Every promise that applies: a model that got worse must be mended, another left alone."""
    promises = list(_always(seen))
    promises += _if_worse(seen) if seen.model_got_worse else _if_still_right(seen)
    return promises


def _always(seen: Observed) -> Iterator[Promise]:
    yield Promise(
        name="no alarm before the change",
        kept=seen.n_alarms_before == 0,
        value=seen.n_alarms_before,
        bound=0,
        meaning="incidents opened before the first image of the new line",
    )
    yield Promise(
        name="no failed request",
        kept=seen.n_failed == 0 and seen.n_requests > 0,
        value=seen.n_failed,
        bound=0,
        meaning=f"of {seen.n_requests} requests sent at fixed rates, on all devices",
    )
    yield Promise(
        name="no device left behind",
        kept=seen.n_devices_elsewhere == 0,
        value=seen.n_devices_elsewhere,
        bound=0,
        meaning=f"of {seen.n_devices} devices serve another version than the champion",
    )
    yield Promise(
        name="every step can be traced",
        kept=seen.evidence_holds,
        value=float(seen.evidence_holds),
        bound=1,
        meaning="the audit log verifies and the chain from a device reaches intact pixels",
    )


def _if_worse(seen: Observed) -> Iterator[Promise]:
    n = seen.images_until_alarm
    yield Promise(
        name="alarm soon after the change",
        kept=n is not None and n <= seen.alarm_within,
        value=n,
        bound=seen.alarm_within,
        meaning="images of the new line shown until an incident opened",
    )
    gain = seen.new_gain
    yield Promise(
        name="better on the new line",
        kept=gain is not None and gain.low > 0,
        value=None if gain is None else gain.low,
        bound=0,
        meaning="lower end of the 95 % interval of the AP50 gain, on images never trained on"
        + ("" if gain is None else f" ({gain.first:.3f} to {gain.second:.3f})"),
    )
    old = seen.old_gain
    yield Promise(
        name="not worse on the old lines",
        kept=old is not None and -old.gain <= seen.max_drop,
        value=None if old is None else -old.gain,
        bound=seen.max_drop,
        meaning="drop of AP50 on images never trained on"
        + ("" if old is None else f" ({old.first:.3f} to {old.second:.3f})"),
    )
    yield Promise(
        name="labels within the budget",
        kept=0 < seen.n_train_labels <= seen.label_budget,
        value=seen.n_train_labels,
        bound=seen.label_budget,
        meaning="images labelled for training",
    )


def _if_still_right(seen: Observed) -> Iterator[Promise]:
    yield Promise(
        name="no retraining where the model stays right",
        kept=seen.n_retrainings == 0,
        value=seen.n_retrainings,
        bound=0,
        meaning=f"the mean loss on the new line moved by {seen.loss_rise:+.3f}, "
        f"{seen.tolerated_rise:.2f} is tolerated",
    )
