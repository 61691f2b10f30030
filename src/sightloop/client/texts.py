"""Texts of foreign programs, made fit for a file of JSON lines. Pure."""

from __future__ import annotations

import re

_LONE_HALF = re.compile("[\ud800-\udfff]")


def writable(text: str) -> str:
    r"""The text, its halves of characters, which UTF-8 cannot hold, written as in a URL.

    Python makes such halves of the bytes of file names and arguments that are no UTF-8.

    >>> writable("caf\udce9.png"), writable("café.png")
    ('caf%E9.png', 'café.png')
    """
    return _LONE_HALF.sub(lambda half: f"%{ord(half[0]) & 0xFF:02X}", text)
