"""What one event says: scalars, histograms, images, texts, sounds, parameters. Pure.

Both generations of TensorBoard's summaries are read: values in fields of their own, and tensors
whose meaning is told by the plugin that is named in their metadata, perhaps only where the tag is
used for the first time.

Source: TensorFlow's event.proto, summary.proto, tensor.proto; TensorBoard's hparams plugin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from sightloop.tracking.tensorboard.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    BrokenMessage,
    double,
    fields,
    read_varint,
    signed,
    single,
)

_FLOAT, _DOUBLE, _STRING = 1, 2, 7
_NUMPY = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
_NUMPY |= {17: "<u2", 22: "<u4", 23: "<u8"}
_VALUES = {5: "<f4", 6: "<f8"}
"""Fields of a tensor that hold packed numbers of a fixed width."""


class Scalar(msgspec.Struct, frozen=True):
    """One number."""

    value: float


class Histogram(msgspec.Struct, frozen=True):
    """Counts between edges; the older kind also has sums. `limits` has one entry more."""

    limits: list[float]
    counts: list[float]


class Media(msgspec.Struct, frozen=True):
    """An encoded picture or sound, or a text in Markdown."""

    kind: str
    """`images`, `audio` or `text`."""
    contents: list[bytes]


class Parameters(msgspec.Struct, frozen=True):
    """What the hparams plugin says the run was given."""

    values: dict[str, str]


class Other(msgspec.Struct, frozen=True):
    """Something that is not read, by the name of its plugin or its kind."""

    what: str


Content = Scalar | Histogram | Media | Parameters | Other


class Value(msgspec.Struct, frozen=True):
    """What was logged under one name."""

    tag: str
    content: Content


class Event(msgspec.Struct, frozen=True):
    """What was logged in one moment."""

    wall_time_s: float
    step: int
    values: list[Value]


Plugins = dict[str, str]
"""The plugin of each tag that was seen; decoding adds to it."""


def decode_event(event: bytes, plugins: Plugins) -> Event:
    """What the event says.

    Raises:
        BrokenMessage: it is no event.
    """
    wall_time_s, step, values = 0.0, 0, []
    for field in fields(event):
        if (field.number, field.kind) == (1, FIXED64):
            wall_time_s = double(event, field.start)
        elif (field.number, field.kind) == (2, VARINT):
            step = signed(read_varint(event, field.start, field.end)[0])
        elif (field.number, field.kind) == (5, LENGTH):
            parts = fields(event, field.start, field.end)
            values += [
                _value(event[part.start : part.end], plugins)
                for part in parts
                if (part.number, part.kind) == (1, LENGTH)
            ]
        elif field.number in _OTHER_EVENTS:
            values.append(Value("", Other(_OTHER_EVENTS[field.number])))
    return Event(wall_time_s, step, values)


_OTHER_EVENTS = {4: "graph", 8: "graph", 9: "graph", 6: "log message"}
"""What an event may be besides a summary; a version and the beginning of a session say nothing."""


def is_scalar_metadata(metadata: bytes) -> bool:
    """Whether they say that the value is a scalar, or do not say what it is.

    Raises:
        BrokenMessage: these are no metadata.
    """
    return _plugin(metadata)[0] in ("scalars", "")


def scalar_in_tensor(message: bytes, start: int, end: int) -> tuple[int, bool] | None:
    """Where the one float of the tensor lies, and whether it is a double; None if it is another.

    Raises:
        BrokenMessage: this is no tensor.
    """
    kind, place = 0, None
    for field in fields(message, start, end):
        if field.number == 1 and field.kind == VARINT:
            kind, _ = read_varint(message, field.start, field.end)
        elif field.number == 2 and field.start == field.end:
            continue
        elif field.number in (4, 5, 6) and field.kind == LENGTH and place is None:
            place = field
        else:
            return None
    width = {_FLOAT: 4, _DOUBLE: 8}.get(kind)
    if width is None or place is None or place.end - place.start != width:
        return None
    if place.number != 4 and place.number != {_FLOAT: 5, _DOUBLE: 6}[kind]:
        return None
    return place.start, kind == _DOUBLE


def _value(value: bytes, plugins: Plugins) -> Value:
    tag, tensor, plugin, metadata = "", None, "", b""
    found: Content | None = None
    for field in fields(value):
        content = value[field.start : field.end]
        if (field.number, field.kind) == (2, FIXED32):
            found = Scalar(single(value, field.start))
        elif field.kind == LENGTH and field.number == 1:
            tag = content.decode("utf-8", errors="replace")
        elif field.kind == LENGTH and field.number == 8:
            tensor = content
        elif field.kind == LENGTH and field.number == 9:
            plugin, metadata = _plugin(content)
        elif field.kind == LENGTH and field.number in _LEGACY:
            found = _LEGACY[field.number](content)
    if plugin:
        plugins[tag] = plugin
    if plugin == "hparams":
        return Value(tag, _parameters(metadata))
    if tensor is not None:
        return Value(tag, _of_tensor(tensor, plugins.get(tag, "")))
    return Value(tag, found or Other(plugin or "a value of an unknown kind"))


def _plugin(metadata: bytes) -> tuple[str, bytes]:
    """The plugin's name and what it has to say."""
    name, content = "", b""
    for field in fields(metadata):
        if (field.number, field.kind) == (1, LENGTH):
            for part in fields(metadata, field.start, field.end):
                if (part.number, part.kind) == (1, LENGTH):
                    name = metadata[part.start : part.end].decode("utf-8", errors="replace")
                elif (part.number, part.kind) == (2, LENGTH):
                    content = metadata[part.start : part.end]
    return name, content


