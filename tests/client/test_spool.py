from pathlib import Path

import pytest

from sightloop.client.errors import SpoolDamaged
from sightloop.client.places import Target
from sightloop.client.spool import (
    MAIN,
    Batch,
    End,
    File,
    Head,
    PartWriter,
    Record,
    RunSpool,
    Sent,
    all_spools,
    decode_line,
    encode_line,
)
from sightloop.contracts.tracking import BeginTracking

GOLDEN = Path(__file__).parents[1] / "golden" / "run-spool.jsonl"
RUN = "run_01m890eam3bqj5ht2ghjka"
BEGIN = BeginTracking(
    run=RUN, experiment="pcb", name="first", user="anna", started_at_ms=1764061200000
)
HEAD = Head(begin=BEGIN, server="http://host:8470", workspace="")
RECORDS: list[Record] = [
    HEAD,
    Batch(params={"lr": "0.01"}),
    Batch(points=[("loss", 0.5, 0, 1764061201000), ("loss", "NaN", 1, 1764061202000)]),
    File(name="weights/best.pt", file="4711-1-1", size_bytes=7),
    End(state="finished", ended_at_ms=1764061203000),
]


def test_the_format_is_what_the_golden_file_says():
    assert b"".join(encode_line(record) for record in RECORDS) == GOLDEN.read_bytes()
    lines = GOLDEN.read_bytes().splitlines(keepends=True)
    assert [decode_line(line) for line in lines] == RECORDS


def test_a_bit_that_flipped_anywhere_is_noticed():
    line = encode_line(RECORDS[2])
    for at in range(len(line) - 1):
        for bit in range(8):
            flipped = line[:at] + bytes([line[at] ^ (1 << bit)]) + line[at + 1 :]
            assert decode_line(flipped) in (None, RECORDS[2])


def test_a_spool_has_one_owner_until_it_lets_go(tmp_path: Path):
    spool = RunSpool.create(tmp_path, HEAD)
    other = RunSpool(spool.folder)
    assert not other.own()
    spool.disown()
    assert other.own()
    other.disown()


def test_a_spool_that_was_removed_is_nobodys(tmp_path: Path):
    spool = RunSpool.create(tmp_path, HEAD)
    late = RunSpool(spool.folder)
    assert [found.folder for found in all_spools(tmp_path)] == [spool.folder]
    spool.remove()
    assert not late.own()
    assert all_spools(tmp_path) == []


def test_a_damaged_head_is_an_error_that_changes_nothing(tmp_path: Path):
    spool = RunSpool.create(tmp_path, HEAD)
    file = spool.folder / "main.jsonl"
    file.write_bytes(file.read_bytes().replace(b"http", b"httq"))
    before = file.read_bytes()
    with pytest.raises(SpoolDamaged, match=r"first line.*left as it is") as caught:
        spool.head()
    assert caught.value.code == "TRACK-054"
    assert file.read_bytes() == before
    spool.disown()


def test_a_note_that_was_damaged_means_from_the_start(tmp_path: Path):
    spool = RunSpool.create(tmp_path, HEAD)
    spool.note_sent(MAIN, Sent(end=10, number=1))
    assert spool.sent(MAIN) == Sent(end=10, number=1)
    (spool.folder / "main.sent").write_bytes(b"{")
    assert spool.sent(MAIN) == Sent()
    spool.disown()


def test_a_bit_that_flipped_in_a_note_means_from_the_start_too(tmp_path: Path):
    spool = RunSpool.create(tmp_path, HEAD)
    spool.note_sent(MAIN, Sent(end=1234, number=56))
    file = spool.folder / "main.sent"
    whole = file.read_bytes()
    for at in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        file.write_bytes(changed)
        # Upper and lower case of the checksum's digits are one number.
        assert spool.sent(MAIN) in (Sent(), Sent(end=1234, number=56))
    spool.disown()


def test_nobody_else_can_read_a_spool(tmp_path: Path):
    spool = RunSpool.create(tmp_path, HEAD)
    writer = PartWriter(spool.folder, MAIN)
    writer.close()
    assert spool.folder.stat().st_mode & 0o077 == 0
    assert (spool.folder / "main.jsonl").stat().st_mode & 0o077 == 0
    spool.disown()


def test_the_target_is_the_heads():
    assert HEAD.target == Target("http://host:8470", "")
    assert str(Target("", "/data/ws")) == "the workspace /data/ws"
