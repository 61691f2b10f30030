"""Runs in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, is_wide, state, table, when
from sightloop.contracts.numbers import Number
from sightloop.kernel.digests import short
from sightloop.tracking.browsing import RunColumn, RunRow, RunRows, is_own_tag
from sightloop.tracking.curves import differing
from sightloop.tracking.origins import told_of
from sightloop.tracking.services import RunFacts
from sightloop.tracking.values import Run, RunInputs
from sightloop.training.logs import LogTail

NO_RUN = "no run yet; `sightloop train` makes one, and so does sightloop.run(...) in a program"


def runs(found: RunRows, columns: Sequence[RunColumn], *, is_narrowed: bool) -> RenderableType:
    """Some runs with the values that were asked for, and that there are more if there are."""
    has_data = is_wide() and not columns
    rows = (
        (
            row.run.id,
            row.run.experiment,
            row.run.name,
            state(row.run.state),
            when(row.run.started_at_ms),
            _duration(row.run),
            *([_data(row.run)] if has_data else []),
            *(_picked(row, one) for one in columns),
        )
        for row in found.rows
    )
    heads = ("run", "experiment", "name", "state", "started", "took")
    shown = table(
        (*heads, *(["data"] if has_data else []), *(one.key for one in columns)),
        rows,
        empty="no such run" if is_narrowed else NO_RUN,
    )
    more = "there are more; --limit shows them"
    return Group(shown, Text(more, style="dim")) if found.next_token else shown


def _data(found: Run) -> str:
    return short(found.inputs.dataset_commit) if found.inputs else "-"


def _picked(row: RunRow, column: RunColumn) -> str:
    if column.entity == "metric":
        return number(row.metrics[column.key]) if column.key in row.metrics else "-"
    return (row.params if column.entity == "param" else row.tags).get(column.key, "-")


def run(found: Run, told: Sequence[tuple[str, str]] = ()) -> RenderableType:
    """One run: what went in, or what its program told of that, and how it ended."""
    return facts(
        [
            ("run", found.id),
            ("name", f"{found.experiment} / {found.name}"),
            ("state", state(found.state)),
            ("took", _duration(found)),
            *(
                _inputs(found.inputs)
                if found.inputs
                else [("tracked by", found.user or "-"), *told]
            ),
            ("ended because", found.exit_reason or "-"),
        ]
    )


def _inputs(inputs: RunInputs) -> list[tuple[str, str]]:
    code = inputs.code.commit or "no repository"
    return [
        ("data", inputs.dataset_commit),
        ("code", f"{code[:12]}{' with changes' if inputs.code.dirty else ''}"),
        ("engine", f"{inputs.engine} {inputs.engine_version}"),
        ("seed, threads", f"{inputs.seed}, {inputs.threads}"),
        ("hardware", inputs.hardware),
    ]


def run_facts(found: RunFacts) -> RenderableType:
    """One run: what went in, its tags, metrics and artifacts."""
    metrics = ((name, number(point.value), point.step) for name, point in found.metrics.items())
    files = ((one.name, f"{one.size_bytes:,}", short(one.digest)) for one in found.artifacts)
    own = [pair for pair in sorted(found.tags.items()) if is_own_tag(pair[0])]
    return Group(
        run(found.run, _told(found)),
        *_pairs("parameter", sorted(found.params.items())),
        *_pairs("tag", own),
        Text(),
        table(("metric", "latest", "step"), metrics, empty="nothing was measured"),
        Text(),
        table(("artifact", "size", "blob"), files, empty="no artifacts"),
    )


def _pairs(name: str, pairs: Sequence[tuple[str, str]]) -> list[RenderableType]:
    return [Text(), table((name, "value"), pairs, empty="")] if pairs else []


def _told(found: RunFacts) -> list[tuple[str, str]]:
    told = told_of(found.tags)
    changes = " with changes" if told["is_dirty"] == "true" else ""
    pairs = [
        ("code", f"{told['git'][:12]}{changes}" if told["git"] else ""),
        ("command", told["command"] or told["source"]),
        ("hardware", told["hardware"]),
    ]
    return [(name, text) for name, text in pairs if text]


def number(value: Number) -> str:
    """A measured number as people read it: six digits say enough here, `--json` says all.

    >>> number(0.0008418350000000001), number(40), number("NaN")
    ('0.000841835', '40', 'NaN')
    """
    return value if isinstance(value, str) else f"{value:.6g}"


def comparison(found: list[RunFacts]) -> RenderableType:
    """Runs side by side: inputs that differ, then every metric's newest value."""
    sides = [dict(_inputs(one.run.inputs) if one.run.inputs else []) | one.params for one in found]
    columns = ("", *(one.run.name for one in found))
    inputs = ((name, *(side.get(name, "-") for side in sides)) for name in differing(sides))
    keys = sorted({key for one in found for key in one.metrics})
    metrics = (
        (key, *(number(one.metrics[key].value) if key in one.metrics else "-" for one in found))
        for key in keys
    )
    return Group(
        table(columns, inputs, empty="the same went into all of them"),
        Text(),
        table(columns, metrics, empty="nothing was measured"),
    )


def log_tail(found: LogTail) -> RenderableType:
    """As the engine printed it: brackets are no markup."""
    return Text(found.text or "nothing was printed")


def _duration(found: Run) -> str:
    if found.ended_at_ms is None:
        return "-"
    return f"{(found.ended_at_ms - found.started_at_ms) / 1000:.0f} s"
