"""XML as text, for files too large to be built as a tree. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from sightloop.datasets.formats.plain_texts import writable


def tag(name: str, value: str | int) -> str:
    """An element with text, on a line of its own.

    >>> tag("name", "a < b")
    '<name>a &lt; b</name>\\n'
    """
    return f"<{name}>{escape(writable(str(value)))}</{name}>\n"


def attributes(values: Mapping[str, str | int | float]) -> str:
    """The attributes of an element, each with a space before it.

    >>> attributes({"id": 1, "label": 'say "a"'})
    ' id="1" label=\\'say "a"\\''
    """
    return "".join(f" {key}={quoteattr(writable(str(value)))}" for key, value in values.items())
