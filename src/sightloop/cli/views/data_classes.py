"""Classes in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table
from sightloop.datasets.classes import Classes, EditedClasses
from sightloop.datasets.values import Taxonomy, TaxonomyChange
from sightloop.kernel.digests import short

SHOWN_LEFT = 20


def classes(found: Classes) -> RenderableType:
    """The classes of a commit, and what was done to them."""
    history = [Text(told_change(one), style="dim") for one in found.taxonomy.changes]
    return Group(Text(f"commit {short(found.commit)}"), _listed(found.taxonomy), *history)


def edited(found: EditedClasses) -> RenderableType:
    """What a change of classes did."""
    head = facts(
        [
            ("commit", short(found.commit)),
            ("relabelled", f"{found.n_relabelled} annotations"),
            ("left as they were", f"{found.n_left} annotations"),
        ]
    )
    left = [
        Text(f"left: {one.annotation} on sample {one.sample}, value {one.value}", style="yellow")
        for one in found.left[:SHOWN_LEFT]
    ]
    more = found.n_left - len(left)
    rest = [Text(f"and {more} more; --json lists 1000", style="dim")] if more > 0 else []
    return Group(head, *left, *rest, Text(), _listed(found.taxonomy))


def told_change(change: TaxonomyChange) -> str:
    """One thing that was done to classes."""
    names = ", ".join(change.names)
    if change.kind == "add":
        return f"added {names}"
    if change.kind == "remove":
        return f"removed {', '.join(change.classes)}"
    if change.kind == "rename":
        return f"renamed {change.classes[0]} to {names}"
    how = f" by {change.attribute}" if change.kind == "split" else ""
    done = "split" if change.kind == "split" else "merged"
    return f"{done} {', '.join(change.classes)} into {names}{how}"


def _listed(taxonomy: Taxonomy) -> RenderableType:
    rows = (
        (index, one.name, one.id, one.supercategory) for index, one in enumerate(taxonomy.classes)
    )
    return table(("index", "class", "id", "of"), rows, empty="no classes")
