import msgspec
import pytest

from sightloop.training.limits import Limits, Observation, breach
from sightloop.training.reasons import ExitReason

LIMITS = Limits(time_limit_s=60.0, silence_limit_s=10.0, memory_limit_bytes=1000)
WELL = Observation(ran_s=60.0, silent_s=10.0, memory_bytes=1000, is_cancel_asked=False)


def seen(**changes: object) -> Observation:
    return msgspec.structs.replace(WELL, **changes)


def test_a_job_at_its_limits_goes_on():
    assert breach(WELL, LIMITS) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ran_s": 60.1}, ExitReason.TIME_LIMIT),
        ({"silent_s": 10.1}, ExitReason.HUNG),
        ({"memory_bytes": 1001}, ExitReason.OUT_OF_MEMORY),
        ({"is_cancel_asked": True}, ExitReason.CANCELLED),
    ],
)
def test_each_limit_ends_a_job_for_its_own_reason(changes: dict[str, object], reason: ExitReason):
    assert breach(seen(**changes), LIMITS) is reason


def test_a_memory_limit_of_zero_is_none():
    limits = msgspec.structs.replace(LIMITS, memory_limit_bytes=0)
    assert breach(seen(memory_bytes=1 << 40), limits) is None


def test_a_wish_to_cancel_comes_before_every_limit():
    everything = seen(ran_s=99.0, silent_s=99.0, memory_bytes=9999, is_cancel_asked=True)
    assert breach(everything, LIMITS) is ExitReason.CANCELLED
