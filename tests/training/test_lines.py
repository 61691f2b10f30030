import math

from sightloop.contracts.job import (
    ArtifactLine,
    CheckpointLine,
    DoneLine,
    FailedLine,
    Heartbeat,
    MetricLine,
    ProgressLine,
)
from sightloop.tracking.values import MetricPoint
from sightloop.training.lines import Told, add_lines, points_in

FAILED = FailedLine(n=2, code="ENGINE-1", message="no")


def test_what_was_told_adds_up_to_the_newest_of_each_kind():
    told = add_lines(
        Told(),
        [
            ArtifactLine(n=1, name="a.csv", file="one.csv"),
            CheckpointLine(n=2, file="last.pt", epoch=1),
            ProgressLine(n=3, what="epochs", done=1, total=2),
            ArtifactLine(n=4, name="a.csv", file="two.csv"),
            CheckpointLine(n=5, file="last.pt", epoch=2),
        ],
    )
    assert told.artifacts == {"a.csv": "two.csv"}
    assert told.checkpoint == CheckpointLine(n=5, file="last.pt", epoch=2)
    assert (told.n_lines, told.last) == (5, None)


def test_adding_lines_one_by_one_or_at_once_is_the_same():
    lines = [Heartbeat(n=1), ProgressLine(n=2, what="export", done=1, total=1), FAILED]
    one_by_one = Told()
    for line in lines:
        one_by_one = add_lines(one_by_one, [line])
    assert one_by_one == add_lines(Told(), lines)


def test_nothing_is_heard_after_the_conclusion():
    done = DoneLine(n=3, model_file="m", checkpoint="c", engine_version="1", declared_licence="MIT")
    told = add_lines(Told(), [FAILED, done, Heartbeat(n=4)])
    assert (told.last, told.n_lines) == (FAILED, 2)


def test_points_already_taken_are_left_out():
    lines = [MetricLine(n=n, at_ms=n, name="loss", value=1.5, step=n) for n in (1, 2, 3)]
    points = points_in([*lines, Heartbeat(n=4)], after=2)
    assert points == [MetricPoint(key="loss", value=1.5, step=3, at_ms=3)]


def test_a_metric_may_be_infinite():
    (point,) = points_in([MetricLine(n=1, name="loss", value="-Infinity", step=1)], after=0)
    assert point.value == -math.inf
