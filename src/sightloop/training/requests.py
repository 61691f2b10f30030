"""What may be asked of a training, and what of it is written down with the run."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sightloop.training.errors import BadRequest

MAX_NAME_CHARACTERS = 250
FROM_RUN = "run:"
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


class TrainRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training. The run id is the caller's: asking again with it never trains twice."""

    run: str
    experiment: str
    name: str
    dataset_commit: str
    engine: str = "yolo26"
    weights: str = "starter"
    """`run:ID` for that run's checkpoint, a file, or a name the engine knows."""
    epochs: int
    image_size_px: int
    batch_size: int
    seed: int = 0
    device: str = "cpu"
    parameters: dict[str, Any] = {}
    """The engine's own settings; it refuses ones it does not know."""
    repeats: dict[str, int] = {}
    """How often an epoch shows the images of a stratum; the greatest that fits an image counts."""
    parity_images: int = 16
    """On how many unseen images the checkpoint answers, so that its export can be compared."""
    tags: dict[str, str] = {}
    """Labels of the run; no part of its recipe."""


def check_request(request: TrainRequest) -> None:
    """Return when the request can be meant.

    Raises:
        BadRequest: names the first field that cannot.
    """
    if not _RUN_ID.fullmatch(request.run):
        # It names a folder; nothing else could lead out of the workspace.
        problem = "a run id has 1 to 100 of a-z, 0-9, _ and -, a letter or digit first"
        raise BadRequest(field="run", value=request.run, problem=problem)
    for field in ("experiment", "name", "engine", "weights", "dataset_commit"):
        _check_text(field, getattr(request, field))
    _check_range("epochs", request.epochs, at_least=1, at_most=100_000)
    _check_range("image_size_px", request.image_size_px, at_least=32, at_most=8192)
    _check_range("batch_size", request.batch_size, at_least=1, at_most=65_536)
    _check_range("seed", request.seed, at_least=0, at_most=2**31 - 1)
    _check_range("parity_images", request.parity_images, at_least=0, at_most=10_000)
    for stratum, repeat in request.repeats.items():
        _check_range(f"repeats[{stratum}]", repeat, at_least=1, at_most=100)


def parameters_of(request: TrainRequest) -> dict[str, str]:
    """The recipe as a run records it: one text per setting.

    >>> request = TrainRequest(
    ...     run="r", experiment="e", name="n", dataset_commit="c", epochs=3, image_size_px=64,
    ...     batch_size=8, parameters={"lr0": 0.01}, repeats={"line=92000": 4},
    ... )
    >>> recipe = parameters_of(request)
    >>> recipe["epochs"], recipe["parameters.lr0"], recipe["repeats.line=92000"]
    ('3', '0.01', '4')
    """
    plain = {
        name: str(getattr(request, name))
        for name in ("weights", "epochs", "image_size_px", "batch_size", "device", "parity_images")
    }
    own = {
        f"parameters.{name}": msgspec.json.encode(value, order="sorted").decode()
        for name, value in request.parameters.items()
    }
    repeats = {f"repeats.{stratum}": str(n) for stratum, n in request.repeats.items()}
    return plain | own | repeats


def _check_text(field: str, value: str) -> None:
    if not 0 < len(value) <= MAX_NAME_CHARACTERS:
        problem = f"it must have 1 to {MAX_NAME_CHARACTERS} characters"
        raise BadRequest(field=field, value=value, problem=problem)


def _check_range(field: str, value: int, *, at_least: int, at_most: int) -> None:
    if not at_least <= value <= at_most:
        problem = f"it must lie between {at_least} and {at_most}"
        raise BadRequest(field=field, value=str(value), problem=problem)
