"""Branches, tags and where they have been, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from sightloop.cli.render import table, when
from sightloop.datasets.store import Ref, RefMove
from sightloop.kernel.digests import short


def branches(found: Iterable[Ref]) -> RenderableType:
    """Branches and where they are."""
    rows = ((ref.name, short(ref.commit)) for ref in found)
    return table(
        ("branch", "commit"), rows, empty="no branch yet; `sightloop data import` makes one"
    )


def tags(found: Iterable[Ref]) -> RenderableType:
    """Tags and what they name."""
    rows = ((ref.name, short(ref.commit), when(ref.moved_at_ms)) for ref in found)
    empty = "no tag yet; `sightloop data tag NAME` names a commit"
    return table(("tag", "commit", "since"), rows, empty=empty)


def deleted(gone: Ref) -> RenderableType:
    """A name that was taken away, and how to have it again."""
    back = (
        f"data branch {gone.name} --at {short(gone.commit)}"
        if gone.kind == "branch"
        else f"data tag {gone.name} {short(gone.commit)}"
    )
    return Text(
        f"{gone.kind} {gone.name} is gone; it was at {short(gone.commit)}\n"
        f"to have it again: sightloop {back}"
    )


def moves(found: Iterable[RefMove]) -> RenderableType:
    """A ref log."""
    rows = (
        (
            when(one.at_ms),
            short(one.old) if one.old else "",
            short(one.new) if one.new else "gone",
            one.by or "",
        )
        for one in found
    )
    return table(("when", "from", "to", "who"), rows, empty="nothing has had that name")
