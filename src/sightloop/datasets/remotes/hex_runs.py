"""Rows without the digits that compression cannot shrink and that need not be sent. Pure.

Most of a row that does not compress is hexadecimal digits, which take eight bits each for the four
they mean. Here every run of 64 or 32 digits becomes one sign in the text and its 32 or 16 bytes
elsewhere; and the id of a sample without a capture, which follows from its image, becomes a sign
alone. Specification: docs/formats/remote.md.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

_RUN = re.compile(rb"[0-9a-f]{64}|[0-9a-f]{32}")
_SIGN = re.compile(rb"[\x01-\x03]")
_LONG, _SHORT, _IMPLIED = b"\x01", b"\x02", b"\x03"
_LONG_BYTES, _SHORT_BYTES = 32, 16
_PREFIX = b"sha256:"


class Shortened(NamedTuple):
    """A text with signs, and the bytes of the runs they stand for, in order."""

    text: bytes
    runs: bytes


def shorten(text: bytes) -> Shortened | None:
    r"""The text in two parts; None when it has a control character, which JSON never has.

    >>> shorten(b'{"id":"00112233445566778899aabbccddeeff"}').text
    b'{"id":"\x02"}'
    """
    if _SIGN.search(text):
        return None
    image = next((run for run in _RUN.findall(text) if len(run) == 2 * _LONG_BYTES), None)
    implied = None if image is None else _implied_by(image)
    runs: list[bytes] = []

    def sign(found: re.Match[bytes]) -> bytes:
        run = found[0]
        if run == implied:
            return _IMPLIED
        runs.append(bytes.fromhex(run.decode()))
        return _LONG if len(run) == 2 * _LONG_BYTES else _SHORT

    return Shortened(_RUN.sub(sign, text), b"".join(runs))


def lengthen(text: bytes, runs: bytes, at: int) -> tuple[bytes, int]:
    """The text again, and where in `runs`, beginning at `at`, the bytes of the next one begin.

    Raises:
        ValueError: the runs end early, or a sign refers to an image that is not there.
    """
    found: list[bytes] = []
    image = None
    for sign in _SIGN.findall(text):
        if sign == _IMPLIED:
            found.append(b"")
            continue
        end = at + (_LONG_BYTES if sign == _LONG else _SHORT_BYTES)
        if end > len(runs):
            raise ValueError("runs end early")
        run = runs[at:end].hex().encode()
        at = end
        found.append(run)
        if image is None and sign == _LONG:
            image = run
    if image is None and _IMPLIED in text:
        raise ValueError("an id refers to an image that is not there")
    implied = _implied_by(image) if image is not None else b""
    each = iter(found)
    return _SIGN.sub(lambda _: next(each) or implied, text), at


def _implied_by(image: bytes) -> bytes:
    """The id of a sample with that image and without a capture."""
    return hashlib.sha256(_PREFIX + image).hexdigest()[: 2 * _SHORT_BYTES].encode()
