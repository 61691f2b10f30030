r"""Rows, nodes, taxonomies and commits as compressed blocks. Pure.

A block is one zlib stream over records; blocks stand one after another without anything between.
Nearly all of a row that compression cannot shrink is digests, and a leaf of the tree repeats two
of them per row: its sample's id and its own digest. So a leaf says "the row two records ago"
wherever it can; that takes a third off the whole. Specification: docs/formats/remote.md.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from sightloop.datasets.store import ObjectKind

BLOCK_TARGET_BYTES = 256 << 10
"""A block is closed when its records reach this size."""
MAX_BLOCK_BYTES = 64 << 20
"""What a reader unpacks at most from one block: more is no metadata but a bomb."""
LEVEL = 6

_STEP_BYTES = 64 << 10

_KINDS: tuple[ObjectKind, ...] = ("row", "node", "taxonomy", "commit")
_ROW, _NODE = 0, 1
_SHORT_LEAF = 4
_HEAD = struct.Struct(">BI")
_BACK = struct.Struct(">H")
_LEAF = b"\x00"
_RECORD_BYTES, _ID_BYTES = 48, 16
_LITERAL, _REFERENCE = b"\x00", b"\x01"


class Record(NamedTuple):
    """One object of a block."""

    key: bytes
    """The 32 bytes of its SHA-256, worked out from the content."""
    kind: ObjectKind
    content: bytes


class BadBlock(ValueError):
    """The bytes are no block; whoever reads them knows which pack of which remote they are."""


class BlockWriter:
    """Collects records until the block is large enough."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.n_bytes = 0
        self._parts: list[bytes] = []
        self._rows: dict[bytes, int] = {}
        """By sample id and row digest as a leaf has them: which record of the block it is."""

    def add(self, kind: ObjectKind, key: bytes, content: bytes) -> None:
        """Append an object whose digest is known. Rows should come just before their leaf."""
        if kind == "row":
            self._rows[_row_id(content) + key] = len(self.keys)
        code, body = _KINDS.index(kind), content
        if kind == "node" and content[:1] == _LEAF:
            code, body = _SHORT_LEAF, self._short(content)
        self.keys.append(key)
        self._parts += (_HEAD.pack(code, len(body)), body)
        self.n_bytes += _HEAD.size + len(body)

    def finish(self) -> bytes:
        """The block."""
        return zlib.compress(b"".join(self._parts), LEVEL)

    def _short(self, leaf: bytes) -> bytes:
        parts: list[bytes] = []
        expected = 0
        for at in range(1, len(leaf), _RECORD_BYTES):
            record = leaf[at : at + _RECORD_BYTES]
            row = self._rows.get(record)
            # As the distance from the row after the one before: nearly always zero.
            distance = None if row is None else row - expected
            if row is None or distance is None or not 0 <= distance < 1 << 16:
                parts += (_LITERAL, record)
            else:
                parts += (_REFERENCE, _BACK.pack(distance))
                expected = row + 1
        return b"".join(parts)


class Block(NamedTuple):
    """A block as it was read."""

    length: int
    """How many bytes it takes in the pack."""
    records: list[Record]


def read_blocks(pack: bytes | memoryview) -> Iterator[Block]:
    """The blocks of a whole pack, one after another.

    Raises:
        BadBlock: the bytes are no blocks, or end in the middle of one.
    """
    stream, raw, length = zlib.decompressobj(), bytearray(), 0
    # In small steps: what a block leaves of a step is copied once more for the next.
    for at in range(0, len(pack), _STEP_BYTES):
        chunk: bytes | memoryview = pack[at : at + _STEP_BYTES]
        while chunk:
            try:
                raw += stream.decompress(chunk, MAX_BLOCK_BYTES + 1 - len(raw))
            except zlib.error as error:
                raise BadBlock(str(error)) from error
            if len(raw) > MAX_BLOCK_BYTES:
                raise BadBlock(f"a block is larger than {MAX_BLOCK_BYTES} bytes")
            length += len(chunk) - len(stream.unused_data)
            if not stream.eof:
                break
            chunk = stream.unused_data
            yield Block(length, _records(bytes(raw)))
            stream, raw, length = zlib.decompressobj(), bytearray(), 0
    if length:
        raise BadBlock("the last block ends early")


def read_block(content: bytes | memoryview) -> list[Record]:
    """The records of one block.

    Raises:
        BadBlock: these bytes are no block.
    """
    blocks = list(read_blocks(content))
    if len(blocks) != 1:
        raise BadBlock("the bytes are not exactly one block")
    return blocks[0].records


def _records(raw: bytes) -> list[Record]:
    records: list[Record] = []
    row_ids: list[bytes | None] = []
    at = 0
    while at < len(raw):
        if at + _HEAD.size > len(raw):
            raise BadBlock("a record ends early")
        code, length = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        body = raw[at : at + length]
        at += length
        if len(body) != length or code > _SHORT_LEAF:
            raise BadBlock("a record ends early, or is of an unknown kind")
        if code == _SHORT_LEAF:
            code, body = _NODE, _long(body, records, row_ids)
        records.append(Record(hashlib.sha256(body).digest(), _KINDS[code], body))
        row_ids.append(_row_id(body) if code == _ROW else None)
    return records


def _long(short: bytes, records: list[Record], row_ids: list[bytes | None]) -> bytes:
    parts = [_LEAF]
    at = expected = 0
    while at < len(short):
        if short[at : at + 1] == _LITERAL:
            parts.append(short[at + 1 : at + 1 + _RECORD_BYTES])
            at += 1 + _RECORD_BYTES
            continue
        if at + 1 + _BACK.size > len(short):
            raise BadBlock("a leaf ends early")
        row = expected + _BACK.unpack_from(short, at + 1)[0]
        at += 1 + _BACK.size
        row_id = row_ids[row] if row < len(row_ids) else None
        if row_id is None:
            raise BadBlock("a leaf refers to a row that is not there")
        parts += (row_id, records[row].key)
        expected = row + 1
    return b"".join(parts)


class _RowId(msgspec.Struct):
    id: str


def _row_id(content: bytes) -> bytes:
    try:
        found = bytes.fromhex(_ROW_IDS.decode(content).id)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadBlock("a row has no id") from error
    if len(found) != _ID_BYTES:
        raise BadBlock("a row has no id")
    return found


_ROW_IDS = msgspec.json.Decoder(_RowId)
