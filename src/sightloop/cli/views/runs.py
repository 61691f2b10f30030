"""Runs in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, state, table, when
from sightloop.kernel.digests import short
from sightloop.tracking.curves import differing
from sightloop.tracking.services import RunFacts, RunPage
from sightloop.tracking.values import Run, RunInputs
from sightloop.training.logs import LogTail


def runs(page: RunPage) -> RenderableType:
    """Some runs, newest first."""
    rows = (
        (
            one.id,
            one.experiment,
            one.name,
            state(one.state),
            when(one.started_at_ms),
            _duration(one),
            short(one.inputs.dataset_commit) if one.inputs else "-",
        )
        for one in page.runs
    )
    columns = ("run", "experiment", "name", "state", "started", "took", "data")
    return table(columns, rows, empty="no run yet; `sightloop train` makes one")


def run(found: Run) -> RenderableType:
    """One run: what went in, and how it ended."""
    return facts(
        [
            ("run", found.id),
            ("name", f"{found.experiment} / {found.name}"),
            ("state", state(found.state)),
            ("took", _duration(found)),
            *(_inputs(found.inputs) if found.inputs else [("tracked by", found.user or "-")]),
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
    """One run with its metrics and artifacts."""
    metrics = ((name, point.value, point.step) for name, point in found.metrics.items())
    files = ((one.name, f"{one.size_bytes:,}", short(one.digest)) for one in found.artifacts)
    return Group(
        run(found.run),
        Text(),
        table(("metric", "latest", "step"), metrics, empty="nothing was measured"),
        Text(),
        table(("artifact", "size", "blob"), files, empty="no artifacts"),
    )


def comparison(found: list[RunFacts]) -> RenderableType:
    """Runs side by side: inputs that differ, then every metric's newest value."""
    sides = [dict(_inputs(one.run.inputs) if one.run.inputs else []) | one.params for one in found]
    columns = ("", *(one.run.name for one in found))
    inputs = ((name, *(side.get(name, "-") for side in sides)) for name in differing(sides))
    keys = sorted({key for one in found for key in one.metrics})
    metrics = (
        (key, *(one.metrics[key].value if key in one.metrics else "-" for one in found))
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
