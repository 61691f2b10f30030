"""One training job: what an engine process is asked, and what it tells while it works.

The engine is started with the path of `job.json` as its last argument. It appends lines to
`events.jsonl` in the job's output folder, numbered from 1 without gaps; its standard output is
only a log. Specification: docs/formats/job.md.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.contracts.numbers import Number, from_wire
from sightloop.contracts.shapes import Shape

FORMAT: Literal["sightloop.job/1"] = "sightloop.job/1"
VIEW_FORMAT: Literal["sightloop.view/1"] = "sightloop.view/1"

JOB_NAME = "job.json"
EVENTS_NAME = "events.jsonl"
VIEW_NAME = "view.json"

MODEL_ARTIFACT = "model.onnx"
CHECKPOINT_ARTIFACT = "checkpoint.pt"
PARITY_ARTIFACT = "parity.json"
"""Names under which a run keeps what every engine delivers, whatever its files are called."""

CANCELLED_CODE = "ENGINE-CANCELLED"
"""The code of a failed line that answers SIGTERM."""


class LabelledBox(msgspec.Struct, frozen=True, array_like=True):
    """A labelled object: class index and corners in pixels of the upright image."""

    class_index: int
    x1: float
    y1: float
    x2: float
    y2: float


class ViewImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a training view; `file` is relative to the view's folder."""

    file: str
    width_px: int
    height_px: int
    split: Literal["train", "val"]
    repeat: int = 1
    """How often an epoch should show it; more than 1 for a slice that is still rare."""
    boxes: list[LabelledBox]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine may look at: a read-only folder of images and this list of their labels."""

    format: Literal["sightloop.view/1"] = VIEW_FORMAT
    dataset_commit: str
    class_names: list[str]
    images: list[ViewImage]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to train. Paths are absolute; only the folder `output` may be written to."""

    format: Literal["sightloop.job/1"] = FORMAT
    id: str
    view: str
    output: str
    weights: str
    """A checkpoint to start from, or the name of an architecture of the engine."""
    epochs: int
    image_size_px: int
    batch_size: int
    seed: int
    threads: int
    device: str = "cpu"
    parameters: dict[str, Any] = {}
    """The engine's own settings, passed on as they are; it refuses ones it does not know."""
    parity_images: list[str] = []
    """Files of the view on which the checkpoint's own answers are wanted, as the artifact
    `parity.json`."""


class _Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    n: int = 0
    at_ms: int = 0


class Heartbeat(_Line, frozen=True, kw_only=True, tag="heartbeat"):
    """The engine lives; written at least every ten seconds."""


class ProgressLine(_Line, frozen=True, kw_only=True, tag="progress"):
    """`done` of `total` units of `what` are finished."""

    what: str
    done: int
    total: int


class MetricLine(_Line, frozen=True, kw_only=True, tag="metric"):
    """A number about the model at a step (an epoch for most engines)."""

    name: str
    value: Number
    step: int

    @property
    def measured(self) -> float:
        """The value as a float again; NaN and the infinities travel as text."""
        return from_wire(self.value)


class ArtifactLine(_Line, frozen=True, kw_only=True, tag="artifact"):
    """A file worth keeping; `file` is relative to the job's output folder and complete by now."""

    name: str
    file: str


class CheckpointLine(_Line, frozen=True, kw_only=True, tag="checkpoint"):
    """Weights from which training could go on, complete on disk."""

    file: str
    epoch: int


class DoneLine(_Line, frozen=True, kw_only=True, tag="done"):
    """The last line of a job that succeeded."""

    model_file: str
    """The exported file, relative to the output folder: what is evaluated and shipped."""
    checkpoint: str
    engine_version: str
    declared_licence: str
    details: dict[str, Any] = {}


class FailedLine(_Line, frozen=True, kw_only=True, tag="failed"):
    """The last line of a job that knows why it cannot go on."""

    code: str
    message: str


JobLine = (
    Heartbeat | ProgressLine | MetricLine | ArtifactLine | CheckpointLine | DoneLine | FailedLine
)


class ParityAnswer(msgspec.Struct, frozen=True):
    """What the checkpoint itself finds in one image of the view."""

    file: str
    detections: list[Detection]
    shapes: list[Shape] = []
    """One for each detection, of a task that has them."""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint's answers in the engine's own words: the exported file must agree."""

    format: Literal["sightloop.parity/1"] = "sightloop.parity/1"
    score_floor: float
    """Only detections with at least this score are listed."""
    answers: list[ParityAnswer]
