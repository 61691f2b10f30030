"""Runs end with their process, and stay whole when it forks."""

from __future__ import annotations

import atexit
import os
import sys
from types import TracebackType

from sightloop.client.runs import Run, end_of

_open: set[Run] = set()
_is_installed = False
_death: BaseException | None = None
"""What ended the process, if an exception did."""


def watch_over(run: Run) -> None:
    """From now on the run is ended when the process ends without having done so."""
    _install()
    _open.difference_update([known for known in _open if known.is_ended])
    _open.add(run)


def _install() -> None:
    global _is_installed
    if _is_installed:
        return
    _is_installed = True
    atexit.register(_end_all)
    os.register_at_fork(after_in_child=_become_child)
    before = sys.excepthook

    def note_death(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        global _death
        _death = error
        before(kind, error, trace)

    sys.excepthook = note_death


def _end_all() -> None:
    for run in list(_open):
        run.finish(*end_of(_death))
    _open.clear()


def _become_child() -> None:
    for run in _open:
        run.become_child()
    _open.clear()
