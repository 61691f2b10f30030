"""Masks as COCO writes them: run lengths down the columns, compressed into text. Pure.

Runs alternate between background and object, beginning with background. The text packs each run
as a number of six-bit characters (five bits of value, one that says whether more follow); from
the third run on, the difference to the run two places before is written instead.

Source: the COCO API's mask format, against whose implementation (pycocotools) it is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightloop.datasets.geometry import BoxPx, SizePx

Pixels = NDArray[np.bool_]
"""(height, width), true where the object is."""

_FIRST_CHARACTER = 48
_VALUE_BITS = 5
_MAX_SHIFT = 60
"""No run has more bits; without a limit one number could be as long as its file."""
_MORE, _SIGN, _VALUE = 0x20, 0x10, 0x1F


def compressed(runs: Sequence[int]) -> str:
    """The runs as text.

    >>> compressed([3, 2, 5])
    '325'
    """
    text = bytearray()
    for at, run in enumerate(runs):
        number = run - runs[at - 2] if at > 2 else run
        more = True
        while more:
            piece = number & _VALUE
            number >>= _VALUE_BITS
            more = number != (-1 if piece & _SIGN else 0)
            text.append((piece | _MORE if more else piece) + _FIRST_CHARACTER)
    return text.decode("ascii")


def runs_of(counts: str) -> list[int]:
    """The runs of a text that `compressed` wrote.

    Raises:
        ValueError: it is no such text.

    >>> runs_of("325")
    [3, 2, 5]
    """
    runs: list[int] = []
    number, shift = 0, 0
    for character in counts:
        piece = ord(character) - _FIRST_CHARACTER
        if not 0 <= piece < 2 * _MORE:
            raise ValueError(f"{character!r} is no character of run lengths")
        if shift > _MAX_SHIFT:
            raise ValueError(f"run {len(runs)} is longer than any image")
        number |= (piece & _VALUE) << shift
        shift += _VALUE_BITS
        if piece & _MORE:
            continue
        if piece & _SIGN:
            number |= -1 << shift
        run = number + (runs[-2] if len(runs) > 2 else 0)
        if run < 0:
            raise ValueError(f"run {len(runs)} has the length {run}")
        runs.append(run)
        number, shift = 0, 0
    if shift:
        raise ValueError("the last run is cut off")
    return runs


def canonical(runs: Iterable[int]) -> list[int]:
    """The same mask with no run of length 0 but perhaps the first.

    >>> canonical([2, 3, 0, 4, 1])
    [2, 7, 1]
    """
    merged: list[int] = []
    for at, run in enumerate(runs):
        is_object = at % 2
        if not merged and is_object:
            merged.append(0)
        if run == 0 and merged:
            continue
        if merged and len(merged) % 2 != is_object:  # of the same kind as the run before
            merged[-1] += run
        else:
            merged.append(run)
    return merged


def bounds_of_runs(runs: Sequence[int], size: SizePx) -> BoxPx | None:
    """The box around the object's pixels; None of a mask without any."""
    pixels = decoded(runs, size)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return None
    return BoxPx(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def area_px2(runs: Sequence[int]) -> int:
    """How many pixels the object has."""
    return sum(runs[1::2])


def decoded(runs: Sequence[int], size: SizePx) -> Pixels:
    """The mask as pixels; the runs must cover the whole image."""
    values = np.arange(len(runs)) % 2 == 1
    flat = np.repeat(values, np.asarray(runs, np.int64))
    return flat.reshape(size.width_px, size.height_px).T


def encoded(pixels: Pixels) -> list[int]:
    """The runs of these pixels."""
    flat = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs: list[Any] = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    return [0, *runs] if len(flat) and flat[0] else runs


def turned_mask(counts: str, stored: SizePx, *, orientation: int) -> str:
    """A mask over the pixels as stored, over the image as it is to be seen; see `boxes.upright`."""
    pixels = decoded(runs_of(counts), stored)
    if orientation in (5, 6, 7, 8):
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return compressed(encoded(pixels))
