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

from sightloop.tracking.tensorboard.crc32c import Bytes, by_length, masked_crc, masked_crcs

HEADER_BYTES = 12
FOOTER_BYTES = 4
FRAME_BYTES = HEADER_BYTES + FOOTER_BYTES
MAX_RECORD_BYTES = 256 << 20
"""More than any image or graph that somebody logs; a longer record is passed over, unread."""
_LOOK_AHEAD = 1 << 16
_STEPS = 256
"""Records that are walked one by one before it is guessed how they go on."""

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
    parts: list[NDArray[np.int64]] = []
    n_steps = _STEPS
    while True:
        starts, at = _step(buffer, at, n_steps)
        parts.append(starts)
        if len(starts) < n_steps:
            break
        leaped = _leap(buffer, at, np.diff(starts[-_STEPS:]))
        parts.append(leaped.ravel())
        if len(leaped):
            at = int(leaped[-1, 0] + leaped[-1, 0] - leaped[-2, 0])
        # Where guessing does not pay it is tried less and less often.
        n_steps = _STEPS if leaped.size >= _STEPS else n_steps * 2
    begins = np.concatenate(parts)
    lengths = np.diff(np.append(begins, at)) - FRAME_BYTES
    return begins + HEADER_BYTES, lengths, at


def _step(buffer: Bytes, at: int, limit: int) -> tuple[NDArray[np.int64], int]:
    """Where up to `limit` records begin, and where the last of them ends."""
    view, size = buffer.data, len(buffer)
    starts: list[int] = []
    last = size - FRAME_BYTES
    while at <= last and len(starts) < limit:
        (length,) = _LENGTH(view, at)
        following = at + FRAME_BYTES + length
        if following > size or length > MAX_RECORD_BYTES:
            break
        starts.append(at)
        at = following
    return np.array(starts, dtype=np.int64), at


def _leap(buffer: Bytes, at: int, strides: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_rounds, period) where records begin whose lengths go on as they went before.

    A training logs the same names in turn, so lengths repeat, until the step needs a byte more.
    At least two rounds, or none.
    """
    nothing = np.zeros((0, 1), dtype=np.int64)
    periods = range(1, len(strides) // 2)
    period = next((p for p in periods if (strides[p:] == strides[:-p]).all()), None)
    if period is None:
        return nothing
    turn = _next_turn(strides, period)
    whole = int(turn.sum())
    n_rounds = (len(buffer) - at) // whole
    offsets = np.cumsum(turn) - turn
    for offset, stride in zip(offsets.tolist(), turn.tolist(), strict=True):
        if n_rounds < 2:
            return nothing
        lengths = np.ndarray((n_rounds,), "<u8", buffer, at + offset, (whole,))
        is_other = lengths != stride - FRAME_BYTES
        n_rounds = int(is_other.argmax()) if is_other.any() else n_rounds
    if n_rounds < 2:
        return nothing
    rounds: NDArray[np.int64] = at + np.arange(n_rounds)[:, None] * whole + offsets
    return rounds


def _next_turn(strides: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """The strides that follow if the period goes on; the last record's own is not among them."""
    n = len(strides) + 1
    places = len(strides) - period + (n - len(strides) + np.arange(period)) % period
    return strides[places]


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
    stored = sliding_window_view(buffer, 4)[starts - 4].view("<u4")[:, 0]
    matching = np.zeros(len(starts), dtype=np.bool_)
    groups = list(by_length(lengths))
    written = np.array([length for length, _ in groups], dtype="<u8").view(np.uint8)
    crcs = masked_crcs(written, np.arange(len(groups)) * 8, np.full(len(groups), 8))
    for crc, (_, mine) in zip(crcs, groups, strict=True):
        matching[mine] = stored[mine] == crc
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
