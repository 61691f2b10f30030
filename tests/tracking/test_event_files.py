"""Reading and writing TensorBoard's event files."""

import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.tracking.tensorboard import reading, writing
from sightloop.tracking.tensorboard.crc32c import masked_crc, masked_crcs
from sightloop.tracking.tensorboard.events import (
    Histogram,
    Media,
    Other,
    Parameters,
    Scalar,
    decode_event,
)
from sightloop.tracking.tensorboard.records import find_header, find_records, frame, frame_all
from sightloop.tracking.tensorboard.scalars import read_scalars
from sightloop.tracking.tensorboard.wire import BrokenMessage, double_field, length_field, varint

OTHERS = Path(__file__).parent / "event_files"


def read(path: Path, **options: int) -> reading.EventBatch:
    """All batches of the file as one."""
    batches = list(reading.read_event_file(path, **options))
    return reading.EventBatch(
        reading.joined([batch.scalars for batch in batches]),
        [event for batch in batches for event in batch.events],
        [flaw for batch in batches for flaw in batch.flaws],
        batches[-1].end if batches else 0,
    )


def points_of(path: Path, **options: int) -> set[tuple[str, int, float, float]]:
    """Every scalar of the file: tag, step, time, value."""
    batch = read(path, **options)
    parts = reading.joined([batch.scalars, reading.scalars_among(batch.events)])
    tags = [parts.tags[number] for number in parts.tag_index]
    rest = (parts.steps.tolist(), parts.wall_times_s.tolist(), parts.values.tolist())
    return set(zip(tags, *rest, strict=True))


def contents_of(path: Path) -> dict[tuple[str, int], object]:
    return {
        (value.tag, event.step): value.content
        for event in read(path).events
        for value in event.values
    }


def event(tag: str, step: int, value: float, wall_time_s: float = 1.5) -> bytes:
    steps, times, values = np.array([step]), np.array([wall_time_s]), np.array([value])
    return writing.scalar_events(tag, steps, times, values)[0]


def written(path: Path, *events: bytes) -> Path:
    path.write_bytes(b"".join(frame(one) for one in (writing.version_event(1.0), *events)))
    return path


