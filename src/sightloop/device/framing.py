"""How messages between processes of a device are told apart on a socket. Pure.

A frame is four length bytes, least significant first, and so many bytes of content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

LENGTH = struct.Struct("<I")


def framed(content: bytes) -> bytes:
    """The content as one frame."""
    return LENGTH.pack(len(content)) + content


class Frames:
    """Cuts a stream of bytes into the contents of its frames, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The contents that are complete with this piece, in order."""
        self._received += piece
        while len(self._received) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._received)
            end = LENGTH.size + length
            if len(self._received) < end:
                return
            content = bytes(self._received[LENGTH.size : end])
            del self._received[:end]
            yield content
