"""What was measured, kept in a file so that a bench that was stopped goes on where it was."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.data.measure import Cost


class Played(msgspec.Struct, kw_only=True):
    """One scenario."""

    costs: dict[str, dict[str, list[Cost]]] = {}
    """By what was measured, then by who: one cost for each repetition."""
    facts: dict[str, float] = {}
    """What was counted."""
    ended_at: str = ""
    """UTC; empty while it is not finished."""
    failure: str = ""
    """Why it did not come to its end."""


class Results(msgspec.Struct, kw_only=True):
    """Everything measured so far."""

    machine: dict[str, str] = {}
    played: dict[str, Played] = {}
    """By scenario."""

    @property
    def finished(self) -> set[str]:
        """Scenarios that need not be played again."""
        return {name for name, one in self.played.items() if one.ended_at and not one.failure}

    def begin(self, scenario: str) -> Played:
        """Measured anew, not added to."""
        self.played[scenario] = Played()
        return self.played[scenario]

    def cost(self, number: str, who: str) -> Cost | None:
        """Medians of wall and processor time and of writing, the highest peak of memory."""
        costs = self.costs().get((number, who))
        if not costs:
            return None
        written = [one.written_mb for one in costs if one.written_mb is not None]
        return Cost(
            wall_s=statistics.median(one.wall_s for one in costs),
            cpu_s=statistics.median(one.cpu_s for one in costs),
            peak_mb=max(one.peak_mb for one in costs),
            written_mb=statistics.median(written) if written else None,
        )

    def costs(self) -> dict[tuple[str, str], list[Cost]]:
        """Every repetition by what was measured and who did it."""
        return dict(self._all_costs())

    def facts(self) -> dict[str, float]:
        """Everything that was counted."""
        return {name: value for one in self.played.values() for name, value in one.facts.items()}

    def _all_costs(self) -> Iterator[tuple[tuple[str, str], list[Cost]]]:
        for one in self.played.values():
            for number, by_whom in one.costs.items():
                for who, costs in by_whom.items():
                    yield (number, who), costs


class Notes:
    """Where a scenario writes what it measures; shown at once, for whoever waits."""

    def __init__(self, played: Played) -> None:
        self._played = played

    def cost(self, number: str, who: str, cost: Cost) -> None:
        """One more repetition."""
        self._played.costs.setdefault(number, {}).setdefault(who, []).append(cost)
        print(
            f"  {number:28} {who:20} {cost.wall_s:8.3f} s  cpu {cost.cpu_s:8.3f} s  "
            f"peak {cost.peak_mb:6.0f} MB",
            flush=True,
        )

    def fact(self, name: str, value: float) -> None:
        """Something counted."""
        self._played.facts[name] = value
        print(f"  {name}: {value:g}", flush=True)

    def end(self, failure: str = "") -> None:
        """The scenario is over."""
        self._played.failure = failure
        self._played.ended_at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def load(path: Path) -> Results:
    """What the file holds; nothing if there is none."""
    if not path.exists():
        return Results()
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(results: Results, path: Path) -> None:
    """Replace the file, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    new.replace(path)
