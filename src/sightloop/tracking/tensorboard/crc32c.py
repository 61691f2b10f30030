"""CRC-32C of many records at once, as TensorBoard's files carry it. Pure.

A CRC is linear over the bits of its message. So the part that a byte has in it depends only on the
byte and its distance from the end, which is a table; two bytes are looked up at a time, for all
records together. A long record is cut into pieces of 64 bytes, whose sums are then moved and added
pair by pair.

Source: Castagnoli et al. (1993); RFC 3720, appendix B.4; the mask is TensorFlow's `crc32c.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Sums = NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_PIECE_BYTES = 64
_ALL_ONES = 0xFFFFFFFF
_MANY = 64


def masked_crcs(buffer: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Sums:
    """The masked CRC of each record `buffer[start : start + length]`, (n,) uint32.

    Needs up to twice the records' bytes in memory beside them.
    """
    sums = np.zeros(len(starts), dtype=np.uint32)
    for mine, width in _groups(lengths):
        sums[mine] = _linear(_aligned_right(buffer, starts[mine], lengths[mine], width))
    return masked(sums ^ _of_ones(lengths) ^ np.uint32(_ALL_ONES))


def masked_crc(content: bytes) -> int:
    """The masked CRC of one record.

    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    buffer = np.frombuffer(content, dtype=np.uint8)
    sums = masked_crcs(buffer, np.zeros(1, np.int64), np.array([len(content)], np.int64))
    return int(sums[0])


def masked(sums: Sums) -> Sums:
    """CRCs turned and moved, so that a CRC over bytes that hold CRCs still means something."""
    return ((sums >> np.uint32(15)) | (sums << np.uint32(17))) + np.uint32(_MASK_DELTA)


def _groups(lengths: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Positions of records that are summed together, with a width that holds each of them.

    Records of one length are often equal in most places, which are then summed once; where only
    few are of one length, those that are about as long go together.
    """
    few: list[NDArray[np.int64]] = []
    for length, mine in by_length(lengths):
        if len(mine) >= _MANY:
            yield mine, _width(length)
        else:
            few.append(mine)
    rest = np.concatenate([*few, np.zeros(0, np.int64)])
    widths = np.maximum(-(-lengths[rest] // _PIECE_BYTES), 1) * _PIECE_BYTES
    for width, mine in by_length(widths):
        yield rest[mine], width


def by_length(lengths: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each different length, ascending, with the positions where it stands."""
    if not len(lengths):
        return
    # Of 16 bits numpy sorts a hundred thousand in half a millisecond, of 64 in five.
    is_short = lengths.max() < 1 << 16
    order = np.argsort(lengths.astype(np.uint16) if is_short else lengths, kind="stable")
    ends = np.flatnonzero(np.diff(lengths[order])) + 1
    for mine in np.split(order, ends):
        yield int(lengths[mine[0]]), mine


def _width(length: int) -> int:
    return max(-(-length // _PIECE_BYTES), 1) * _PIECE_BYTES


def _aligned_right(
    buffer: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64], width: int
) -> Bytes:
    """The records as rows; zeros in front change no linear sum."""
    first = starts + lengths - width
    rows = np.zeros((len(starts), width), dtype=np.uint8)
    inside = first >= 0
    if inside.any():
        rows[inside] = sliding_window_view(buffer, width)[first[inside]]
    for row in np.flatnonzero(~inside):
        length = int(lengths[row])
        rows[row, width - length :] = buffer[starts[row] : starts[row] + length]
    lead = width - lengths
    longest = int(lead.max(initial=0))
    if (lead == longest).all():
        rows[:, :longest] = 0
    else:
        rows[:, :longest][np.arange(longest) < lead[:, None]] = 0
    return rows


def _linear(rows: Bytes) -> Sums:
    """The CRC of each row that starts from zero: the linear part."""
    n, width = rows.shape
    n_pieces = width // _PIECE_BYTES
    columns = np.ascontiguousarray(rows.reshape(n * n_pieces, _PIECE_BYTES).view("<u2").T)
    sums = np.zeros(n * n_pieces, dtype=np.uint32)
    for column, table in zip(columns, _pair_tables(), strict=True):
        if (column == column[0]).all():
            sums ^= table[column[0]]
        else:
            sums ^= table.take(column)
    return _added_up(sums.reshape(n, n_pieces))


def _added_up(sums: Sums) -> Sums:
    """One sum per row from those of its pieces, (n, n_pieces)."""
    doublings = _PIECE_BYTES.bit_length() - 1
    while sums.shape[1] > 1:
        if sums.shape[1] % 2:
            sums = np.pad(sums, ((0, 0), (1, 0)))
        sums = _moved(sums[:, 0::2], _zeros_table(doublings)) ^ sums[:, 1::2]
        doublings += 1
    return sums[:, 0]


def _of_ones(lengths: NDArray[np.int64]) -> Sums:
    """What the register, which starts as all ones, becomes after so many zero bytes."""
    found, inverse = np.unique(lengths, return_inverse=True)
    sums = np.full(len(found), _ALL_ONES, dtype=np.uint32)
    for doublings in range(int(found.max(initial=0)).bit_length()):
        has_bit = (found >> doublings) & 1 == 1
        sums[has_bit] = _moved(sums[has_bit], _zeros_table(doublings))
    moved: Sums = sums[inverse]
    return moved


def _moved(sums: Sums, table: Sums) -> Sums:
    """What sums become when the zero bytes of the table follow."""
    low, high = np.uint32(0xFF), np.uint32(8)
    moved: Sums = table[0].take(sums & low) ^ table[1].take((sums >> high) & low)
    moved ^= table[2].take((sums >> np.uint32(16)) & low) ^ table[3].take(sums >> np.uint32(24))
    return moved


@cache
def _zeros_table(doublings: int) -> Sums:
    """(4, 256): what each byte of a sum becomes after 2 ** doublings zero bytes."""
    if doublings:
        half = _zeros_table(doublings - 1)
        return np.stack([_moved(part, half) for part in half])
    single = np.arange(256, dtype=np.uint32)
    places = [single << np.uint32(8 * place) for place in range(4)]
    bytes_table = _byte_table()
    return np.stack(
        [bytes_table[part & np.uint32(0xFF)] ^ (part >> np.uint32(8)) for part in places]
    )


@cache
def _byte_table() -> Sums:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        is_odd = table & np.uint32(1) == 1
        table = np.where(
            is_odd, (table >> np.uint32(1)) ^ np.uint32(_POLYNOMIAL), table >> np.uint32(1)
        )
    return table


@cache
def _pair_tables() -> Sums:
    """(32, 65536): the part of two neighbouring bytes, by their place in a piece."""
    by_distance = [_byte_table()]
    for _ in range(_PIECE_BYTES - 1):
        last = by_distance[-1]
        by_distance.append(_byte_table()[last & np.uint32(0xFF)] ^ (last >> np.uint32(8)))
    pairs = [
        (by_distance[distance][:, None] ^ by_distance[distance + 1][None, :]).ravel()
        for distance in range(0, _PIECE_BYTES, 2)
    ]
    return np.stack(pairs[::-1])
