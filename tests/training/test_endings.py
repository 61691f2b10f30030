import pytest

from sightloop.contracts.job import CANCELLED_CODE, DoneLine, FailedLine
from sightloop.kernel.errors import BadInput, Refused, SightloopError, Unavailable
from sightloop.training.endings import Ending, ExitStatus, conclude, error_of
from sightloop.training.limits import Limits
from sightloop.training.reasons import ExitReason

DONE = DoneLine(model_file="m", checkpoint="c", engine_version="1", declared_licence="MIT")
FAILED = FailedLine(code="ENGINE-7", message="the images are too small")
STOPPED = FailedLine(code=CANCELLED_CODE, message="stopped")
LIMITS = Limits(time_limit_s=60.0, silence_limit_s=10.0, memory_limit_bytes=100 << 20)


def status(*, code: int = 0, signal_name: str | None = None) -> ExitStatus:
    return ExitStatus(code=code, signal_name=signal_name, peak_memory_bytes=0)


def error(ending: Ending, last: DoneLine | FailedLine | None = None) -> SightloopError | None:
    return error_of(
        ending, run="run_1", last=last, limits=LIMITS, peak_memory_bytes=3 << 20, log="Killed"
    )


def test_a_done_line_makes_a_job_done_however_its_process_ended():
    for ended_for in (None, ExitReason.CANCELLED, ExitReason.TIME_LIMIT):
        crashed = status(code=-11, signal_name="SIGSEGV")
        ending = conclude(DONE, ended_for=ended_for, status=crashed)
        assert ending.reason is ExitReason.DONE
        assert error(ending) is None


def test_a_failed_line_is_told_in_the_engines_own_words():
    ending = conclude(FAILED, ended_for=None, status=status(code=1))
    failure = error(ending, FAILED)
    assert isinstance(failure, BadInput)
    assert (ending.reason, failure.code) == (ExitReason.FAILED, "TRAIN-030")
    assert failure.message.endswith("failed in the engine: ENGINE-7 the images are too small")


@pytest.mark.parametrize(
    ("reason", "code", "kind", "words"),
    [
        (ExitReason.CANCELLED, "TRAIN-033", Refused, "was cancelled"),
        (ExitReason.TIME_LIMIT, "TRAIN-034", Refused, "after 60 s.*time_limit_s.*Killed"),
        (ExitReason.HUNG, "TRAIN-032", Unavailable, "nothing for 10 s.*silence_limit_s.*Killed"),
        (ExitReason.OUT_OF_MEMORY, "TRAIN-035", Refused, "limit of 100 MiB.*batch_size.*Killed"),
    ],
)
def test_what_we_ended_it_for_is_why_it_ended(
    reason: ExitReason, code: str, kind: type[SightloopError], words: str
):
    ending = conclude(STOPPED, ended_for=reason, status=status(code=1))
    with pytest.raises(kind, match=f"(?s){words}") as caught:
        raise error(ending, STOPPED) or AssertionError
    assert (ending.reason, caught.value.code) == (reason, code)


def test_a_kill_nobody_admits_to_is_blamed_on_memory():
    ending = conclude(None, ended_for=None, status=status(code=-9, signal_name="SIGKILL"))
    assert ending.reason is ExitReason.OUT_OF_MEMORY
    with pytest.raises(
        Refused, match=r"probably because the machine ran out of memory, \(at most 3"
    ):
        raise error(ending) or AssertionError


@pytest.mark.parametrize(
    ("exit_status", "how"),
    [
        (status(code=-11, signal_name="SIGSEGV"), "was ended by SIGSEGV"),
        (status(code=3), "exited with status 3"),
        (status(code=0), "exited with status 0"),
        (None, "ended while no worker was watching"),
    ],
)
def test_an_end_without_a_last_word_is_a_crash(exit_status: ExitStatus | None, how: str):
    ending = conclude(None, ended_for=None, status=exit_status)
    assert (ending.reason, ending.how) == (ExitReason.CRASHED, how)
    with pytest.raises(Unavailable, match=f"(?s){how} without a last word.*Killed") as caught:
        raise error(ending) or AssertionError
    assert caught.value.code == "TRAIN-031"


def test_a_job_stopped_by_strangers_is_tried_again():
    ending = conclude(STOPPED, ended_for=None, status=status(code=1))
    assert ending.reason is ExitReason.CRASHED
    assert isinstance(error(ending, STOPPED), Unavailable)
