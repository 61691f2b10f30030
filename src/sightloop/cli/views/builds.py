"""What the gate said of builds, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import state, table
from sightloop.fleet.gating_builds import BuildsGated
from sightloop.registry.build_verdicts import BuildVerdict


def builds_gated(done: BuildsGated) -> RenderableType:
    """Each build rule by rule, and whether devices know of it."""
    rows = (row for one in done.verdicts for row in _rows(one))
    head = ("runtime", "precision", "says", "rule", "because")
    if done.is_published:
        words = "signed and published; devices use what passed after `sightloop agent tune`"
    else:
        words = f"{done.version.name} is not signed yet: `sightloop sign` takes the list along"
    return Group(table(head, rows, empty="nothing to judge"), Text(words, style="dim"))


def _rows(one: BuildVerdict) -> Iterator[tuple[object, ...]]:
    lead: tuple[object, ...] = (one.runtime, one.precision, state(one.verdict.outcome))
    for rule in one.verdict.rules:
        yield (*lead, f"{rule.rule}: {rule.outcome}", rule.reason)
        lead = ("", "", "")
