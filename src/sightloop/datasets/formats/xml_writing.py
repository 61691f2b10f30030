"""XML as text, for files too large to be built as a tree. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from sightloop.datasets.formats.plain_texts import writable


def tag(name: str, value: str | int) -> str:
    r"""An element with text, on a line of its own.

    >>> tag("name", "a < b")
    '<name>a &lt; b</name>\n'
    """
    return f"<{name}>{escaped(str(value))}</{name}>\n"


def escaped(text: str) -> str:
    """The text as it stands in an element, without what XML cannot hold."""
    return escape(writable(text))


def attributes(values: Mapping[str, str | int | float]) -> str:
    r"""The attributes of an element, each with a space before it.

    >>> attributes({"id": 1, "label": 'say "a"'})
    ' id="1" label=\'say "a"\''
    """
    return "".join(f" {key}={quoteattr(writable(str(value)))}" for key, value in values.items())
