"""What `sightloop runs sync` shows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from sightloop.client.syncing import Synced


def synced(done: Sequence[Synced]) -> Group:
    """One line per run, and what stands in its way."""
    if not done:
        return Group(Text("no run waits here"))
    return Group(*(Text(line) for one in done for line in _lines(one)))


def _lines(one: Synced) -> list[str]:
    state = f"forwarded to {one.target}" if one.is_done else f"still waits for {one.target}"
    return [f"{one.run}  {state} ({one.n_records} records)", *(f"  {p}" for p in one.problems)]
