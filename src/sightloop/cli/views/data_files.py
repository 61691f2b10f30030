"""Imports and exports in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts
from sightloop.datasets.exporting import Exported
from sightloop.datasets.importing import Imported
from sightloop.datasets.problems import Note, Problem
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
    return Group(head, *told[:SHOWN_PROBLEMS], *rest, *_totals(found))


def _totals(found: Imported) -> Iterator[Text]:
    """One line per kind, so that nobody has to import again to know how many there were."""
    if len(found.problems) + len(found.notes) < 2:
        return
    for kind, n in _counted(found.problems):
        yield Text(f"{n} left out: {_PROBLEM_WORDS.get(kind, kind.replace('_', ' '))}", "yellow")
    for kind, n in _counted(found.notes):
        yield Text(f"{n} noted: {_NOTE_WORDS.get(kind, kind.replace('_', ' '))}", "dim")


def _counted(findings: Sequence[Problem] | Sequence[Note]) -> list[tuple[str, int]]:
    return sorted(Counter(str(one.kind) for one in findings).items())


_PROBLEM_WORDS = {"same_image_twice": "copies of other images, labelled otherwise"}
_NOTE_WORDS = {
    "same_image_twice": "images are copies of others",
    "missing_slice": "images lack the field of a slice",
    "clipped_box": "objects were cut at the edge of their image",
}


def exported(found: Exported) -> RenderableType:
    """What an export wrote."""
    dropped = ", ".join(f"{name}: {count}" for name, count in found.not_kept.items())
    return facts(
        [
            ("commit", short(found.commit)),
            ("images", f"{found.n_images} in {found.images}"),
            ("annotations", f"{found.n_annotations} in {found.source}"),
            ("not in the files", dropped or "nothing"),
        ]
    )
