"""Attribute values as text, for formats that know nothing but text. Pure."""

from __future__ import annotations

import math
import re

from sightloop.datasets.values import AttributeValue

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def value_in(text: str) -> AttributeValue:
    """The truth value or number that the text is, or the text.

    >>> value_in("true"), value_in("-3"), value_in("0.5"), value_in("007")
    (True, -3, 0.5, '007')
    """
    if text.casefold() in ("true", "false"):
        return text.casefold() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and not re.match(r"-?0\d", text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def text_of(value: AttributeValue) -> str:
    """The text from which `value_in` makes the value again, as far as there is one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else value


def survives(value: AttributeValue) -> bool:
    """Whether the value comes back from XML as it was: text that looks like a number does not."""
    text = text_of(value)
    found = value_in(text.strip())
    return type(found) is type(value) and found == value and is_writable(text)


def is_writable(text: str) -> bool:
    """Whether XML can hold the text, and line ends in it stay what they are."""
    return not _NOT_IN_XML.search(text) and "\r" not in text


def writable(text: str) -> str:
    """The text without the characters that XML cannot hold."""
    return _NOT_IN_XML.sub("", text.replace("\r", ""))


def number_text(number: float) -> str:
    """A coordinate on the grid of thousandths, as short as it can be.

    >>> number_text(3.0), number_text(0.125)
    ('3', '0.125')
    """
    return f"{number:.3f}".rstrip("0").rstrip(".")
