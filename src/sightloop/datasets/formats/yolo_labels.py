"""Lines of YOLO labels: a class index, then numbers whose meaning the task decides. Pure.

Numbers are shares of the upright image's width and height. `detect`: centre and size. `segment`:
an outline. `pose`: centre and size, then points of two (x, y) or three (and visibility) numbers.
`obb`: the four corners of a turned rectangle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from sightloop.datasets.formats.listing import Box, Keypoints, OrientedBox, Polygon, Shape

YoloTask = Literal["detect", "segment", "pose", "obb", "classify"]
TASKS: tuple[YoloTask, ...] = ("detect", "segment", "pose", "obb", "classify")

_BOX_COLUMNS = 5
_CORNER_COLUMNS = 9


class KeypointLayout(NamedTuple):
    """How many points an object has, and of how many numbers each."""

    n_points: int
    n_numbers: int
    """2: x and y; 3: also the visibility."""

    @property
    def n_columns(self) -> int:
        """Columns of a label line."""
        return _BOX_COLUMNS + self.n_points * self.n_numbers


class Row(NamedTuple):
    """One line as numbers."""

    line: int
    """From 1."""
    class_index: int
    numbers: tuple[float, ...]

    @property
    def n_columns(self) -> int:
        """Columns of its line."""
        return 1 + len(self.numbers)


class BadRow(NamedTuple):
    """One line that cannot be read."""

    line: int
    text: str
    class_index: int | None


def rows_of(text: str) -> Iterator[Row | BadRow]:
    r"""The lines of a label file, blank ones left out.

    >>> list(rows_of("0 0.5 0.5 0.1 0.2\n\nx 1"))  # doctest: +NORMALIZE_WHITESPACE
    [Row(line=1, class_index=0, numbers=(0.5, 0.5, 0.1, 0.2)),
     BadRow(line=3, text="'x' is no class index", class_index=None)]
    """
    for line, row in enumerate(text.splitlines(), start=1):
        words = row.split()
        if words:
            yield _row(line, words)


def _row(line: int, words: Sequence[str]) -> Row | BadRow:
    try:
        index = float(words[0])
        class_index = int(index)
    except (ValueError, OverflowError):
        return BadRow(line, f"{words[0][:40]!r} is no class index", None)
    if index != class_index or class_index < 0:
        return BadRow(line, f"{words[0][:40]!r} is no class index", None)
    try:
        numbers = tuple(map(float, words[1:]))
    except ValueError:
        wrong = next(one for one in words[1:] if not _is_number(one))
        return BadRow(line, f"{wrong[:40]!r} is no number", class_index)
    return Row(line, class_index, numbers)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def task_told_by(n_rows: Counter[int], layout: KeypointLayout | None) -> YoloTask:
    """The task of labels with so many rows of so many columns.

    Nine columns are four corners of an oriented box or an outline of four points. Where all rows
    have nine they are taken for oriented boxes: outlines of real objects differ in their points.

    >>> task_told_by(Counter({5: 3}), None), task_told_by(Counter({9: 3, 11: 1}), None)
    ('detect', 'segment')
    """
    if layout is not None:
        return "pose"
    longer = {columns for columns in n_rows if columns > _BOX_COLUMNS + 1}
    if longer == {_CORNER_COLUMNS}:
        return "obb"
    return "segment" if longer else "detect"


def shape_of(row: Row, task: YoloTask, layout: KeypointLayout | None) -> Shape | str:
    """The shape of a row, or what is wrong with it."""
    numbers = row.numbers
    if task == "pose" and layout is not None:
        if row.n_columns == layout.n_columns:
            return _keypoints(numbers, layout)
        return _columns(row, f"pose labels have {layout.n_columns} columns here")
    if task == "obb":
        if row.n_columns == _CORNER_COLUMNS:
            return OrientedBox(numbers)
        return _columns(row, "labels of oriented boxes have 9 columns")
    if len(numbers) == 4:
        a, b, c, d = numbers
        return Box((a, b, c, d), "center")
    if task == "segment":
        if len(numbers) >= 6 and len(numbers) % 2 == 0:
            return Polygon((numbers,))
        return _columns(row, "an outline has at least three points of two numbers")
    more = "; a sixth is a score, as predictions have it" if len(numbers) == 5 else ""
    return _columns(row, f"labels of boxes have 5 columns{more}")


def _columns(row: Row, expected: str) -> str:
    return f"it has {row.n_columns} columns; {expected}"


def _keypoints(numbers: Sequence[float], layout: KeypointLayout) -> Shape:
    a, b, c, d = numbers[:4]
    box, points = Box((a, b, c, d), "center"), numbers[4:]
    if layout.n_numbers == 2:
        points = [one for x, y in _pairs(points) for one in (x, y, _visibility(x, y))]
    return Keypoints(points, box) if any(points) else box


def _pairs(numbers: Sequence[float]) -> Iterable[tuple[float, float]]:
    return zip(numbers[0::2], numbers[1::2], strict=True)


def _visibility(x: float, y: float) -> float:
    """Points without a visibility are visible, but for those that lie where none can be.

    Ultralytics takes negative ones for missing; tools that write (0, 0) mean the same.
    """
    return 0.0 if x < 0 or y < 0 or (x, y) == (0, 0) else 2.0
