"""Blocks give back the objects that went in, whatever order, and refuse everything else."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets import tree
from sightloop.datasets.keys import object_key
from sightloop.datasets.remotes import blocks
from sightloop.datasets.remotes.blocks import BadBlock, BlockWriter, read_block, read_blocks
from sightloop.datasets.values import encode_row
from sightloop.kernel.digests import digest_of


def rows_of(make_sample, seeds):
    samples = sorted((make_sample(seed) for seed in seeds), key=lambda one: one.id)
    return {one.id: encode_row(one) for one in samples}


def tree_of(rows):
    return tree.build({one: digest_of(row) for one, row in rows.items()})


def written(objects):
    writer = BlockWriter()
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
    writer = BlockWriter()
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


@pytest.mark.parametrize(
    "raw",
    [
        b"\x09\x00\x00\x00\x00",  # an unknown kind
        b"\x00\x00\x00\x00\x09abc",  # a length beyond the end
        b"\x00\x00\x00",  # half a head
        b"\x04\x00\x00\x00\x03\x01\x00\x00",  # a leaf that refers to no row
        b"\x04\x00\x00\x00\x02\x01\x00",  # half a reference
        b"\x00\x00\x00\x00\x02{}",  # a row without an id
    ],
)
def test_records_that_make_no_sense_are_refused(raw):
    with pytest.raises(BadBlock):
        read_block(zlib.compress(raw))


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(blocks, "MAX_BLOCK_BYTES", 1 << 20)
    with pytest.raises(BadBlock, match="larger than 1048576 bytes"):
        read_block(zlib.compress(bytes(64 << 20)))
