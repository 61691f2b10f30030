"""What a person sees while the demo runs: the stations, what is being done, the present figures.

In a terminal it redraws in place; written to a file or a pipe it prints a line per change.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sightloop.demo.story import Report

LINE_EVERY_S = 10.0
"""How often a screen that cannot redraw repeats what is being done."""
BAR_CHARACTERS = 28


@dataclass(slots=True)
class _Station:
    title: str
    started_s: float = 0.0
    took_s: float | None = None
    notes: list[str] = field(default_factory=list)


class Screen:
    """Draws the demo. Its methods may be called from several threads."""

    def __init__(self, titles: list[str], *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._stations = [_Station(title) for title in titles]
        self._current = -1
        self._work: tuple[str, int, int] | None = None
        self._figures: dict[str, str] = {}
        self._lock = threading.RLock()
        self._began_s = time.monotonic()
        self._last_line_s = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, get_renderable=self.render, refresh_per_second=5
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture standing."""
        if self._live is not None:
            self._live.stop()

    def begin(self, title: str) -> None:
        """The next station begins; the one before is done."""
        with self._lock:
            self._finish()
            self._current = next(
                i for i, station in enumerate(self._stations) if station.title == title
            )
            self._stations[self._current].started_s = time.monotonic()
            self._work = None
        self._line(title)

    def note(self, text: str) -> None:
        """Something worth keeping on the screen under the present station."""
        with self._lock:
            self._stations[self._current].notes.append(text)
        self._line(f"  {text}")

    def progress(self, what: str, done: int, total: int) -> None:
        """How far the present station is; a `kernel.progress.Progress`."""
        with self._lock:
            self._work = (what, done, total)
        if self._live is None and time.monotonic() - self._last_line_s > LINE_EVERY_S:
            self._line(f"  {what} {done}/{total}" if total else f"  {what}")

    def figure(self, name: str, value: str) -> None:
        """A number that is shown at the foot until it changes."""
        with self._lock:
            self._figures[name] = value

    def end(self) -> None:
        """The last station is done."""
        with self._lock:
            self._finish()
            self._current = len(self._stations)
            self._work = None

    def render(self) -> RenderableType:
        """The picture as it is now."""
        with self._lock:
            rows = Table.grid(padding=(0, 1))
            for index, station in enumerate(self._stations):
                rows.add_row(*self._row(index, station))
                for note in station.notes:
                    rows.add_row("", Text(note, style="dim"), "")
                if index == self._current and self._work is not None:
                    rows.add_row("", self._bar(*self._work), "")
            return Group(Text(), rows, Text(), self._foot(), Text())

    def _row(self, index: int, station: _Station) -> tuple[RenderableType, Text, Text]:
        if index == self._current:
            elapsed = _seconds(time.monotonic() - station.started_s)
            return Spinner("dots", style="cyan"), Text(station.title, style="bold"), elapsed
        if station.took_s is not None:
            return Text("✓", style="green"), Text(station.title), _seconds(station.took_s)
        return Text("·", style="dim"), Text(station.title, style="dim"), Text()

    def _bar(self, what: str, done: int, total: int) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        if not total:
            grid.add_row(Text(what, style="dim"))
            return grid
        bar = ProgressBar(total=total, completed=done, width=BAR_CHARACTERS)
        grid.add_row(Text(what, style="dim"), bar, Text(f"{done}/{total}", style="dim"))
        return grid

    def _foot(self) -> RenderableType:
        grid = Table.grid(padding=(0, 3))
        cells = [
            Text.assemble((f"{name} ", "dim"), (value, "bold"))
            for name, value in {
                **self._figures,
                "time": f"{time.monotonic() - self._began_s:.0f} s",
            }.items()
        ]
        for start in range(0, len(cells), 4):
            grid.add_row(*cells[start : start + 4])
        return grid

    def _finish(self) -> None:
        if 0 <= self._current < len(self._stations):
            station = self._stations[self._current]
            station.took_s = time.monotonic() - station.started_s

    def _line(self, text: str) -> None:
        if self._live is None:
            self._last_line_s = time.monotonic()
            self._console.print(f"{time.monotonic() - self._began_s:6.0f} s  {text}", markup=False)


def _seconds(duration_s: float) -> Text:
    return Text(f"{duration_s:5.0f} s", style="dim")


def print_outcome(report: Report, out: Path) -> None:
    """The promises and where to read on, on standard output."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("", "promise", "value", "bound"):
        justify: Literal["left", "right"] = "right" if column in ("value", "bound") else "left"
        table.add_column(column, header_style="bold", justify=justify)
    for promise in report.promises:
        mark = Text("kept", style="green") if promise.kept else Text("BROKEN", style="bold red")
        value = "-" if promise.value is None else f"{promise.value:.3g}"
        table.add_row(mark, promise.name, value, f"{promise.bound:g}")
    console.print(Text(report.summary))
    console.print(Text(report.why, style="dim"))
    console.print()
    console.print(table)
    console.print()
    console.print(f"[bold]{out / 'report.html'}[/]  [dim]tells it in pictures[/]")
