"""The capture process: one source, read as fast as it comes, of which only the newest is sent.

A thread reads and leaves each picture in a mailbox; this end encodes and sends one only when the
supervisor asks. A driver that never returns holds up nothing but this process, which is killed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

from sightloop.device.framing import Frames
from sightloop.device.parent import end_with_parent
from sightloop.device.sources.declared import kind_of, scrubbed
from sightloop.device.sources.films import open_stream, read_film, read_live
from sightloop.device.sources.folders import FolderWatch
from sightloop.device.sources.ledger import Ledger
from sightloop.device.sources.mailbox import Mailbox
from sightloop.device.sources.messages import (
    Capture,
    Ended,
    FromCapture,
    Next,
    Opened,
    Picture,
    ToCapture,
    frame,
    read_to_capture,
)
from sightloop.device.sources.taken import Taken, image_file
from sightloop.kernel.errors import DiskFull


def main(arguments: list[str]) -> int:
    """Read one source over the inherited socket, whose descriptor is the only argument."""
    end_with_parent()
    channel = _Channel(socket.socket(fileno=int(arguments[0])))
    messages = iter(channel)
    capture = next(messages, None)
    if not isinstance(capture, Capture):
        return 1  # The supervisor died before it said what to read.
    mailbox: Mailbox[Taken] = Mailbox()
    threading.Thread(target=_read, args=(capture, mailbox, channel), daemon=True).start()
    _send(capture, mailbox, channel, messages)
    # The reader may sit in a driver for ever; nothing is left to put in order.
    os._exit(0)


class _Channel:
    """The capture process's end of the socket pair. Sending is for both threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = Frames()
        self._sending = threading.Lock()

    def send(self, message: FromCapture) -> None:
        with self._sending:
            self._connection.sendall(frame(message))

    def __iter__(self) -> Iterator[ToCapture]:
        while piece := self._connection.recv(1 << 16):
            for content in self._frames.feed(piece):
                yield read_to_capture(content)


def _read(capture: Capture, mailbox: Mailbox[Taken], channel: _Channel) -> None:
    """Fill the mailbox until the source ends, whatever goes wrong with it."""
    try:
        reason = _read_kind(capture, mailbox, channel)
    except Exception as error:  # noqa: BLE001 - drivers and codecs raise anything; it is told
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
    mailbox.close(scrubbed(reason, capture.source.url))


def _read_kind(capture: Capture, mailbox: Mailbox[Taken], channel: _Channel) -> str:
    source = capture.source
    kind = kind_of(source.url, is_folder=Path(source.url).is_dir())
    if kind == "folder":
        watch = FolderWatch(
            Path(source.url),
            Ledger(Path(capture.ledger)),
            after=source.after,
            max_bytes=capture.max_bytes,
        )
        channel.send(Opened(kind=kind))
        return watch.run(mailbox)
    if _is_whole(capture) and Ledger(Path(capture.ledger)).has_film(Path(source.url)):
        return ""
    stream = open_stream(source, kind)
    if stream is None:
        return "it cannot be opened"
    channel.send(Opened(kind=kind))
    if _is_whole(capture):
        read_film(stream, source, mailbox, limit=capture.max_pixels)
        return ""
    return read_live(stream, mailbox, is_film=kind == "film", limit=capture.max_pixels)


def _is_whole(capture: Capture) -> bool:
    source = capture.source
    kind = kind_of(source.url, is_folder=Path(source.url).is_dir())
    return kind == "film" and source.pace == "whole"


def _send(
    capture: Capture, mailbox: Mailbox[Taken], channel: _Channel, messages: Iterator[ToCapture]
) -> None:
    """Answer every `Next` with the newest picture, until there is none or nobody asks."""
    taken: Taken | None = None
    for message in messages:
        assert isinstance(message, Next), "the first message was read before"
        if taken is not None:
            taken.finish()
        taken, content = _newest(mailbox, max_bytes=capture.max_bytes)
        if taken is None:
            channel.send(_ended(capture, mailbox))
            return
        channel.send(
            Picture(
                content=content,
                at_s=taken.at_s,
                at_ms=taken.at_ms,
                name=taken.name,
                position_ms=taken.position_ms,
                counts=mailbox.counts,
            )
        )


def _newest(mailbox: Mailbox[Taken], *, max_bytes: int) -> tuple[Taken | None, bytes]:
    while (taken := mailbox.take()) is not None:
        content = image_file(taken.frame)
        if content is not None and len(content) <= max_bytes:
            return taken, content
        mailbox.note_unsendable()
        taken.finish()
    return None, b""


def _ended(capture: Capture, mailbox: Mailbox[Taken]) -> Ended:
    """The last word. A film is remembered only now that its last picture was dealt with."""
    if not mailbox.reason and _is_whole(capture):
        with contextlib.suppress(DiskFull):  # looked at again after a restart
            Ledger(Path(capture.ledger)).add_film(Path(capture.source.url))
    return Ended(reason=mailbox.reason, is_done=not mailbox.reason, counts=mailbox.counts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
