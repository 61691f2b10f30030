"""What the settings of a tracked run say of its model, as far as a version needs it. Pure.

Ultralytics' callback, `sightloop.autolog` and an imported run folder log the same settings under
the same names; `args.yaml` holds them once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

from sightloop.contracts.bundle import HeadLayout, Task
from sightloop.registry.errors import RunLacks, RunNotPackable

SETTINGS_FILE = "args.yaml"
_LIKELY_WEIGHTS = ("weights/best.pt", "best.pt", "checkpoint.pt", "weights/last.pt", "last.pt")
_SUFFIX = ".pt"
_STRIDE_PX = 32
_MAX_IMAGE_SIZE_PX = 8192


class Recipe(NamedTuple):
    """How to export the model of a tracked run."""

    weights: str
    """Name of the artifact."""
    image_size_px: int
    head: HeadLayout


def recipe_of(
    run: str,
    artifacts: Sequence[str],
    settings: Mapping[str, str],
    *,
    weights: str = "",
    image_size_px: int | None = None,
    head: HeadLayout | None = None,
) -> Recipe:
    """What the run says, with what is given in its place.

    Raises:
        RunNotPackable: it trained a model of another task, or left no weights.
        RunLacks: several files could be the weights, or no size is known.

    >>> recipe_of("r", ["weights/last.pt", "weights/best.pt"], {"imgsz": "640", "nms": "False"})
    Recipe(weights='weights/best.pt', image_size_px=640, head='end_to_end')
    """
    task = settings.get("task", "detect")
    if task not in get_args(Task):
        known = ", ".join(get_args(Task))
        raise RunNotPackable(run=run, why=f"its task is {task!r}, not one of {known}")
    return Recipe(
        weights=_weights_of(run, artifacts, weights),
        image_size_px=image_size_px or _image_size_of(run, settings.get("imgsz", "")),
        head=head or ("end_to_end" if settings.get("nms") == "False" else "raw"),
    )


def _weights_of(run: str, artifacts: Sequence[str], wanted: str) -> str:
    files = [name for name in artifacts if name.endswith(_SUFFIX)]
    if wanted:
        if wanted not in artifacts:
            raise RunNotPackable(run=run, why=f"it has no artifact {wanted!r}")
        return wanted
    for name in _LIKELY_WEIGHTS:
        if name in files:
            return name
    if not files:
        raise RunNotPackable(run=run, why="none of its artifacts is a checkpoint (*.pt)")
    if len(files) > 1:
        shown = ", ".join(files[:5])
        lacks = f"{len(files)} of its artifacts could be its weights ({shown})"
        raise RunLacks(run=run, lacks=lacks, option="--weights NAME")
    return files[0]


def _image_size_of(run: str, text: str) -> int:
    # The model takes a square; of two sides the longer one is what it was trained on.
    sides = [part for part in text.strip("[]() ").replace(",", " ").split() if part]
    if not sides or not all(part.isascii() and part.isdigit() for part in sides):
        lacks = (
            f"it says nothing of its image size ({text[:40]!r})"
            if text
            else ("it has no parameter `imgsz` and no artifact args.yaml")
        )
        raise RunLacks(run=run, lacks=lacks, option="--image-size PIXELS")
    # Ultralytics rounds what it is given up to what its layers can halve.
    size_px = -(-max(int(part) for part in sides) // _STRIDE_PX) * _STRIDE_PX
    if not _STRIDE_PX <= size_px <= _MAX_IMAGE_SIZE_PX:
        lacks = f"its image size is {size_px} px"
        raise RunLacks(run=run, lacks=lacks, option="--image-size PIXELS")
    return size_px
