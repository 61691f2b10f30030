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
    sent = f"{one.n_records:,} records"
    if one.is_done:
        state = f"forwarded to {one.target} ({sent})"
    elif one.target:
        state = f"still waits for {one.target}" + (f" (so far {sent})" if one.n_records else "")
    else:
        state = "cannot be read"
    return [f"{one.run}  {state}", *(f"  {p}" for p in one.problems)]
