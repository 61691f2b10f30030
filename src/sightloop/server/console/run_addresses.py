"""What the address of the table of runs says: the whole state of the page, so it can be shared.

Columns and orders are written as people write them on the command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any, NamedTuple, get_args
from urllib.parse import urlencode

from sightloop.tracking.browsing import MAX_COLUMNS, RunColumn
from sightloop.tracking.run_columns import column_of, column_text, order_term
from sightloop.tracking.search import STATUS
from sightloop.tracking.values import RunState

STATES: tuple[RunState, ...] = get_args(RunState)


class TableAddress(NamedTuple):
    """Which runs, in which order, with which columns; None means the columns that tell most."""

    filter: str = ""
    experiment: str = ""
    state: RunState | None = None
    sort: str = ""
    columns: tuple[RunColumn, ...] | None = None
    is_deleted: bool = False
    after: str = ""

    def query(self, **changes: Any) -> str:  # noqa: ANN401 - a template names fields
        """The address with these changes, from its question mark on."""
        asked = self._replace(**{"after": "", **changes})
        pairs = [
            ("filter", asked.filter),
            ("experiment", asked.experiment),
            ("state", asked.state or ""),
            ("sort", asked.sort),
            *(("col", column_text(one)) for one in asked.columns or ()),
            ("deleted", "1" if asked.is_deleted else ""),
            ("after", asked.after),
        ]
        return "?" + urlencode([(name, value) for name, value in pairs if value])

    def sorted_by(self, field: str, *, greatest_first: bool) -> str:
        """The address in the order of the field, or in the opposite one if it is in that."""
        ways = (f"-{field}", field) if greatest_first else (field, f"-{field}")
        return self.query(sort=ways[1] if self.sort == ways[0] else ways[0])

    def direction(self, field: str) -> str:
        """What `aria-sort` says of the field's column."""
        return {field: "ascending", f"-{field}": "descending"}.get(self.sort, "none")


def read_address(pairs: Iterable[tuple[str, str]]) -> TableAddress:
    """The address that these pairs of a query make; what means nothing is left out.

    >>> read_address([("col", "metrics.val/loss"), ("col", "nonsense"), ("state", "odd")]).columns
    (RunColumn(entity='metric', key='val/loss'),)
    """
    asked: dict[str, list[str]] = {}
    for name, value in pairs:
        asked.setdefault(name, []).append(value)

    def last(name: str) -> str:
        return asked.get(name, [""])[-1]

    columns = [column_of(text) for text in dict.fromkeys(asked.get("col", []))]
    known = tuple(one for one in columns if one is not None)[:MAX_COLUMNS]
    return TableAddress(
        filter=last("filter").strip(),
        experiment=last("experiment"),
        state=next((state for state in STATES if state == last("state")), None),
        sort=last("sort") if order_term(last("sort")) else "",
        columns=known or None,
        is_deleted=last("deleted") == "1",
        after=last("after"),
    )


def command_of(address: TableAddress) -> str:
    """What lists the same runs in a terminal, after `sightloop`.

    >>> print(command_of(TableAddress(experiment="pcb", state="failed", sort="-metrics.ap")))
    runs list --experiment pcb --filter "status = 'FAILED'" --sort -metrics.ap
    """
    terms = [address.filter] if address.filter else []
    if address.state:
        terms.append(f"status = '{STATUS[address.state]}'")
    words = ["runs", "list"]
    if address.experiment:
        words += ["--experiment", address.experiment]
    if terms:
        words += ["--filter", " and ".join(terms)]
    if address.sort:
        words += ["--sort", address.sort]
    for column in address.columns or ():
        words += ["--column", column_text(column)]
    if address.is_deleted:
        words.append("--deleted")
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    # Filters hold single quotes, of which `shlex` makes a thicket.
    is_plain = "'" in word and not set(word) & set('"$`\\!')
    return f'"{word}"' if is_plain else shlex.quote(word)
