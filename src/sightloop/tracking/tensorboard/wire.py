"""Protocol Buffers' wire format, as far as event files use it. Pure.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


class BrokenMessage(ValueError):
    """Bytes are no message: a field leads beyond its end, or is of a kind there is not."""


class Field(NamedTuple):
    """A field: its number, its kind, and where its value lies in the message."""

    number: int
    kind: int
    start: int
    end: int


def fields(message: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message in their order.

    Raises:
        BrokenMessage: it is none; fields before the fault were yielded.
    """
    end = len(message) if end is None else end
    at = start
    while at < end:
        key, at = read_varint(message, at, end)
        kind = key & 7
        if kind == VARINT:
            _, after = read_varint(message, at, end)
        elif kind == LENGTH:
            length, at = read_varint(message, at, end)
            after = at + length
        elif kind in (FIXED64, FIXED32):
            after = at + (8 if kind == FIXED64 else 4)
        else:
            raise BrokenMessage(f"byte {at} begins a field of kind {kind}, which there is not")
        if after > end:
            raise BrokenMessage(f"field {key >> 3} at byte {at} leads beyond the message")
        yield Field(key >> 3, kind, at, after)
        at = after


def read_varint(message: bytes, at: int, end: int) -> tuple[int, int]:
    """The number (64 bits, unsigned) that begins at a byte, and where it ends.

    Raises:
        BrokenMessage: it does not end in time.
    """
    value = 0
    for place in range(_MAX_VARINT_BYTES):
        if at >= end:
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise BrokenMessage(f"the number at byte {at} does not end")


def signed(value: int) -> int:
    """The 64 bits as a number with a sign.

    >>> signed(2**64 - 1)
    -1
    """
    return value - (1 << 64) if value >> 63 else value


def double(message: bytes, at: int) -> float:
    """The double that begins at a byte."""
    return float(struct.unpack_from("<d", message, at)[0])


def single(message: bytes, at: int) -> float:
    """The float of 32 bits that begins at a byte."""
    return float(struct.unpack_from("<f", message, at)[0])


def varint(value: int) -> bytes:
    """The number as it is written; a negative one takes ten bytes."""
    value &= 0xFFFFFFFFFFFFFFFF
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def length_field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | LENGTH) + varint(len(content)) + content


def varint_field(number: int, value: int) -> bytes:
    """A field with a whole number."""
    return varint(number << 3 | VARINT) + varint(value)


def double_field(number: int, value: float) -> bytes:
    """A field with a double."""
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)
