"""The scalars among thousands of events, as columns. Pure.

Events that log scalars look alike: of those with one length, nearly all differ only in time, step,
name and value. So one of them is read by hand, which tells at which bytes these lie, and all that
have the same bytes everywhere else are read at once. What is left goes through `events`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sightloop.tracking.tensorboard.crc32c import Bytes, by_length
from sightloop.tracking.tensorboard.events import is_scalar_metadata, scalar_in_tensor
from sightloop.tracking.tensorboard.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    BrokenMessage,
    Field,
    fields,
)

_MAX_LAYOUTS = 24
"""Of events with one length; what fits none of them is read one by one."""

_FEW_TAGS = 8
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class ScalarColumns(NamedTuple):
    """Scalars in no particular order, column by column, each (n,)."""

    tags: list[str]
    tag_index: NDArray[np.int64]
    steps: NDArray[np.int64]
    wall_times_s: NDArray[np.float64]
    values: NDArray[np.float64]


class Layout(NamedTuple):
    """Which bytes of an event hold what."""

    wall_time: int
    step: slice
    """Empty where no step was written, which means 0."""
    tag: slice
    value: int
    is_double: bool


def read_scalars(
    buffer: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[ScalarColumns, NDArray[np.int64]]:
    """The scalars among these records, and the positions (in `starts`) of all other records."""
    parts: list[ScalarColumns] = []
    others: list[NDArray[np.int64]] = []
    for length, mine in by_length(lengths):
        if not length:
            others.append(mine)
            continue
        rows = sliding_window_view(buffer, length)[starts[mine]]
        left = np.arange(len(mine))
        for _ in range(_MAX_LAYOUTS):
            if not len(left):
                break
            layout = layout_of(rows[left[0]].tobytes())
            if layout is None:
                others.append(mine[left[:1]])
                left = left[1:]
                continue
            alike = _alike(rows, left, layout)
            is_all = len(left) == len(rows) and alike.all()
            parts.append(_columns(rows if is_all else rows[left[alike]], layout))
            left = left[~alike]
        others.append(mine[left])
    rest = np.concatenate(others) if others else np.zeros(0, dtype=np.int64)
    return joined(parts), np.sort(rest)


def joined(parts: list[ScalarColumns]) -> ScalarColumns:
    """All parts as one; a tag stands once in `tags`."""
    numbers: dict[str, int] = {}
    indexes = []
    for part in parts:
        renumbered = np.array(
            [numbers.setdefault(tag, len(numbers)) for tag in part.tags], dtype=np.int64
        )
        indexes.append(renumbered[part.tag_index])
    return ScalarColumns(
        list(numbers),
        np.concatenate([*indexes, np.zeros(0, np.int64)]),
        np.concatenate([*(part.steps for part in parts), np.zeros(0, np.int64)]),
        np.concatenate([*(part.wall_times_s for part in parts), np.zeros(0)]),
        np.concatenate([*(part.values for part in parts), np.zeros(0)]),
    )


def layout_of(event: bytes) -> Layout | None:
    """Where the event holds what, if all it says is one scalar."""
    try:
        return _layout(event)
    except BrokenMessage:
        return None


def _layout(event: bytes) -> Layout | None:
    top = _once_each(event, 0, len(event), {1: FIXED64, 2: VARINT, 5: LENGTH})
    if top is None or 1 not in top or 5 not in top:
        return None
    summary = _once_each(event, top[5].start, top[5].end, {1: LENGTH})
    if not summary:
        return None
    kinds = {1: LENGTH, 2: FIXED32, 7: LENGTH, 8: LENGTH, 9: LENGTH}
    value = _once_each(event, summary[1].start, summary[1].end, kinds)
    if value is None or 1 not in value or (2 in value) == (8 in value):
        return None
    if 9 in value and not is_scalar_metadata(event[value[9].start : value[9].end]):
        return None
    place: tuple[int, bool] | None
    if 2 in value:
        place = (value[2].start, False)
    else:
        place = scalar_in_tensor(event, value[8].start, value[8].end)
    if place is None:
        return None
    step = slice(top[2].start, top[2].end) if 2 in top else slice(0, 0)
    return Layout(top[1].start, step, slice(value[1].start, value[1].end), *place)


def _once_each(
    message: bytes, start: int, end: int, kinds: dict[int, int]
) -> dict[int, Field] | None:
    """The fields by number; None if one is there twice, or is another than these."""
    found: dict[int, Field] = {}
    for field in fields(message, start, end):
        if field.number in found or kinds.get(field.number) != field.kind:
            return None
        found[field.number] = field
    return found


def _alike(rows: Bytes, left: NDArray[np.int64], layout: Layout) -> NDArray[np.bool_]:
    """(len(left),) which of these rows have the layout of the first."""
    first = rows[left[0]]
    given = np.full(len(first), 0xFF, dtype=np.uint8)
    given[layout.wall_time : layout.wall_time + 8] = 0
    given[layout.step] = 0x80  # how long a number is must agree, not the number
    given[layout.tag] = 0
    given[layout.value : layout.value + (8 if layout.is_double else 4)] = 0
    alike = np.ones(len(left), dtype=np.bool_)
    is_all = len(left) == len(rows)
    for column in np.flatnonzero(given):
        values = rows[:, column] if is_all else rows[left, column]
        if given[column] == 0xFF:
            alike &= values == first[column]
        else:
            alike &= (values & 0x80) == (first[column] & 0x80)
    return alike


def _columns(rows: Bytes, layout: Layout) -> ScalarColumns:
    """The columns of rows that all have the layout."""
    tags, tag_index = _tags(rows[:, layout.tag])
    steps = np.zeros(len(rows), dtype=np.uint64)
    for place, column in enumerate(range(layout.step.start, layout.step.stop)):
        part = (rows[:, column] & 0x7F).astype(np.uint64)
        steps |= part << np.uint64(7 * place)
    values = _numbers(rows, layout.value, "<f8" if layout.is_double else "<f4")
    return ScalarColumns(
        tags,
        tag_index,
        steps.view(np.int64),
        _numbers(rows, layout.wall_time, "<f8"),
        values.astype(np.float64),
    )


def _numbers(rows: Bytes, start: int, kind: str) -> NDArray[np.float64]:
    width = int(kind[-1])
    return np.ascontiguousarray(rows[:, start : start + width]).view(kind)[:, 0]


def _tags(names: Bytes) -> tuple[list[str], NDArray[np.int64]]:
    """The different rows as text, and for each row which it is."""
    n, width = names.shape
    padded = np.zeros((n, max(-(-width // 8), 1) * 8), dtype=np.uint8)
    padded[:, :width] = names
    words = padded.view("<u8")
    if (words == words[0]).all():
        return [_text(names[0])], np.zeros(n, dtype=np.int64)
    mixed = np.zeros(n, dtype=np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(32)
    first, inverse = _different(mixed)
    if not (words == words[first][inverse]).all():  # two names with one hash: compare them whole
        _, first, inverse = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return [_text(names[row]) for row in first], inverse.astype(np.int64).reshape(n)


def _different(values: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each different value stands first, and for each value which it is."""
    inverse = np.zeros(len(values), dtype=np.int64)
    left = np.arange(len(values))
    first: list[int] = []
    while len(left) and len(first) < _FEW_TAGS:  # for a handful quicker than sorting
        first.append(int(left[0]))
        same = values[left] == values[left[0]]
        inverse[left[same]] = len(first) - 1
        left = left[~same]
    if not len(left):
        return np.array(first, dtype=np.int64), inverse
    _, place, index = np.unique(values, return_index=True, return_inverse=True)
    return place.astype(np.int64), index.astype(np.int64).reshape(len(values))


def _text(name: Bytes) -> str:
    # As protobuf's own parser would refuse it, but a name is no reason to lose a point.
    return name.tobytes().decode("utf-8", errors="replace")
