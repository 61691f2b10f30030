"""Blocks give back the objects that went in, whatever order, and refuse everything else."""

import hashlib
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets import tree
from sightloop.datasets.keys import object_key
from sightloop.datasets.remotes import blocks
from sightloop.datasets.remotes.blocks import (
    BadBlock,
    BlockWriter,
    EarlierBlocksNeeded,
    RowNumbers,
    read_block,
    read_blocks,
)
from sightloop.datasets.remotes.hex_runs import lengthen, shorten
from sightloop.datasets.values import encode_row
from sightloop.kernel.digests import digest_of


def rows_of(make_sample, seeds):
    samples = sorted((make_sample(seed) for seed in seeds), key=lambda one: one.id)
    return {one.id: encode_row(one) for one in samples}


def tree_of(rows):
    return tree.build({one: digest_of(row) for one, row in rows.items()})


def written(objects, rows=None):
    writer = BlockWriter(rows or RowNumbers())
    for kind, content in objects:
        writer.add(kind, hashlib.sha256(content).digest(), content)
    return writer.finish()


def read(block):
    return [(one.kind, one.content) for one in read_block(block)]


@given(seeds=st.sets(st.integers(0, 400), max_size=90), random=st.randoms())
def test_a_block_gives_back_rows_and_nodes_in_any_order(seeds, random, make_sample):
    rows = rows_of(make_sample, seeds)
    objects = [("row", row) for row in rows.values()]
    objects += [("node", node) for node in tree_of(rows).new_nodes.values()]
    objects += [("taxonomy", b"{}"), ("commit", b"{ }")]
    random.shuffle(objects)
    assert read(written(objects)) == objects


def test_a_leaf_after_its_rows_takes_next_to_nothing(make_sample):
    rows = rows_of(make_sample, range(60))
    (leaf,) = tree_of(rows).new_nodes.values()
    with_rows = [("row", row) for row in rows.values()]
    alone = len(written(with_rows))
    assert len(leaf) > 60 * 48
    assert len(written([*with_rows, ("node", leaf)])) - alone < 60


def test_keys_are_worked_out_and_not_believed(make_sample):
    writer = BlockWriter(RowNumbers())
    writer.add("taxonomy", bytes(32), b"content")
    (record,) = read_block(writer.finish())
    assert record.key == object_key(digest_of(b"content"))


def test_blocks_of_a_pack_come_one_by_one_with_their_lengths():
    first, second = written([("taxonomy", b"1" * 9)]), written([("taxonomy", b"2" * 300_000)])
    found = list(read_blocks(first + second))
    assert [one.length for one in found] == [len(first), len(second)]
    assert [one.records[0].content[:1] for one in found] == [b"1", b"2"]


def test_a_pack_that_is_cut_off_anywhere_is_refused(make_sample):
    rows = rows_of(make_sample, range(3))
    first = written([("row", row) for row in rows.values()])
    pack = first + written([("taxonomy", b"{}")])
    for end in range(1, len(pack)):
        if end == len(first):
            continue
        with pytest.raises(BadBlock):
            list(read_blocks(pack[:end]))


@given(
    seeds=st.lists(st.integers(0, 400), max_size=120, unique=True),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    random=st.randoms(),
)
def test_blocks_that_refer_to_earlier_ones_read_back_from_the_beginning(
    seeds, cuts, random, make_sample
):
    first, both = rows_of(make_sample, seeds[::2]), rows_of(make_sample, seeds)
    objects = [("row", row) for row in first.values()]
    objects += [("node", node) for node in tree_of(first).new_nodes.values()]
    objects += [("row", row) for one, row in both.items() if one not in first]
    objects += [("node", node) for node in tree_of(both).new_nodes.values()]
    random.shuffle(objects)
    edges = sorted({0, len(objects), *(min(cut, len(objects)) for cut in cuts)})
    parts = [objects[a:b] for a, b in pairwise(edges)]
    rows = RowNumbers()
    blocks_written = [written(part, rows) for part in parts]
    found = list(read_blocks(b"".join(blocks_written)))
    assert [[(r.kind, r.content) for r in block.records] for block in found] == parts


def test_a_later_leaf_with_rows_of_earlier_blocks_takes_little(make_sample):
    old, new = rows_of(make_sample, range(50)), rows_of(make_sample, range(60))
    (leaf,) = tree_of(new).new_nodes.values()
    rows = RowNumbers()
    written([("row", row) for row in old.values()], rows)
    later = [("row", row) for one, row in new.items() if one not in old]
    without = len(written(later, RowNumbers()))
    block = written([*later, ("node", leaf)], rows)
    assert len(block) - without < 150
    with pytest.raises(EarlierBlocksNeeded):
        read_block(block)


@given(st.text('0123456789abcdefg"\n:', max_size=300).map(str.encode), st.binary(max_size=40))
def test_digits_taken_out_of_a_text_come_back(text, before):
    short = shorten(text)
    assert short is not None
    runs = before + short.runs
    assert lengthen(short.text, runs, len(before)) == (text, len(runs))


def test_a_row_without_capture_is_sent_without_its_id(make_sample):
    from sightloop.datasets.values import Capture

    plain = encode_row(make_sample(1, boxes=[]))
    captured = encode_row(make_sample(1, boxes=[], capture=Capture("cam", "s", 5)))
    assert len(shorten(plain).runs) == 32
    assert len(shorten(captured).runs) == 48


def test_a_text_with_signs_in_it_is_left_as_it_is():
    assert shorten(b"a\x01b") is None


@pytest.mark.parametrize(
    ("records", "runs"),
    [
        (b"\x09\x00\x00\x00\x00", b""),  # an unknown kind
        (b"\x00\x00\x00\x00\x09abc", b""),  # a length beyond the end
        (b"\x00\x00\x00", b""),  # half a head
        (b"", b""),  # nothing
        (b"\x04\x00\x00\x00\x03\x01\x00\x00", b""),  # a leaf that refers to no row
        (b"\x04\x00\x00\x00\x02\x01\x00", b""),  # half a reference
        (b"\x04\x00\x00\x00\x05\x02\xff\xff\xff\xff", b""),  # a row before the first
        (b"\x00\x00\x00\x00\x02{}", b""),  # a row without an id
        (b'\x05\x00\x00\x00\x0a{"id":"\x02"}', b"short"),  # digits that end early
        (b'\x05\x00\x00\x00\x0a{"id":"\x03"}', b""),  # an id without an image
    ],
)
def test_records_that_make_no_sense_are_refused(records, runs):
    raw = len(records).to_bytes(4, "big") + records + runs
    with pytest.raises(BadBlock):
        list(read_blocks(zlib.compress(raw)))


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(blocks, "MAX_BLOCK_BYTES", 1 << 20)
    with pytest.raises(BadBlock, match="larger than 1048576 bytes"):
        read_block(zlib.compress(bytes(64 << 20)))
