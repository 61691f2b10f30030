"""One image on its way through the device, from the client's bytes to the answer and the lanes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sightloop.contracts.bundle import Detection, Task
from sightloop.contracts.check_in import StreamDeclaration
from sightloop.contracts.shapes import Shape
from sightloop.device.lanes import Draws
from sightloop.device.state import Installed


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a worker found in an image, and by which version."""

    by: Installed
    task: Task
    class_names: list[str]
    width_px: int
    height_px: int
    detections: list[Detection]
    shapes: list[Shape] = field(default_factory=list)
    """Shape i belongs to detection i; none of a task without."""
    probabilities: list[float] = field(default_factory=list)
    """Of every class, of a model that classifies."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The image with the answer in it, as a JPEG file; without, the reason why not."""

    jpeg: bytes
    problem: str


@dataclass(slots=True)
class ImageRequest:
    """An image that waits for its answer, then for its bookkeeping."""

    id: int
    content: bytes
    stream: StreamDeclaration
    group: str
    pinned: Installed | None
    """The version the client insists on; None takes whichever serves."""
    draws: Draws
    admitted_at_ms: int
    admitted_s: float
    answer: asyncio.Future[Prediction]
    drawn: asyncio.Future[Drawing] | None = None
    """Set after the answer, where somebody wants to see it."""
    timeout_s: float | None = None
    """How long the client lets it wait for a worker; None leaves it to the settings."""
    sent_s: float | None = None
    """When a worker got it last; None while it waits."""
    alone: bool = False
    """Whether it is looked at without others: a worker was lost over it and its companions."""
    n_sends: int = 0
    """How many workers were lost while they looked at it."""
