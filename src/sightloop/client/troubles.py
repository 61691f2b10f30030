"""What went wrong in a run, counted by kind: told once, never raised."""

from __future__ import annotations

from typing import NamedTuple


class Trouble(NamedTuple):
    """How often something happened, and what was said the first time."""

    n: int
    first: str


class Troubles:
    """Counts by kind. Threads may add at once: at worst a count is short, never a kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, Trouble] = {}

    def add(self, kind: str, detail: object, n: int = 1) -> None:
        """Something of this kind happened `n` times; only the first detail is kept."""
        known = self._kinds.get(kind)
        if known is None:
            self._kinds[kind] = Trouble(n, str(detail)[:300])
        else:
            self._kinds[kind] = known._replace(n=known.n + n)

    def count(self, kind: str) -> int:
        """How often it happened."""
        return self._kinds[kind].n if kind in self._kinds else 0

    def forget(self, kind: str) -> None:
        """It turned out to be none."""
        self._kinds.pop(kind, None)

    def lines(self) -> list[str]:
        """One line per kind."""
        return [f"{t.n} × {kind}: {t.first}" for kind, t in list(self._kinds.items())]
