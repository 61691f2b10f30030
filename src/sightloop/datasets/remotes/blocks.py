r"""Rows, nodes, taxonomies and commits as compressed blocks. Pure.

A block is one zlib stream; blocks stand one after another in a pack without anything between.
Nearly all that compression cannot shrink is digests, and a leaf of the tree repeats two of them
per row: its sample's id and its own digest. So a leaf says "the row before" wherever it can, also
of earlier blocks of its pack. With that and `hex_runs`, labels take half of what they would.
Specification: docs/formats/remote.md.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from sightloop.datasets.keys import ObjectKind
from sightloop.datasets.remotes.hex_runs import lengthen, shorten

BLOCK_TARGET_BYTES = 256 << 10
"""A block is closed when its records reach this size."""
MAX_BLOCK_BYTES = 64 << 20
"""What a reader unpacks at most from one block: more is no metadata but a bomb."""
LEVEL = 6

_STEP_BYTES = 64 << 10
_KINDS: tuple[ObjectKind, ...] = ("row", "node", "taxonomy", "commit")
_ROW, _NODE, _SHORT_LEAF, _SHORT_ROW = 0, 1, 4, 5
_SIZE = struct.Struct(">I")
_HEAD = struct.Struct(">BI")
_AHEAD, _MOVE = struct.Struct(">H"), struct.Struct(">i")
_LEAF = b"\x00"
_ENTRY_BYTES, _ID_BYTES = 48, 16
_LITERAL, _HERE, _EARLIER = b"\x00", b"\x01", b"\x02"


class Record(NamedTuple):
    """One object of a block."""

    key: bytes
    """The 32 bytes of its SHA-256, worked out from the content."""
    kind: ObjectKind
    content: bytes


class Block(NamedTuple):
    """A block as it was read."""

    length: int
    """How many bytes it takes in the pack."""
    records: list[Record]


class BadBlock(ValueError):
    """The bytes are no block; whoever reads them knows which pack of which remote they are."""


class EarlierBlocksNeeded(BadBlock):
    """The block is fine but refers to rows of blocks before it: read the pack from its beginning.

    Only whoever wants single objects meets it, which happens when a store is mended.
    """


class RowNumbers:
    """Which row of a pack an entry of a leaf means, counting from the pack's first row."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self.n = 0

    def add(self, entry: bytes) -> None:
        """The next row; an entry is a sample's id and a row's digest."""
        self._numbers[entry] = self.n
        self.n += 1

    def find(self, entry: bytes) -> int | None:
        """The row's number, if the pack has it."""
        return self._numbers.get(entry)


class BlockWriter:
    """Collects records until the block is large enough."""

    def __init__(self, rows: RowNumbers) -> None:
        """`rows` goes along from block to block of a pack."""
        self.keys: list[bytes] = []
        self.n_bytes = 0
        self._rows = rows
        self._first_row = rows.n
        self._parts: list[bytes] = []
        self._runs: list[bytes] = []

    def add(self, kind: ObjectKind, key: bytes, content: bytes) -> None:
        """Append an object whose digest is known. Rows should come just before their leaf."""
        code, body = _KINDS.index(kind), content
        if kind == "row":
            self._rows.add(_row_id(content) + key)
            if short := shorten(content):
                code, body = _SHORT_ROW, short.text
                self._runs.append(short.runs)
        elif kind == "node" and content[:1] == _LEAF:
            code, body = _SHORT_LEAF, self._short_leaf(content)
        self.keys.append(key)
        self._parts += (_HEAD.pack(code, len(body)), body)
        self.n_bytes += len(content)

    def finish(self) -> bytes:
        """The block."""
        records = b"".join(self._parts)
        return zlib.compress(_SIZE.pack(len(records)) + records + b"".join(self._runs), LEVEL)

    def _short_leaf(self, leaf: bytes) -> bytes:
        parts: list[bytes] = []
        # The rows after the last one of this block and of earlier ones that was referred to:
        # nearly always the next one that is.
        here, earlier = self._first_row, 0
        for at in range(1, len(leaf), _ENTRY_BYTES):
            entry = leaf[at : at + _ENTRY_BYTES]
            row = self._rows.find(entry)
            is_behind = row is not None and self._first_row <= row < here
            if row is None or is_behind or row - here >= 1 << 16:
                parts += (_LITERAL, entry)
            elif row >= self._first_row:
                parts += (_HERE, _AHEAD.pack(row - here))
                here = row + 1
            else:
                parts += (_EARLIER, _MOVE.pack(row - earlier))
                earlier = row + 1
        return b"".join(parts)


