import errno
import os
from pathlib import Path

import pytest

from sightloop.device.sources.results import ACTIVE, SYNC_S, ResultLimits, ResultLog
from sightloop.kernel.errors import DiskFull
from sightloop.testing.faults import CrashPlan, SimulatedCrash, dying_disk

LIMITS = ResultLimits(total_bytes=100, file_bytes=30, file_age_s=60)
AT_MS = 1_795_608_000_000


def closed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ACTIVE)


def lines(folder: Path) -> list[bytes]:
    paths = [folder / name for name in closed(folder)] + [folder / ACTIVE]
    return [line for path in paths if path.exists() for line in path.read_bytes().splitlines()]


def fill(log: ResultLog, n: int, *, first: int = 0, at_s: float = 0.0) -> None:
    for index in range(first, first + n):
        log.append(b"line %03d" % index, at_s=at_s, at_ms=AT_MS)


def test_a_full_file_is_closed_under_a_number_and_the_time(tmp_path):
    log = ResultLog(tmp_path, LIMITS)
    fill(log, 4)
    assert closed(tmp_path) == ["00000001-2026-11-25T12-00-00.000Z.jsonl"]
    assert lines(tmp_path) == [b"line 000", b"line 001", b"line 002", b"line 003"]


def test_an_old_file_is_closed_although_nothing_more_comes(tmp_path):
    log = ResultLog(tmp_path, LIMITS)
    fill(log, 1)
    log.tidy(at_s=59, at_ms=AT_MS)
    assert closed(tmp_path) == []
    log.tidy(at_s=60, at_ms=AT_MS)
    assert len(closed(tmp_path)) == 1


def test_an_empty_file_is_never_closed(tmp_path):
    log = ResultLog(tmp_path, LIMITS)
    log.tidy(at_s=1e6, at_ms=AT_MS)
    assert closed(tmp_path) == []


def test_the_oldest_go_first_and_the_limit_holds_at_every_moment(tmp_path):
    log = ResultLog(tmp_path, LIMITS)
    for index in range(60):
        fill(log, 1, first=index)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= LIMITS.total_bytes
    kept = lines(tmp_path)
    assert kept == [b"line %03d" % index for index in range(60 - len(kept), 60)]
    assert log.n_dropped == 19 - len(closed(tmp_path))


def test_numbers_go_on_although_the_clock_was_set_back(tmp_path):
    ResultLog(tmp_path, LIMITS).append(b"a", at_s=0, at_ms=AT_MS)
    again = ResultLog(tmp_path, LIMITS)
    again.append(b"b", at_s=0, at_ms=0)
    third = ResultLog(tmp_path, LIMITS)
    third.append(b"c", at_s=0, at_ms=0)
    assert [name[:8] for name in closed(tmp_path)] == ["00000001", "00000002"]
    assert lines(tmp_path) == [b"a", b"b", b"c"]


def test_a_torn_line_is_cut_off_and_those_before_it_stay(tmp_path):
    fill(ResultLog(tmp_path, LIMITS), 2)
    path = tmp_path / ACTIVE
    path.write_bytes(path.read_bytes() + b"lin")
    fill(ResultLog(tmp_path, LIMITS), 1, first=2)
    assert lines(tmp_path) == [b"line 000", b"line 001", b"line 002"]


def test_lines_are_with_the_system_at_once_and_durable_after_a_while(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor))
    log = ResultLog(tmp_path, LIMITS)
    log.append(b"a", at_s=SYNC_S, at_ms=AT_MS)
    log.append(b"b", at_s=SYNC_S + 1, at_ms=AT_MS)
    assert (tmp_path / ACTIVE).read_bytes() == b"a\nb\n"
    assert len(synced) == 1
    log.tidy(at_s=2 * SYNC_S, at_ms=AT_MS)
    assert len(synced) == 2


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    log = ResultLog(tmp_path, LIMITS)
    fill(log, 1)
    write = os.pwrite

    def half(descriptor: int, content: bytes, offset: int) -> int:
        if offset > log._size_bytes:
            raise OSError(errno.ENOSPC, "no space left")
        return write(descriptor, content[:3], offset)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(DiskFull):
        fill(log, 1, first=1)
    monkeypatch.setattr(os, "pwrite", write)
    fill(log, 1, first=2)
    assert lines(tmp_path) == [b"line 000", b"line 002"]


def test_a_crash_before_any_write_loses_no_line_and_repeats_none(tmp_path):
    plan = CrashPlan()
    with dying_disk(plan):
        fill(ResultLog(tmp_path / "counted", LIMITS), 12)
    for step in range(plan.n_writes):
        folder = tmp_path / str(step)
        n_written = 0
        with dying_disk(CrashPlan(before_write=step)), pytest.raises(SimulatedCrash):
            log = ResultLog(folder, LIMITS)
            for _ in range(12):
                fill(log, 1, first=n_written)
                n_written += 1
        fill(ResultLog(folder, LIMITS), 12 - n_written, first=n_written)
        kept = lines(folder)
        assert kept == [b"line %03d" % index for index in range(12 - len(kept), 12)]
        assert len(kept) >= 6
