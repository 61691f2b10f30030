import errno
import os
from pathlib import Path

import pytest

from sightloop.client import queueing
from sightloop.client.queueing import Labelled, Logged, Numbering, Queue
from sightloop.client.spool import MAIN, Batch, PartWriter, RunSpool, Sent
from sightloop.client.troubles import Troubles
from sightloop.contracts.tracking import MAX_POINTS


def points_of(items: list[queueing.Item], troubles: Troubles | None = None) -> list[object]:
    records = Numbering().records(items, troubles or Troubles())
    return [point for record in records if isinstance(record, Batch) for point in record.points]


def steps_in(folder: Path) -> list[int]:
    lines = RunSpool(folder).lines(MAIN, Sent())
    return [p[2] for line in lines if isinstance(line.record, Batch) for p in line.record.points]


def logged(step: int | None = None, at_s: float = 1.0, **metrics: float) -> Logged:
    return Logged(at_s, step, metrics)


def test_a_metric_without_steps_counts_its_own():
    assert points_of([logged(a=1.0), logged(b=2.0), logged(a=3.0)]) == [
        ("a", 1.0, 0, 1000),
        ("b", 2.0, 0, 1000),
        ("a", 3.0, 1, 1000),
    ]


def test_counting_goes_on_after_a_step_that_was_given():
    assert [point[2] for point in points_of([logged(7, a=1.0), logged(a=1.0)])] == [7, 8]


def test_a_clock_that_goes_back_does_not_take_points_back():
    at_ms = [point[3] for point in points_of([logged(at_s=s, a=1.0) for s in (5, 3, 6)])]
    assert at_ms == [5000, 5000, 6000]


def test_a_name_that_cannot_be_used_is_told_and_the_rest_is_kept():
    troubles = Troubles()
    assert len(points_of([Logged(1.0, 0, {"../x": 1.0, "a": 1.0})], troubles)) == 1
    assert troubles.lines() == [
        "1 × names that cannot be used: metric '../x': as a path it would lead elsewhere"
    ]


def test_a_step_beyond_64_bits_is_told_and_not_kept():
    troubles = Troubles()
    assert points_of([logged(2**63, a=1.0), logged(1, a=1.0)], troubles) == [("a", 1.0, 1, 1000)]
    assert "step 9223372036854775808" in troubles.lines()[0]


def test_batches_keep_within_one_request():
    items: list[queueing.Item] = [logged(n, a=1.0) for n in range(MAX_POINTS + 1)]
    records = Numbering().records([*items, Labelled({"lr": "1"}, {})], Troubles())
    assert [len(r.points) for r in records if isinstance(r, Batch)] == [MAX_POINTS, 1, 0]


def test_a_text_that_is_too_long_is_cut_and_told():
    troubles = Troubles()
    (batch,) = Numbering().records([Labelled({"a": "x" * 7000}, {})], troubles)
    assert isinstance(batch, Batch)
    assert len(batch.params["a"]) == 6000
    assert "7000 characters, 6000 are kept" in troubles.lines()[0]


class FullDisk:
    """Takes so many bytes, then says ENOSPC until it is emptied."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room_bytes: int) -> None:
        self.room_bytes = room_bytes
        write = os.write

        def limited(descriptor: int, content: bytes) -> int:
            if self.room_bytes <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            n_bytes = write(descriptor, content[: self.room_bytes])
            self.room_bytes -= n_bytes
            return n_bytes

        monkeypatch.setattr(os, "write", limited)


def test_a_full_disk_loses_nothing_once_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for room_bytes in range(0, 120, 7):
        folder = tmp_path / str(room_bytes)
        folder.mkdir()
        queue = Queue(PartWriter(folder, MAIN), troubles := Troubles())
        with monkeypatch.context() as patched:
            disk = FullDisk(patched, room_bytes)
            for step in range(3):
                queue.put(logged(step, a=1.0))
                queue.flush()
            assert not queue.is_healthy
            assert steps_in(folder) == list(range(len(steps_in(folder))))
            disk.room_bytes = 10_000
            queue.flush()
        assert steps_in(folder) == [0, 1, 2]
        assert "No space left on device" in troubles.lines()[0]


def test_a_disk_that_stays_full_takes_bounded_memory_and_what_is_lost_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queueing, "MAX_PENDING_BYTES", 500)
    FullDisk(monkeypatch, 0)
    queue = Queue(PartWriter(tmp_path, MAIN), troubles := Troubles())
    for step in range(100):
        queue.put(logged(step, a=1.0))
        queue.flush()
    n_lost = troubles.count(queueing.LOST)
    assert 80 < n_lost < 100
    queue.close()
    assert troubles.count(queueing.LOST) == 100


def test_a_queue_nobody_empties_drops_its_oldest_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queueing, "FULL_AT", 10)
    queue = Queue(PartWriter(tmp_path, MAIN), troubles := Troubles())
    queue.is_healthy = False
    for step in range(15):
        queue.put(logged(step, a=1.0))
        queue.wait_for_room()
    assert len(queue) == 10
    queue.is_healthy = True
    queue.flush()
    assert steps_in(tmp_path) == list(range(5, 15))
    assert troubles.count(queueing.LOST) == 5
