"""Addresses of dataset pages: names of branches and commits, and filters that can be shared."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

PAGES = frozenset({"compare", "merges"})
"""Pages under `/datasets/` that no branch can stand for."""

Query = Sequence[tuple[str, str]]
"""The fields of an address that are set, in its order; a name may come more than once."""


def filter_query(fields: Query, **changes: str | None) -> str:
    """The query of an address; every pair that is not empty, with these changes.

    >>> filter_query([("slice", "line=A"), ("slice", "light=low"), ("after", "x")], after=None)
    '?slice=line%3DA&slice=light%3Dlow'
    """
    pairs = [(name, value) for name, value in fields if value and name not in changes]
    pairs += [(name, value) for name, value in changes.items() if value]
    return f"?{urlencode(pairs)}" if pairs else "?"


def ref_address(ref: str, *, commit: str) -> str:
    """Where a page about what `ref` names is found.

    A slash in a branch's name reads `~` in addresses, which no name contains; a branch that is
    called like one of our pages is reached by its commit.

    >>> ref_address("lines/a", commit="sha256:1a"), ref_address("compare", commit="sha256:1a")
    ('/datasets/lines~a', '/datasets/1a')
    """
    name = commit.removeprefix("sha256:") if ref in PAGES else ref
    return f"/datasets/{quote(name.removeprefix('sha256:').replace('/', '~'), safe='~')}"


def ref_of(text: str) -> str:
    """The name in an address, as people write it."""
    return text.replace("~", "/")
