import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.kernel.digests import MalformedDigest, canonical_json, parse_digest
from sightloop.kernel.errors import DiskFull
from sightloop.kernel.files import disk_errors, write_atomic
from sightloop.kernel.ids import TimeSortedIds, derived_id
from sightloop.testing.clock import ManualClock


def test_an_atomic_write_replaces_the_whole_file(tmp_path: Path):
    path = tmp_path / "state.json"
    write_atomic(path, b"old and long")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_litter(tmp_path: Path):
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_as_such(tmp_path: Path, code: int):
    with pytest.raises(DiskFull, match="is full; nothing was half written"), disk_errors(tmp_path):
        raise OSError(code, os.strerror(code))


def test_other_system_errors_pass_as_they_are(tmp_path: Path):
    with pytest.raises(PermissionError), disk_errors(tmp_path):
        raise PermissionError("not yours")


def test_ids_sort_by_time_even_when_the_clock_goes_back():
    clock = ManualClock()
    ids = TimeSortedIds(clock)
    made = []
    for step_s in (1.0, 1.0, -5.0, 1.0):
        clock.advance(step_s)
        made.append(ids.new("run")[:14])
    assert made == sorted(made)


def test_ten_thousand_ids_made_in_one_millisecond_differ():
    ids = TimeSortedIds(ManualClock())
    assert len({ids.new("run") for _ in range(10_000)}) == 10_000


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_derived_ids_are_equal_exactly_for_equal_parts(first, second):
    clean = [[part.replace("\x00", "") for part in parts] for parts in (first, second)]
    same = derived_id("run", *clean[0]) == derived_id("run", *clean[1])
    assert same == (clean[0] == clean[1])


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=5), st.randoms())
def test_canonical_json_depends_on_the_value_alone(value, random):
    shuffled = list(value.items())
    random.shuffle(shuffled)
    assert canonical_json(dict(shuffled)) == canonical_json(value)


def test_a_digest_of_the_wrong_length_is_refused():
    with pytest.raises(MalformedDigest, match="'sha256:abc' is not a digest"):
        parse_digest("sha256:abc")
