"""How results look in a terminal: the same colours and tables everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sightloop.kernel import progress as watching
from sightloop.kernel.clock import format_utc

STATE_STYLES = {
    "pass": "green",
    "done": "green",
    "finished": "green",
    "released": "green",
    "serving": "green",
    "closed": "green",
    "inconclusive": "yellow",
    "open": "yellow",
    "waiting": "yellow",
    "running": "cyan",
    "fail": "red",
    "failed": "red",
    "refused": "red",
    "rolled back": "red",
}


UNBROKEN = ("run", "sweep", "commit", "model", "version", "state", "took")
"""Columns whose cells stay in one piece in a narrow terminal: what people copy, and short words."""
NUMBERS = ("AP50", "size", "images", "boxes", "latest", "step")
WIDE_COLUMNS = 110
PIPE_COLUMNS = 10_000


@cache
def console() -> Console:
    """Where results go; what reads a pipe or a file gets whole lines, however long."""
    drawn = Console(highlight=False)
    return drawn if drawn.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)


@cache
def error_console() -> Console:
    """Where errors and progress go."""
    return Console(stderr=True, highlight=False)


def is_wide() -> bool:
    """Whether there is room for what is good to know but not needed."""
    return console().width >= WIDE_COLUMNS


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> Table | Text:
    """A table without frame; what to do instead when there is nothing to show."""
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        right = column.startswith(("n ", "#")) or column in NUMBERS
        drawn.add_column(
            column,
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=column in UNBROKEN,
            # An instant breaks between day and hour, nowhere else.
            min_width=10 if column in ("started", "began", "when", "made") else None,
        )
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return drawn if drawn.row_count else Text(empty, style="dim")


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=STATE_STYLES.get(word, ""))


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and values below each other."""
    drawn = Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="dim")
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        drawn.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    return drawn


def when(at_ms: int) -> str:
    """An instant, to the second."""
    return format_utc(at_ms)[:19].replace("T", " ") + "Z"


@contextmanager
def progress_bars() -> Iterator[watching.Progress]:
    """Bars on the error stream, one per kind of work, gone when the work is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=error_console(), transient=True) as bars:
        known: dict[str, object] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in known:
                known[what] = bars.add_task(what, total=total or None)
            bars.update(known[what], completed=done, total=total or None)  # type: ignore[arg-type]

        yield progress


def verdict(is_well: bool) -> Text:
    """A check's outcome."""
    return Text("ok", style="green") if is_well else Text("look", style="yellow")
