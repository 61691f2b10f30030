"""Datasets in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table, when
from sightloop.datasets.coco_export import Exported
from sightloop.datasets.coco_import import Imported
from sightloop.datasets.commits import CommitFacts, LoggedCommit
from sightloop.datasets.store import Ref
from sightloop.kernel.digests import short

SHOWN_PROBLEMS = 20


def imported(found: Imported) -> RenderableType:
    """What an import did, and what it left out."""
    head = facts(
        [
            ("commit", short(found.commit) if found.is_new else "nothing changed, no new commit"),
            ("samples", f"{found.n_samples} ({found.n_new} new, {found.n_changed} changed)"),
            ("annotations", found.n_annotations),
        ]
    )
    problems = [Text(f"left out: {problem}", style="yellow") for problem in found.problems]
    notes = [Text(f"note: {note}", style="dim") for note in found.notes]
    told = [*problems, *notes]
    more = len(told) - SHOWN_PROBLEMS
    rest = [Text(f"and {more} more; --json lists all", style="dim")] if more > 0 else []
    return Group(head, *told[:SHOWN_PROBLEMS], *rest)


def exported(found: Exported) -> RenderableType:
    """What an export wrote."""
    dropped = ", ".join(f"{name}: {count}" for name, count in found.not_kept.items())
    return facts(
        [
            ("commit", short(found.commit)),
            ("images", f"{found.n_images} in {found.images}"),
            ("annotations", f"{found.n_annotations} in {found.annotations}"),
            ("not in the files", dropped or "nothing"),
        ]
    )


def commits(found: Iterable[LoggedCommit]) -> RenderableType:
    """A history."""
    rows = (
        (short(one.commit), when(one.committed_at_ms), one.actor, one.n_samples, one.message)
        for one in found
    )
    return table(("commit", "when", "who", "images", "message"), rows, empty="no commit yet")


def commit(found: CommitFacts) -> RenderableType:
    """One commit, counted."""
    record = found.record
    head = facts(
        [
            ("commit", found.commit),
            ("parents", ", ".join(short(parent) for parent in record.parents) or "none"),
            ("who", f"{record.actor}, {when(record.committed_at_ms)}"),
            ("message", record.message),
            ("samples", record.n_samples),
        ]
    )
    return Group(
        head,
        Text(),
        table(("split", "images"), found.splits.items(), empty="no split"),
        Text(),
        table(("slice", "images"), _named(found.strata), empty="no slices"),
        Text(),
        table(("class", "boxes"), found.annotations_by_class.items(), empty="no classes"),
    )


def branches(found: Iterable[Ref]) -> RenderableType:
    """Branches and where they are."""
    rows = ((ref.name, short(ref.commit)) for ref in found)
    return table(
        ("branch", "commit"), rows, empty="no branch yet; `sightloop data import` makes one"
    )


def _named(strata: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in strata.items() if name]
