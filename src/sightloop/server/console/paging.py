"""Where a list goes on, as a word in the page's address. Pure.

Pages never count rows to skip: the address names the last row that was shown, so a page costs the
same wherever it is, and rows that come in meanwhile move nothing.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

Place = TypeVar("Place")


def pack(place: object) -> str | None:
    """The place as text; None stays None, as `query` wants it.

    >>> pack(("line-2", 7)), pack(None)
    ('["line-2",7]', None)
    """
    return None if place is None else msgspec.json.encode(place).decode()


def unpack(text: str, kind: type[Place] | Any) -> Place | None:  # noqa: ANN401 - also generic types
    """The place that was packed; None for an address that somebody changed by hand.

    >>> unpack('["line-2",7]', tuple[str, int]), unpack("[7]", tuple[str, int])
    (('line-2', 7), None)
    """
    try:
        place: Place = msgspec.json.decode(text.encode(), type=kind)
    except (msgspec.DecodeError, ValueError):
        return None
    return place


def whole(text: str) -> int | None:
    """A whole number that somebody may have typed, at most fifteen digits; None for anything else.

    >>> whole("42"), whole("-1"), whole("\u00b2"), whole("9" * 16)
    (42, None, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


def one_of(text: str | None, choices: Any) -> Any:  # noqa: ANN401 - a Literal and one of its values
    """The filter's value if it is one that exists, else None: any.

    >>> from typing import Literal
    >>> one_of("open", Literal["open", "closed"]), one_of("<b>", Literal["open", "closed"])
    ('open', None)
    """
    try:
        return msgspec.convert(text, choices)
    except msgspec.ValidationError:
        return None