def _legacy_image(message: bytes) -> Content:
    return _encoded("images", message)


def _legacy_audio(message: bytes) -> Content:
    return _encoded("audio", message)


def _encoded(kind: str, message: bytes) -> Content:
    for field in fields(message):
        if (field.number, field.kind) == (4, LENGTH):
            return Media(kind, [message[field.start : field.end]])
    return Other(f"{kind} without content")


def _legacy_histogram(message: bytes) -> Content:
    least, packed = 0.0, {6: b"", 7: b""}
    for field in fields(message):
        if field.number == 1 and field.kind == FIXED64:
            least = double(message, field.start)
        elif field.number in packed:  # packed, or one by one
            packed[field.number] += message[field.start : field.end]
    if any(len(one) % 8 for one in packed.values()) or len(packed[6]) != len(packed[7]):
        raise BrokenMessage("a histogram has not as many counts as edges")
    ends, counts = (np.frombuffer(packed[number], "<f8").tolist() for number in (6, 7))
    # The first bucket is open below and the last above; the least value closes one.
    return Histogram([min([least, *ends[:1]]), *ends], counts)


_LEGACY: dict[int, Callable[[bytes], Content]] = {
    4: _legacy_image,
    5: _legacy_histogram,
    6: _legacy_audio,
}
"""Fields of a value that say themselves what they hold."""


def _of_tensor(tensor: bytes, plugin: str) -> Content:
    kind = 0
    shape: list[int] = []
    numbers: dict[int, bytes] = {}
    texts: list[bytes] = []
    for field in fields(tensor):
        content = tensor[field.start : field.end]
        if field.number == 1 and field.kind == VARINT:
            kind, _ = read_varint(tensor, field.start, field.end)
        elif field.number == 2 and field.kind == LENGTH:
            shape = list(_shape(content))
        elif field.number == 8 and field.kind == LENGTH:
            texts.append(content)
        else:
            numbers[field.number] = numbers.get(field.number, b"") + content
    if kind == _STRING:
        return _of_texts(texts, plugin)
    array = _numbers_of(kind, numbers)
    if array is None:
        return Other(plugin or f"tensor of type {kind}")
    # Metadata may have stood in a part of the file that is not read again: then the shape tells.
    if plugin == "histograms" or (not plugin and len(shape) == 2 and shape[1] == 3):
        if len(array) % 3:
            raise BrokenMessage("a histogram's rows are not left, right, count")
        left, right, counts = array.reshape(-1, 3).T.tolist()
        return Histogram([*left[:1], *right], counts)
    if len(array) == 1 and all(side == 1 for side in shape) and plugin in ("", "scalars"):
        return Scalar(float(array[0]))
    return Other(plugin or f"tensor of shape {shape}")


def _shape(message: bytes) -> Iterator[int]:
    for dim in fields(message):
        if (dim.number, dim.kind) == (2, LENGTH):
            sizes = [f for f in fields(message, dim.start, dim.end) if f[:2] == (1, VARINT)]
            yield signed(read_varint(message, sizes[0].start, sizes[0].end)[0]) if sizes else 0


def _numbers_of(
    kind: int, numbers: dict[int, bytes]
) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    for number, layout in ((4, _NUMPY.get(kind)), *_VALUES.items()):
        content = numbers.get(number)
        if content and layout:
            if len(content) % np.dtype(layout).itemsize:
                raise BrokenMessage("a tensor ends within a number")
            return np.frombuffer(content, layout).astype(np.float64)
    return None


def _of_texts(texts: list[bytes], plugin: str) -> Content:
    is_picture = len(texts) > 2 and texts[0].isdigit() and texts[1].isdigit()
    if plugin == "images" or (not plugin and is_picture):  # width and height go first
        return Media("images", texts[2:])
    is_sound = bool(texts) and texts[0].startswith(b"RIFF")
    if plugin == "audio" or (not plugin and is_sound):  # a sound and its label in turn
        return Media("audio", texts[::2])
    if plugin in ("text", ""):
        return Media("text", texts)
    return Other(plugin)


def _parameters(content: bytes) -> Content:
    """The start of a session, of which the hparams plugin makes a run."""
    values = {}
    for field in fields(content):
        if (field.number, field.kind) == (3, LENGTH):
            for entry in fields(content, field.start, field.end):
                if (entry.number, entry.kind) == (1, LENGTH):
                    name, text = _parameter(content[entry.start : entry.end])
                    values[name] = text
    return Parameters(values) if values else Other("hparams")


def _parameter(entry: bytes) -> tuple[str, str]:
    name, text = "", ""
    for field in fields(entry):
        if (field.number, field.kind) == (1, LENGTH):
            name = entry[field.start : field.end].decode("utf-8", errors="replace")
        elif (field.number, field.kind) == (2, LENGTH):
            text = _plain(entry[field.start : field.end])
    return name, text


def _plain(value: bytes) -> str:
    for field in fields(value):
        if (field.number, field.kind) == (2, FIXED64):
            number = double(value, field.start)
            is_whole = math.isfinite(number) and number == int(number) and abs(number) < 2**53
            return str(int(number)) if is_whole else repr(number)
        if (field.number, field.kind) == (3, LENGTH):
            return value[field.start : field.end].decode("utf-8", errors="replace")
        if (field.number, field.kind) == (4, VARINT):
            return "true" if value[field.start] else "false"
    return ""
