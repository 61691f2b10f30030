"""Where the records of a TFRecord file lie, and whether their bytes are what was written. Pure.

A record is its length (8 bytes, little endian), the masked CRC of these, its bytes, and the masked
CRC of those.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sightloop.tracking.tensorboard.crc32c import Bytes, masked_crc, masked_crcs

HEADER_BYTES = 12
FOOTER_BYTES = 4
FRAME_BYTES = HEADER_BYTES + FOOTER_BYTES
MAX_RECORD_BYTES = 256 << 20
"""More than any image or graph that somebody logs; a longer record is passed over, unread."""
_LOOK_AHEAD = 1 << 16

_LENGTH = struct.Struct("<Q").unpack_from
_CRC = struct.Struct("<I").unpack_from

Stop = Literal["end", "incomplete", "too large", "no record"]
"""Why no further record was found: none begins; the last is not all there; it is longer than
`MAX_RECORD_BYTES`; or what begins there is no record, as its length contradicts the CRC of it."""


class Found(NamedTuple):
    """Records that lie behind one another; positions count from the start of the buffer."""

    starts: NDArray[np.int64]
    """(n,) of their bytes, headers not counted."""
    lengths: NDArray[np.int64]
    is_whole: NDArray[np.bool_]
    """(n,) False where the bytes contradict their CRC."""
    end: int
    """Where the first record begins that is not among them."""
    stop: Stop


def find_records(buffer: Bytes, at: int = 0) -> Found:
    """The records of the buffer from `at` on."""
    starts, lengths, end = _walk(buffer, at)
    headers = _headers_match(buffer, starts, lengths)
    bad = np.flatnonzero(~headers)
    if len(bad):
        n = int(bad[0])
        end = int(starts[n]) - HEADER_BYTES
        starts, lengths = starts[:n], lengths[:n]
    return Found(starts, lengths, _matching(buffer, starts, lengths), end, _why(buffer, end))


def find_header(buffer: Bytes, at: int) -> int | None:
    """Where, from `at` on, a length stands with the right CRC: the next record, with luck.

    One place in 4,000 million looks so by chance.
    """
    for start in range(at, len(buffer) - HEADER_BYTES + 1, _LOOK_AHEAD):
        stop = min(start + _LOOK_AHEAD, len(buffer) - HEADER_BYTES + 1)
        places = sliding_window_view(buffer[start : stop + HEADER_BYTES - 1], HEADER_BYTES)
        # A length has zeros above, a CRC hardly ever is zero: most places are out before any sum.
        likely = np.flatnonzero(~places[:, 5:8].any(axis=1) & places[:, 8:].any(axis=1))
        good = _matching(buffer, likely + start, np.full(len(likely), 8))
        if good.any():
            return start + int(likely[good][0])
    return None


def frame(content: bytes) -> bytes:
    """The record that holds these bytes."""
    length = struct.pack("<Q", len(content))
    return b"".join((length, _packed(masked_crc(length)), content, _packed(masked_crc(content))))


def frame_all(contents: list[bytes]) -> bytes:
    """The records that hold these bytes, one behind another: `frame` for thousands."""
    lengths = np.array([len(one) for one in contents], dtype=np.int64)
    buffer = np.frombuffer(b"".join(contents), dtype=np.uint8)
    starts = np.cumsum(lengths) - lengths
    heads = np.frombuffer(lengths.astype("<u8").tobytes(), dtype=np.uint8)
    head_crcs = masked_crcs(heads, np.arange(len(contents)) * 8, np.full(len(contents), 8))
    crcs = masked_crcs(buffer, starts, lengths)
    parts: list[bytes] = []
    pack = struct.Struct("<QI").pack
    for content, head, crc in zip(contents, head_crcs.tolist(), crcs.tolist(), strict=True):
        parts += (pack(len(content), head), content, _packed(crc))
    return b"".join(parts)


def _packed(crc: int) -> bytes:
    return struct.pack("<I", crc)


def _walk(buffer: Bytes, at: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Follow the lengths, believing them, as far as whole records go."""
    view, size = buffer.data, len(buffer)
    starts: list[int] = []
    last = size - FRAME_BYTES
    while at <= last:
        (length,) = _LENGTH(view, at)
        following = at + FRAME_BYTES + length
        if following > size or length > MAX_RECORD_BYTES:
            break
        starts.append(at)
        at = following
    ends = np.array([*starts[1:], at] if starts else [], dtype=np.int64)
    begins = np.array(starts, dtype=np.int64)
    return begins + HEADER_BYTES, ends - begins - FRAME_BYTES, at


def _matching(
    buffer: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(n,) whether the CRC behind each stretch is that of the stretch."""
    if not len(starts):
        return np.zeros(0, dtype=np.bool_)
    stored = sliding_window_view(buffer, 4)[starts + lengths].view("<u4")[:, 0]
    matching: NDArray[np.bool_] = masked_crcs(buffer, starts, lengths) == stored
    return matching


def _headers_match(
    buffer: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(n,) whether the length of each record agrees with the CRC that stands behind it."""
    if not len(starts):
        return np.zeros(0, dtype=np.bool_)
    different, inverse = np.unique(lengths, return_inverse=True)
    written = np.frombuffer(different.astype("<u8").tobytes(), dtype=np.uint8)
    crcs = masked_crcs(written, np.arange(len(different)) * 8, np.full(len(different), 8))
    stored = sliding_window_view(buffer, 4)[starts - 4].view("<u4")[:, 0]
    matching: NDArray[np.bool_] = crcs[inverse] == stored
    return matching


def _why(buffer: Bytes, end: int) -> Stop:
    if end == len(buffer):
        return "end"
    if end + HEADER_BYTES > len(buffer):
        return "incomplete"
    header = buffer.data[end : end + HEADER_BYTES]
    if masked_crc(bytes(header[:8])) != _CRC(header, 8)[0]:
        return "no record"
    return "too large" if _LENGTH(header, 0)[0] > MAX_RECORD_BYTES else "incomplete"
