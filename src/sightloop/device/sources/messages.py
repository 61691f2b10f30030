"""What supervisor and capture process say to each other: one message in MessagePack a frame.

The address travels here and not on the command line, where every user of the machine could read
its password. Both ends are of one version, always, so these messages carry none.
"""

from __future__ import annotations

import msgspec

from sightloop.device.framing import framed
from sightloop.device.sources.declared import SourceDeclaration


class Capture(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first message: what this process reads."""

    source: SourceDeclaration
    ledger: str
    """File that remembers what of a folder, or which film, was looked at already."""
    max_pixels: int
    max_bytes: int


class Next(msgspec.Struct, frozen=True, tag=True):
    """Send the newest picture as soon as there is one; what was sent before is dealt with."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures since the process started."""

    n_seen: int = 0
    """That came from the source, usable or not."""
    n_dropped: int = 0
    """That a newer one replaced before the model was free for them."""
    n_garbage: int = 0
    """That were no picture: nothing, one colour all over, an impossible shape, undecodable."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The source answers."""

    kind: str


class Picture(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One picture as an image file."""

    content: bytes
    at_s: float
    """When it was taken from the source, by the machine's monotonic clock."""
    at_ms: int
    name: str = ""
    """Of the file, in a folder."""
    position_ms: float = -1.0
    """In the film; below 0 elsewhere."""
    counts: Counts = Counts()


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """There is no more to read; the last message."""

    reason: str
    is_done: bool = False
    """A film came to its end: it is not opened again."""
    counts: Counts = Counts()


ToCapture = Capture | Next
FromCapture = Opened | Picture | Ended

_encoder = msgspec.msgpack.Encoder()
_to_capture: msgspec.msgpack.Decoder[ToCapture] = msgspec.msgpack.Decoder(ToCapture)
_from_capture: msgspec.msgpack.Decoder[FromCapture] = msgspec.msgpack.Decoder(FromCapture)


def frame(message: ToCapture | FromCapture) -> bytes:
    """The message as it goes over the socket."""
    return framed(_encoder.encode(message))


def read_to_capture(content: bytes) -> ToCapture:
    """One frame's content, as the capture process reads it."""
    return _to_capture.decode(content)


def read_from_capture(content: bytes) -> FromCapture:
    """One frame's content, as the supervisor reads it."""
    return _from_capture.decode(content)