@pytest.mark.parametrize(
    ("content", "crc"),
    [
        (b"\0" * 32, 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_checksums_are_those_of_the_standard(content: bytes, crc: int):
    """RFC 3720, B.4."""
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc(content) == masked


def slow_crc(content: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    crc = register ^ 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=200), max_size=12))
def test_many_checksums_at_once_are_those_of_each_alone(contents: list[bytes]):
    lengths = np.array([len(one) for one in contents], dtype=np.int64)
    buffer = np.frombuffer(b"".join(contents), dtype=np.uint8)
    found = masked_crcs(buffer, np.cumsum(lengths) - lengths, lengths)
    assert found.tolist() == [slow_crc(one) for one in contents]


def test_checksums_of_equal_lengths_and_of_long_records_are_right():
    random = np.random.default_rng(1)
    buffer = random.integers(0, 256, 90 * 77 + 5000, dtype=np.uint8)
    lengths = np.array([77] * 90 + [5000])
    starts = np.cumsum(lengths) - lengths
    wanted = [
        slow_crc(buffer[start : start + length].tobytes())
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    assert masked_crcs(buffer, starts, lengths).tolist() == wanted


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_framed_records_are_found_again(contents: list[bytes]):
    assert frame_all(contents) == b"".join(map(frame, contents))
    buffer = np.frombuffer(frame_all(contents), dtype=np.uint8)
    found = find_records(buffer)
    pairs = zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    assert [buffer[start : start + n].tobytes() for start, n in pairs] == contents
    assert found.is_whole.all()
    assert (found.end, found.stop) == (len(buffer), "end")


lengths = st.integers(0, 40)


@settings(max_examples=40)
@given(
    st.lists(lengths, min_size=1, max_size=5), st.lists(lengths, max_size=5), st.integers(0, 900)
)
def test_lengths_that_repeat_are_followed_as_those_that_do_not(turn, odd, n):
    contents = [b"x" * length for length in (turn * 900)[:n] + odd + turn * 200]
    whole = frame_all(contents)
    buffer = np.frombuffer(whole + whole[:11], dtype=np.uint8)
    found = find_records(buffer)
    assert found.lengths.tolist() == [len(one) for one in contents]
    assert found.is_whole.all()
    assert (found.end, found.stop) == (len(whole), "incomplete")


floats = st.floats(width=32, allow_nan=False)
scalars = st.tuples(
    st.text(min_size=1, max_size=12),
    st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300),
    floats,
    st.floats(0, 2e9),
)


@settings(max_examples=40)
@given(st.lists(scalars, max_size=60))
def test_written_scalars_are_read_back(tmp_path_factory, logged):
    path = tmp_path_factory.mktemp("events") / "events.out.tfevents.1"
    written(path, *(event(*one) for one in logged))
    wanted = {(tag, step, time, value) for tag, step, value, time in logged}
    assert points_of(path) == wanted
    assert points_of(path, chunk_bytes=100) == wanted


@settings(max_examples=40)
@given(st.lists(scalars, min_size=1, max_size=40))
def test_columns_hold_what_reading_one_by_one_finds(logged):
    events = [event(*one) for one in logged]
    buffer = np.frombuffer(frame_all(events), dtype=np.uint8)
    found = find_records(buffer)
    columns, others = read_scalars(buffer, found.starts, found.lengths)
    assert len(columns.values) + len(others) == len(events)
    slow = [decode_event(one, {}) for one in events]
    assert {(one.values[0].tag, one.step, one.values[0].content) for one in slow} >= {
        (columns.tags[tag], step, Scalar(value))
        for tag, step, value in zip(
            columns.tag_index.tolist(), columns.steps.tolist(), columns.values.tolist(), strict=True
        )
    }


def test_not_a_number_and_infinities_are_values(tmp_path: Path):
    path = written(
        tmp_path / "e", event("a", 1, np.nan), event("b", 1, np.inf), event("c", 1, -np.inf)
    )
    values = {tag: value for tag, _, _, value in points_of(path)}
    assert np.isnan(values["a"])
    assert (values["b"], values["c"]) == (np.inf, -np.inf)


def test_a_long_file_is_read_whole(tmp_path: Path):
    steps = np.arange(200_000)
    events = writing.scalar_events("loss", steps, steps / 8, steps / 2)
    (tmp_path / "e").write_bytes(frame_all(events))
    found = reading.read_all_scalars(tmp_path / "e")
    assert (np.sort(found.steps) == steps).all()
    assert (found.values == found.steps / 2).all()


def test_files_of_torch_are_read_whole():
    third = struct.unpack("<f", struct.pack("<f", 1 / 3))[0]
    found = points_of(OTHERS / "torch.tfevents")
    assert {one for one in found if one[0] != "acc"} == {
        ("loss/train", 0, 1.7e9, 1.0),
        ("loss/train", 1, 1.7e9 + 0.125, 0.5),
        ("loss/train", 2, 1.7e9 + 0.25, third),
        *(("lr", step, 1.7e9 + step / 8, 0.5) for step in range(3)),
    }
    assert {value for tag, _, _, value in found if tag == "acc"} == {0.0, 1 / 3, 2 / 3}
    contents = contents_of(OTHERS / "torch.tfevents")
    assert contents["w/conv", 7] == Histogram([0.0, 0.0, 2.0, 4.0], [0.0, 2.0, 3.0])
    image = contents["img", 7]
    assert isinstance(image, Media)
    assert writing.image_size(image.contents[0]) == (5, 4, 3)
    assert contents["note/text_summary", 7] == Media("text", [b"hello *world*"])


def test_the_parameters_of_the_hparams_plugin_are_read():
    contents = contents_of(OTHERS / "hparams.tfevents").values()
    assert Parameters({"lr": "0.5", "opt": "sgd"}) in contents


def test_files_of_tensorflow_2_are_read_though_metadata_come_once():
    path = OTHERS / "tensorflow2.tfevents"
    assert {(tag, step) for tag, step, _, _ in points_of(path)} == {("loss", n) for n in range(5)}
    contents = contents_of(path)
    assert contents["w", 1] == Histogram([0.0, 49.5, 99.0, 148.5, 198.0], [25.0] * 4)
    assert contents["pics", 0].contents == contents["pics", 1].contents[:2]
    assert contents["beep", 1] == Media("audio", [b"RIFFxxxx"])
    assert contents["note", 2] == Media("text", [b"hello"])
    assert contents["", 0] == Other("graph")


def test_reading_on_from_where_metadata_were_left_behind_finds_the_same_kinds():
    path = OTHERS / "tensorflow2.tfevents"
    starts = find_records(np.fromfile(path, dtype=np.uint8)).starts - 12
    kinds = {
        (value.tag, event.step): type(value.content)
        for event in read(path).events
        for value in event.values
    }
    for start in starts.tolist()[3:]:
        for event_ in read(path, offset=start).events:
            for value in event_.values:
                assert type(value.content) is kinds[value.tag, event_.step]


def test_histograms_and_images_are_read_back(tmp_path: Path):
    histogram = Histogram([-1.0, 0.0, 2.5], [3.0, 4.0])
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x00\x07\x00\x09\x03" + b"\0" * 9
    path = written(
        tmp_path / "e",
        writing.histogram_event("h", 3, 2.0, histogram),
        writing.image_event("i", -4, 2.0, jpeg),
    )
    assert contents_of(path) == {("h", 3): histogram, ("i", -4): Media("images", [jpeg])}
    assert writing.image_size(jpeg) == (9, 7, 3)


@settings(max_examples=40)
@given(st.data())
def test_a_file_cut_anywhere_gives_what_is_whole_and_the_rest_later(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("events") / "e"
    written(path, *(event("loss", step, step / 2) for step in range(5)))
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    first, before = read(path), points_of(path)
    path.write_bytes(whole)
    second = points_of(path, offset=first.end)
    assert not before & second
    assert len(before | second) == 5
    is_cut_within = cut not in (0, *(find_records(np.frombuffer(whole, np.uint8)).starts - 12))
    assert len(first.flaws) == (is_cut_within and cut < len(whole))


def test_the_last_record_that_is_not_complete_is_told_by_file_and_offset(tmp_path: Path):
    path = written(tmp_path / "e", event("loss", 1, 1.0))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + frame(event("loss", 2, 1.0))[:-3])
    batch = read(path)
    assert batch.end == size
    (flaw,) = batch.flaws
    assert (flaw.file, flaw.offset) == (str(path), size)
    assert "is not complete" in flaw.problem


@settings(max_examples=40)
@given(st.data())
def test_a_flipped_bit_costs_at_most_its_record_and_is_told(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("events") / "e"
    events = [event("loss", step, step / 2) for step in range(6)]
    content = bytearray(frame_all(events))
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    size = len(content) // 6 if len({len(one) for one in events}) == 1 else 0
    batch = read(path)
    assert len(batch.flaws) == 1
    assert len(points_of(path)) == 5
    if size:
        assert batch.flaws[0].offset == bit // 8 // size * size


def test_garbage_between_records_is_passed_over_and_told(tmp_path: Path):
    good = frame(event("loss", 1, 1.0))
    garbage = np.random.default_rng(2).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
    path = tmp_path / "e"
    path.write_bytes(good + garbage + good.replace(good, frame(event("loss", 2, 2.0))))
    batch = read(path, chunk_bytes=4096)
    assert {step for _, step, _, _ in points_of(path, chunk_bytes=4096)} == {1, 2}
    (flaw,) = batch.flaws
    assert flaw.offset == len(good)
    assert "300,000 bytes are no records" in flaw.problem


@pytest.mark.parametrize(
    "content",
    [b"\0" * 100_000, b"x" * 100_000, b"\xff" * 5000, bytes(range(256)) * 300, b"short", b""],
)
def test_garbage_gives_no_events_and_one_flaw(tmp_path: Path, content: bytes):
    (tmp_path / "e").write_bytes(content)
    batch = read(tmp_path / "e", chunk_bytes=10_000)
    assert (len(batch.scalars.values), batch.events) == (0, [])
    assert len(batch.flaws) == bool(content)
    assert batch.end == 0


@pytest.mark.parametrize("length", [2**31, 2**40, 2**63, 2**64 - 1])
@pytest.mark.parametrize("is_signed_off", [True, False])
def test_a_length_beyond_the_file_costs_no_memory(tmp_path: Path, length: int, is_signed_off: bool):
    claim = struct.pack("<Q", length)
    crc = struct.pack("<I", masked_crc(claim)) if is_signed_off else b"\1\2\3\4"
    (tmp_path / "e").write_bytes(frame(event("loss", 1, 1.0)) + claim + crc + b"x" * 50_000)
    tracemalloc.start()
    batch = read(tmp_path / "e")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(batch.scalars.values) == 1
    assert len(batch.flaws) == 1
    assert peak < 30_000_000


def test_a_record_too_large_to_be_one_is_passed_over(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("sightloop.tracking.tensorboard.records.MAX_RECORD_BYTES", 1000)
    monkeypatch.setattr("sightloop.tracking.tensorboard.reading.MAX_RECORD_BYTES", 1000)
    path = written(tmp_path / "e", b"x" * 1001, event("loss", 1, 1.0))
    assert len(points_of(path)) == 1
    (flaw,) = read(path).flaws
    assert "has 1,017 bytes, more than 1,000" in flaw.problem


@given(st.binary(max_size=60))
def test_bytes_that_are_no_event_are_refused_and_never_crash(content: bytes):
    with suppress(BrokenMessage):
        decode_event(content, {})
    buffer = np.frombuffer(frame(content), dtype=np.uint8)
    found = find_records(buffer)
    read_scalars(buffer, found.starts, found.lengths)


@given(st.data())
def test_an_event_with_any_byte_changed_never_crashes(data):
    path = data.draw(st.sampled_from(sorted(OTHERS.glob("*.tfevents"))))
    buffer = np.fromfile(path, dtype=np.uint8)
    found = find_records(buffer)
    number = data.draw(st.integers(0, len(found.starts) - 1))
    start, length = int(found.starts[number]), int(found.lengths[number])
    content = bytearray(buffer[start : start + length].tobytes())
    content[data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 255))
    with suppress(BrokenMessage):
        decode_event(bytes(content), {})
    changed = np.frombuffer(frame(bytes(content)), dtype=np.uint8)
    read_scalars(changed, np.array([12]), np.array([length]))


def test_lengths_inside_an_event_lead_nowhere_beyond_it():
    bomb = double_field(1, 1.0) + varint(5 << 3 | 2) + varint(2**62) + b"x"
    with pytest.raises(BrokenMessage, match="leads beyond the message"):
        decode_event(bomb, {})
    with pytest.raises(BrokenMessage, match="does not end"):
        decode_event(b"\x10" + b"\xff" * 30, {})
    nested = length_field(5, length_field(1, b"\x0a\xff\xff\xff\xff\x0f"))
    with pytest.raises(BrokenMessage, match="leads beyond the message"):
        decode_event(nested, {})


def test_a_long_file_takes_bounded_memory(tmp_path: Path):
    steps = np.arange(50_000)
    part = frame_all(writing.scalar_events("loss", steps, steps / 8, steps / 2))
    with (tmp_path / "e").open("wb") as file:
        for _ in range(4):
            file.write(part)
    masked_crc(b"")  # its tables are made once
    tracemalloc.start()
    n = sum(
        len(b.scalars.values) for b in reading.read_event_file(tmp_path / "e", chunk_bytes=1 << 18)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n == 200_000
    assert peak < 12 << 18


def test_a_header_is_found_where_it_stands():
    good = frame(b"hello")
    buffer = np.frombuffer(b"\0" * 70_001 + good, dtype=np.uint8)
    assert find_header(buffer, 0) == 70_001
    assert find_header(buffer, 70_002) is None
