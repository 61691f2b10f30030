"""What every reader of a format returns: images, objects, classes, and what is the matter.

A listing is what files *say*. Nothing in it has been held against the pixels yet: sizes may be
wrong, boxes may lie outside, images may be missing; `placing` and `labelled` find out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from sightloop.datasets.geometry import SizePx
from sightloop.datasets.problems import Note, Problem, RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.values import AttributeValue, Split
from sightloop.kernel.progress import Progress, silent

SEGMENTATION = "segmentation"
"""The attribute that keeps the outline of an object with keypoints, as JSON text."""

ClassKey = int | str
"""How a format calls a class: by number or by name."""

BoxLayout = Literal["bbox", "corners", "center"]
"""What a box's four numbers are: (x, y, width, height), two corners, or centre and size."""


class WantedFields(NamedTuple):
    """Which fields of its images make a data set's split key and slices."""

    split_key: str | None = None
    slices: Sequence[str] = ()


class Source(NamedTuple):
    """Where to read from, and what to keep."""

    path: Path
    """A file, or the folder of a data set."""
    images: Path | None = None
    """The image folder, where it is not the usual one."""
    wanted: WantedFields = WantedFields()
    progress: Progress = silent
    scratch: Path | None = None
    """An empty folder for what must be laid out to be read; gone when the import is over."""


class Box(NamedTuple):
    """Four numbers as the file has them."""

    numbers: tuple[float, float, float, float]
    layout: BoxLayout = "bbox"


class Polygon(NamedTuple):
    """Outlines `x, y, x, y, ...`; without a box the one around them counts."""

    rings: Sequence[Sequence[float]]
    box: Box | None = None


class Mask(NamedTuple):
    """Run lengths down the columns of an image of `size`; compressed text or plain numbers."""

    runs: Sequence[int] | str
    size: SizePx
    box: Box | None = None


class Keypoints(NamedTuple):
    """Points `x, y, v, ...`; without a box the one around the labelled points counts."""

    points: Sequence[float]
    box: Box | None = None


class OrientedBox(NamedTuple):
    """Four corners `x, y, ...` in drawing order."""

    corners: Sequence[float]


class OfWholeImage(NamedTuple):
    """The class is one of the image as a whole."""


Shape = Box | Polygon | Mask | Keypoints | OrientedBox | OfWholeImage


class ListedObject(NamedTuple):
    """An object as a file describes it."""

    id: RecordId | None
    class_key: ClassKey
    shape: Shape
    attributes: dict[str, AttributeValue]
    is_share: bool = False
    """Coordinates are shares of the image's width and height, not pixels."""
    at: str = ""
    """Where it stands, such as `labels/a.txt:3`; empty where the id says it."""


class ListedImage(NamedTuple):
    """An image as a file describes it."""

    id: RecordId
    file_name: str
    """Its path below the listing's image folder, with forward slashes."""
    declared: SizePx | None
    split_key: str | None
    slices: dict[str, str]
    tags: Sequence[str] = ()
    split: Split | None = None
    """The split in which the data set has it."""
    labelled_for: Collection[ClassKey] | None = None
    """Classes of which every object is listed; None means all."""


class Listing(NamedTuple):
    """A data set as its files describe it."""

    folder: Path
    """Below it lie the images; nothing outside it is read."""
    images: list[ListedImage]
    objects: Mapping[RecordId, Sequence[ListedObject]]
    """By image id, in the files' order."""
    classes: Mapping[ClassKey, FoundClass]
    problems: list[Problem]
    """What could not be read."""
    notes: list[Note]
