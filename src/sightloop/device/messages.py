"""What supervisor and worker say to each other over their socket pair.

One message in MessagePack a frame. Image bytes never travel here: they lie
in a shared buffer, which a message names by its index. Both ends are of one version, always, so
these messages carry none.
"""

from __future__ import annotations

import msgspec

from sightloop.contracts.bundle import Detection, Task
from sightloop.contracts.gated_builds import GatedBuild
from sightloop.contracts.shapes import Shape
from sightloop.device.errors import Blame
from sightloop.device.framing import framed
from sightloop.device.tuned import Choice
from sightloop.device.windows import ReferenceFacts
from sightloop.kernel.digests import Digest


class Start(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first message: what this worker is for."""

    folder: str
    bundle: Digest
    threads: int
    max_pixels: int
    strata: list[str]
    """Of the streams it will serve: only their reference ranks are of interest."""
    redaction: str
    max_batch: int
    """Images that may come at once, where the model takes several."""
    background: bool
    """Give way to everything else on this machine: nobody waits for these answers."""
    n_buffers: int
    buffer_bytes: int
    choice: Choice | None = None
    """How to run the bundle on this machine, as it was measured; None as it was released."""
    device_class: str = ""
    gated: list[GatedBuild] = []
    """Builds that the model's owner vouches for."""


class Look(msgspec.Struct, frozen=True, tag=True):
    """Find objects in the image in this buffer."""

    id: int
    buffer: int
    n_bytes: int
    stratum: str
    """Of the stream it came from, whose looks it is compared with."""
    draws_answer: bool = False
    """Whether somebody wants to see the image with the answer in it."""


class LookTogether(msgspec.Struct, frozen=True, tag=True):
    """Find objects in all of these, in one run of the model; each gets a message of its own."""

    looks: list[Look]


class Redact(msgspec.Struct, frozen=True, tag=True):
    """Replace the image in this buffer by its redacted form."""

    id: int
    buffer: int
    n_bytes: int


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Finish what was asked before, then end."""


ToWorker = Start | Look | LookTogether | Redact | Stop


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Verified, loaded, warmed up, golden images reproduced: send requests."""

    task: Task
    class_names: list[str]
    takes_several: bool
    """Whether the model looks at several images in one run."""
    reference: ReferenceFacts
    runtime: str
    """What runs the model, in words."""
    choice_problem: str = ""
    """Why the way that was chosen for it is not used."""


class CannotStart(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last message of a worker that refuses its bundle."""

    code: str
    message: str
    blame: Blame


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What was found, at or above the bundle's threshold; sent before anything else is done."""

    id: int
    width_px: int
    height_px: int
    detections: list[Detection]
    shapes: list[Shape]
    """Shape i belongs to detection i; none of a task without."""
    probabilities: list[float]
    """Of every class, of a model that classifies."""


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """The buffer now holds a JPEG with the answer in it; or nothing, for the reason given."""

    id: int
    n_bytes: int
    problem: str


class NotAnswered(msgspec.Struct, frozen=True, tag=True):
    """There are no detections to tell: the image is unreadable, or the model computed nonsense."""

    id: int
    unreadable: bool
    problem: str


class Observed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the bookkeeping needs of an image that was answered."""

    id: int
    bins: list[int]
    """Of each measure of the reference, in its order."""
    uncertainty: float
    descriptor: list[float]
    detections: list[Detection]
    """Down to the detector's floor, best first."""
    n_reported: int
    """How many of them the client was told."""


class Redacted(msgspec.Struct, frozen=True, tag=True):
    """The buffer now holds the redacted image."""

    id: int
    n_bytes: int


class RedactionFailed(msgspec.Struct, frozen=True, tag=True):
    """The hook could not redact the image, so it must not be kept."""

    id: int
    problem: str


FromWorker = (
    Ready | CannotStart | Answer | Drawn | NotAnswered | Observed | Redacted | RedactionFailed
)

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def frame(message: ToWorker | FromWorker) -> bytes:
    """The message as it goes over the socket."""
    return framed(_encoder.encode(message))


def read_to_worker(content: bytes) -> ToWorker:
    """One frame's content, as the worker reads it."""
    return _to_worker.decode(content)


def read_from_worker(content: bytes) -> FromWorker:
    """One frame's content, as the supervisor reads it."""
    return _from_worker.decode(content)