def read_blocks(pack: bytes | memoryview) -> Iterator[Block]:
    """The blocks of a pack from its beginning, one after another.

    Raises:
        BadBlock: the bytes are no blocks, or end in the middle of one.
    """
    return _read_blocks(pack, [])


def read_block(content: bytes | memoryview) -> list[Record]:
    """The records of a block out of the middle of a pack.

    Raises:
        EarlierBlocksNeeded: it can only be read together with those before it.
        BadBlock: these bytes are no block.
    """
    blocks = list(_read_blocks(content, None))
    if len(blocks) != 1:
        raise BadBlock("the bytes are not exactly one block")
    return blocks[0].records


def _read_blocks(pack: bytes | memoryview, rows: list[bytes] | None) -> Iterator[Block]:
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
            yield Block(length, _BlockReader(bytes(raw), rows).records())
            stream, raw, length = zlib.decompressobj(), bytearray(), 0
    if length:
        raise BadBlock("the last block ends early")


class _BlockReader:
    """Takes one unpacked block apart."""

    def __init__(self, raw: bytes, rows: list[bytes] | None) -> None:
        """`rows` are the entries of all rows before it, and grows; None where they are unknown."""
        self._raw = raw
        self._rows = [] if rows is None else rows
        self._first_row = None if rows is None else len(rows)
        self._run_at = 0

    def records(self) -> list[Record]:
        raw = self._raw
        end = _SIZE.size + (_SIZE.unpack_from(raw)[0] if len(raw) >= _SIZE.size else 0)
        if end > len(raw) or end == _SIZE.size:
            raise BadBlock("a block has no records, or ends early")
        at, self._run_at = _SIZE.size, end
        records: list[Record] = []
        while at < end:
            if at + _HEAD.size > end:
                raise BadBlock("a record ends early")
            code, length = _HEAD.unpack_from(raw, at)
            at += _HEAD.size + length
            if at > end:
                raise BadBlock("a record ends early")
            records.append(self._record(code, raw[at - length : at]))
        return records

    def _record(self, code: int, body: bytes) -> Record:
        if code == _SHORT_ROW:
            code, body = _ROW, self._long_row(body)
        elif code == _SHORT_LEAF:
            code, body = _NODE, self._long_leaf(body)
        if code >= len(_KINDS):
            raise BadBlock(f"a record is of the unknown kind {code}")
        key = hashlib.sha256(body).digest()
        if code == _ROW:
            self._rows.append(_row_id(body) + key)
        return Record(key, _KINDS[code], body)

    def _long_row(self, text: bytes) -> bytes:
        try:
            row, self._run_at = lengthen(text, self._raw, self._run_at)
        except ValueError as error:
            raise BadBlock(str(error)) from error
        return row

    def _long_leaf(self, short: bytes) -> bytes:
        parts = [_LEAF]
        at, here, earlier = 0, self._first_row or 0, 0
        while at < len(short):
            token = short[at : at + 1]
            at += 1
            try:
                if token == _LITERAL:
                    parts.append(short[at : at + _ENTRY_BYTES])
                    at += _ENTRY_BYTES
                elif token == _HERE:
                    here += _AHEAD.unpack_from(short, at)[0]
                    at += _AHEAD.size
                    parts.append(self._entry(here))
                    here += 1
                else:
                    earlier += _MOVE.unpack_from(short, at)[0]
                    at += _MOVE.size
                    if self._first_row is None:
                        raise EarlierBlocksNeeded("its leaves refer to earlier blocks")
                    parts.append(self._entry(earlier))
                    earlier += 1
            except struct.error as error:
                raise BadBlock("a leaf ends early") from error
        return b"".join(parts)

    def _entry(self, row: int) -> bytes:
        if not 0 <= row < len(self._rows):
            raise BadBlock("a leaf refers to a row that is not there")
        return self._rows[row]


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
