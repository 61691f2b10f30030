"""What Prometheus is told of sources: totals since the agent started, in base units. Pure.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from sightloop.device.sources.status import SourceStatus

Kind = Literal["counter", "gauge"]


class _Family(NamedTuple):
    name: str
    kind: Kind
    what: str
    value: Callable[[SourceStatus], float]


_FAMILIES = (
    _Family("up", "gauge", "1 while the source is read.", lambda one: one.state == "reading"),
    _Family("frames_seen_total", "counter", "Pictures the source gave.", lambda one: one.n_seen),
    _Family(
        "frames_dropped_total",
        "counter",
        "Pictures that a newer one replaced before the model was free.",
        lambda one: one.n_dropped,
    ),
    _Family(
        "frames_garbage_total",
        "counter",
        "Frames that were no picture.",
        lambda one: one.n_garbage,
    ),
    _Family(
        "frames_answered_total",
        "counter",
        "Pictures the model answered.",
        lambda one: one.n_answered,
    ),
    _Family(
        "frames_failed_total",
        "counter",
        "Pictures the model gave no answer to.",
        lambda one: one.n_failed,
    ),
    _Family(
        "reconnects_total",
        "counter",
        "Times the source was lost and opened again.",
        lambda one: one.n_reconnects,
    ),
    _Family(
        "frame_age_seconds_total",
        "counter",
        "Ages of answered pictures, added up.",
        lambda one: one.age_total_s,
    ),
    _Family(
        "frame_age_p95_seconds",
        "gauge",
        "Age that 95 % of the last 1000 answered pictures did not exceed.",
        lambda one: one.age_p95_ms / 1000,
    ),
    _Family(
        "result_lines_lost_total",
        "counter",
        "Lines of results that could not be written.",
        lambda one: one.n_results_lost,
    ),
    _Family(
        "result_files_dropped_total",
        "counter",
        "Files of results deleted to make room.",
        lambda one: one.n_results_dropped,
    ),
)


def source_metrics(sources: Sequence[SourceStatus]) -> str:
    """All families, each with one line per source; empty without sources."""
    if not sources:
        return ""
    lines = []
    for family in _FAMILIES:
        name = f"sightloop_source_{family.name}"
        lines += [f"# HELP {name} {family.what}", f"# TYPE {name} {family.kind}"]
        # Names of streams hold nothing that would have to be escaped.
        lines += [f'{name}{{stream="{one.name}"}} {family.value(one):.15g}' for one in sources]
    return "\n".join(lines) + "\n"
