from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.job import Heartbeat, JobLine, MetricLine, ProgressLine
from sightloop.training import tail as tail_module
from sightloop.training.errors import ProtocolBroken
from sightloop.training.tail import Tail

FIRST = ProgressLine(n=1, at_ms=5, what="epochs", done=1, total=3)
SECOND = MetricLine(n=2, at_ms=6, name="loss", value=0.5, step=1)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def text(*lines: JobLine) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_nothing_is_read_before_the_engine_has_begun(events: Path):
    assert Tail(events).read() == []


def test_each_line_is_returned_once(events: Path):
    tail = Tail(events)
    append(events, text(FIRST))
    assert tail.read() == [FIRST]
    append(events, text(SECOND))
    assert tail.read() == [SECOND]
    assert tail.read() == []


def test_a_torn_line_waits_for_its_end(events: Path):
    tail, whole = Tail(events), text(FIRST, SECOND)
    append(events, whole[:-9])
    assert tail.read() == [FIRST]
    append(events, whole[-9:])
    assert tail.read() == [SECOND]


@given(st.lists(st.integers(1, 40), max_size=12))
def test_no_way_of_cutting_the_file_changes_what_is_read(tmp_path_factory, sizes):
    events = tmp_path_factory.mktemp("job") / "events.jsonl"
    lines = [Heartbeat(n=n, at_ms=n) for n in range(1, 6)]
    tail, rest, read = Tail(events), text(*lines), []
    for size in [*sizes, len(rest)]:
        append(events, rest[:size])
        rest = rest[size:]
        read += tail.read()
    assert read == lines


def test_a_gap_in_the_numbers_is_an_error(events: Path):
    append(events, text(FIRST, Heartbeat(n=3)))
    with pytest.raises(ProtocolBroken, match=r"line 2: the line has number 3, not 2") as caught:
        Tail(events).read()
    assert caught.value.code == "TRAIN-020"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"training started\n", "cannot be read"),
        (b'{"kind":"song","n":1}\n', "Invalid value 'song'"),
        (b'{"kind":"metric","n":1,"name":"loss","value":null,"step":1}\n', "got `null`"),
        (b'{"kind":"metric","n":1,"name":"","value":1,"step":1}\n', "names a metric with no"),
        (b"\xff\xfe\n", "cannot be read"),
    ],
)
def test_a_line_that_is_none_is_an_error(events: Path, line: bytes, problem: str):
    append(events, line)
    with pytest.raises(ProtocolBroken, match=problem):
        Tail(events).read()


def test_a_line_without_end_is_given_up(events: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tail_module, "MAX_LINE_BYTES", 10)
    append(events, b"x" * 11)
    with pytest.raises(ProtocolBroken, match="longer than 10 bytes"):
        Tail(events).read()


def test_fields_of_a_later_version_are_ignored(events: Path):
    append(events, b'{"kind":"heartbeat","n":1,"at_ms":4,"mood":"good"}\n')
    assert Tail(events).read() == [Heartbeat(n=1, at_ms=4)]
