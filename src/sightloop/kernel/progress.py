"""How long work tells how far it is, without knowing who watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called by work that may take longer than a second; must return at once."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """`done` of `total` units of `what` are finished; `total` 0 means not known yet."""
        ...


def silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""
