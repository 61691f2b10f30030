"""Indexes find exactly what is in a pack, and spans read it in few requests."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.packs import (
    Piece,
    Place,
    decode_index,
    encode_index,
    spans,
)


def digest(number: int) -> bytes:
    return hashlib.sha256(b"some other object %d" % number).digest()


@given(st.lists(st.integers(1, 5_000), max_size=30), st.randoms())
def test_an_index_leads_to_every_blob_of_its_pack_and_to_no_other(lengths, random):
    blobs = [random.randbytes(length) for length in lengths]
    blobs = list(dict.fromkeys(blobs))
    digests = [hashlib.sha256(blob).digest() for blob in blobs]
    pack = b"".join(blobs)
    entries = [(one, at) for at, one in enumerate(digests)]
    index = decode_index(encode_index(entries, [len(blob) for blob in blobs]))
    assert index is not None
    assert (index.n_entries, index.size_bytes) == (len(blobs), len(pack))
    asked = [*digests, digest(1), digest(2)]
    random.shuffle(asked)
    found = {
        asked[at]: pack[start : start + n]
        for at, (start, n) in index.places(KeyColumn.of(asked).short_keys())
    }
    assert found == dict(zip(digests, blobs, strict=True))
    assert index.has(KeyColumn.of(asked).short_keys()).sum() == len(blobs)


def test_several_objects_may_lie_in_one_piece():
    entries = [(digest(0), 0), (digest(1), 0), (digest(2), 1)]
    index = decode_index(encode_index(entries, [10, 20]))
    assert index is not None
    places = index.places(KeyColumn.of([digest(2), digest(1)]).short_keys())
    assert places == [Piece(1, Place(0, 10)), Piece(0, Place(10, 20))]


def test_an_index_with_any_byte_changed_or_cut_off_is_none():
    content = encode_index([(digest(at), at) for at in range(3)], [5, 6, 7])
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        assert decode_index(bytes(changed)) is None
        assert decode_index(content[:at]) is None


def test_the_index_of_a_small_blob_takes_twenty_bytes():
    few, many = (
        len(encode_index([(digest(at), at) for at in range(n)], [9] * n)) for n in (10, 110)
    )
    assert many - few == 100 * 20


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=40),
    st.integers(0, 50),
    st.integers(60, 200),
)
def test_spans_cover_every_piece_and_keep_their_limits(gaps, max_gap_bytes, max_span_bytes):
    pieces, at = [], 0
    for number, (gap, length) in enumerate(gaps):
        pieces.append(Piece(number, Place(at + gap, length)))
        at += gap + length
    found = spans(pieces, max_gap_bytes=max_gap_bytes, max_span_bytes=max_span_bytes)
    assert [piece for span in found for piece in span.pieces] == pieces
    for span in found:
        ends = [piece.place.start + piece.place.length for piece in span.pieces]
        assert span.start == span.pieces[0].place.start
        assert span.start + span.length == max(ends)
        assert span.length <= max_span_bytes
        inside = sum(piece.place.length for piece in span.pieces)
        assert span.length - inside <= max_gap_bytes * (len(span.pieces) - 1)


def test_objects_of_one_block_are_read_once():
    block = Place(100, 50)
    assert [
        (one.start, one.length, len(one.pieces))
        for one in spans([Piece(0, block), Piece(1, block)])
    ] == [(100, 50, 2)]


@given(st.lists(st.integers(0, 20), max_size=40))
def test_a_column_of_keys_is_a_list_of_them(numbers):
    keys = [digest(number) for number in numbers]
    column = KeyColumn.of(keys)
    assert list(column) == keys
    assert list(column.first_of_each()) == list(dict.fromkeys(keys))
    assert [bytes(one).ljust(16, b"\0") for one in column.short_keys()] == [k[:16] for k in keys]
    assert list(column.take(np.arange(len(keys)) % 2 == 0)) == keys[::2]
    assert list(column[1:3]) == keys[1:3]
