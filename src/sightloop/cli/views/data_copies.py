"""Working copies in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts
from sightloop.kernel.digests import short

if TYPE_CHECKING:  # a status must not wait for the database layer to be loaded
    from sightloop.datasets.working_copies.checkout import CheckedOut
    from sightloop.datasets.working_copies.committing import CommittedCopy
    from sightloop.datasets.working_copies.status import CopyStatus

SHOWN_FILES = 20


def status(found: CopyStatus) -> RenderableType:
    """What is not committed, and where the branch is."""
    head = facts([("folder", found.folder), ("of", _of(found)), ("files", found.n_files)])
    told: list[Text] = []
    if found.unfinished is not None:
        text = f"a checkout of {short(found.unfinished)} was interrupted: run it again first"
        told.append(Text(text, style="red"))
    if found.has_moved_on:
        where = "gone" if found.head is None else f"at {short(found.head)}"
        told.append(Text(f"branch {found.branch} moved on, it is {where}", style="yellow"))
    for what, style, paths in (
        ("new", "green", found.new),
        ("changed", "yellow", found.changed),
        ("labels changed", "yellow", found.relabelled),
        ("new class", "yellow", found.new_classes),
        ("gone", "red", found.gone),
        ("renamed", "yellow", [f"{old} -> {new}" for old, new in found.renamed]),
        ("label file without image", "dim", found.orphaned),
        ("cannot be committed", "red", found.problems),
        ("not listed", "dim", found.unlisted),
        ("not looked at", "dim", found.not_looked_at),
    ):
        told += _listed(what, style, paths)
    if found.is_clean:
        told.append(Text("nothing to commit", style="dim"))
    return Group(head, Text(), *told)


def committed(found: CommittedCopy) -> RenderableType:
    """What a commit of a folder did."""
    samples = f"{found.n_added} new, {found.n_changed} changed, {found.n_removed} removed"
    head = facts(
        [
            ("branch", found.branch),
            ("commit", short(found.commit) if found.is_new else "nothing changed, no new commit"),
            ("samples", samples),
        ]
    )
    return Group(head, *_listed("left out", "yellow", found.problems))


def checked_out(found: CheckedOut) -> RenderableType:
    """What a checkout did."""
    dropped = ", ".join(f"{name}: {count}" for name, count in found.not_kept.items())
    branch = f" of {found.branch}" if found.branch else ""
    return facts(
        [
            ("folder", found.folder),
            ("commit", f"{short(found.commit)}{branch}"),
            ("samples", found.n_samples),
            ("files", f"{found.n_written} written as {found.links}, {found.n_removed} removed"),
            ("not in the files", dropped or "nothing"),
        ]
    )


def _of(found: CopyStatus) -> str:
    branch = f"branch {found.branch}, " if found.branch else ""
    return f"{branch}commit {short(found.base)}"


def _listed(what: str, style: str, paths: Sequence[str]) -> list[Text]:
    lines = [Text(f"{what}: {path}", style=style) for path in paths[:SHOWN_FILES]]
    more = len(paths) - SHOWN_FILES
    if more > 0:
        lines.append(Text(f"and {more} more {what}; --json lists all", style="dim"))
    return lines
