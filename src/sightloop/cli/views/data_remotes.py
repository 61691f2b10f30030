"""Remotes in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table
from sightloop.datasets.remotes.fetching import Fetched
from sightloop.datasets.remotes.naming import KnownRemote
from sightloop.datasets.remotes.pulling import Pulled
from sightloop.datasets.remotes.pushing import Pushed
from sightloop.kernel.digests import short


def remotes(found: Iterable[KnownRemote]) -> RenderableType:
    """Remotes and where they are."""
    rows = (
        (one.name, f"{one.url} at {one.endpoint}" if one.endpoint else one.url, one.n_left)
        for one in found
    )
    empty = "no remote yet; `sightloop data remote add origin URL` adds one"
    return table(("remote", "address", "n images only there"), rows, empty=empty)


def pushed(found: Pushed) -> RenderableType:
    """What a push sent."""
    if found.before == found.commit:
        return Text(f"{found.remote} has {found.ref} at {short(found.commit)} already")
    return facts(
        [
            (found.ref, _move(found.before, found.commit)),
            ("sent", f"{found.n_commits} commits, {found.n_objects} rows and nodes"),
            ("images", f"{found.n_images}, {_megabytes(found.images_bytes)}"),
        ]
    )


def fetched(found: Fetched) -> RenderableType:
    """What a fetch brought."""
    rows = ((one.name, _move(one.before, one.commit)) for one in found.refs)
    moved = table(("ref", "commit"), rows, empty=f"nothing new at {found.remote}")
    kept = [
        Text(f"tag {name} is elsewhere at {found.remote}; ours was kept", style="yellow")
        for name in found.kept_tags
    ]
    return Group(moved, *kept)


def pulled(found: Pulled) -> RenderableType:
    """What a pull brought."""
    is_same = found.before == found.commit
    head = facts(
        [
            (found.ref, short(found.commit) if is_same else _move(found.before, found.commit)),
            ("labels", f"{found.fetched.n_objects} rows and nodes"),
            ("images", f"{found.n_images}, {_megabytes(found.images_bytes)}"),
        ]
    )
    left = f"{found.n_left} images stay at {found.fetched.remote}; another pull fetches them"
    return Group(fetched(found.fetched), Text(), head, *([Text(left)] if found.n_left else []))


def _move(before: str | None, after: str) -> str:
    return f"{short(before)} to {short(after)}" if before else f"new, at {short(after)}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
