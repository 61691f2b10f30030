"""What was seen, in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.data.machine import code_commit, memory_gb, processor
from bench.serving.swaps import quantiles_ms, slope_mb

NAMES = {"bare": "no server", "sightloop": "Sightloop", "litserve": "LitServe",
         "litserve-tuned": "LitServe, tuned",
         "bentoml": "BentoML", "mlserver": "MLServer"}  # fmt: skip
_VERSION_OF = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"


def line(name: str, seen: dict[str, Any]) -> str:
    """One measurement, as the terminal shows it."""
    told = quantiles_ms(seen["latencies_s"])
    return (
        f"  {name}: p50 {told['p50']:.1f} ms, p99 {told['p99']:.1f} ms, "
        f"{told['n'] / seen['wall_s']:.1f}/s, {1000 * seen['server_cpu_s'] / told['n']:.2f} ms of "
        f"processor each, {seen['n_failed']} failed"
    )


def summaries(found: dict[str, Any]) -> dict[str, Any]:
    """Figures of every round, without the single latencies."""
    return {name: _summary(one) for name, one in found.items()}


def _summary(one: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {key: value for key, value in one.items() if key not in ("one", "many")}
    for kind in ("one", "many"):
        told[kind] = [
            {
                **quantiles_ms(seen["latencies_s"]),
                "per_s": len(seen["latencies_s"]) / seen["wall_s"],
                "cpu_ms": 1000 * seen["server_cpu_s"] / len(seen["latencies_s"]),
                "client_cpu_ms": 1000 * seen.get("client_cpu_s", 0.0) / len(seen["latencies_s"]),
                "n_failed": seen["n_failed"],
            }
            for seen in one.get(kind, [])
        ]
    if told["many"]:
        told["capacity"] = statistics.median(seen["per_s"] for seen in told["many"])
    return told


def write(found: dict[str, Any], tools: Path) -> str:
    """All of it."""
    lines = ["# Serving, measured", "", _how(found, tools), ""]
    if "servers" in found:
        lines += _servers(found["servers"])
    if "swaps" in found:
        lines += _swaps(found["swaps"])
    return "\n".join(lines)


def _how(found: dict[str, Any], tools: Path) -> str:
    peers = [
        f"{NAMES[name]} {_peer_version(tools, name)}"
        for name in found.get("servers", {})
        if name not in ("bare", "sightloop")
    ]
    return (
        f"`make bench-serving`, {time.strftime('%d %B %Y', time.gmtime()).lstrip('0')}, "
        f"{processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB of memory, Linux "
        f"{platform.release()}, Python {platform.python_version()}; Sightloop at {code_commit()}, "
        f"ONNX Runtime {version('onnxruntime')}, OpenCV {version('opencv-python-headless')}, "
        f"uvicorn {version('uvicorn')}; {', '.join(peers) or 'no peers'}.\n\n"
        "Everybody serves the same file (YOLO26n, 320 px, the starter weights) with "
        f"{found.get('threads', 1)} thread(s) a run and is sent the same 32 JPEGs of 640 x 480 px "
        "over kept connections. LitServe runs as its tutorials show it, with the defaults of ONNX "
        "Runtime; *tuned* it has, like BentoML and MLServer, the session settings of our workers. "
        "*No server* is our own decode, letterbox, run and read in a loop. "
        "Sightloop watches the stream as in production: every image is measured, described and "
        "counted. Rounds are interleaved; given is the median of the rounds, and ratios are taken "
        "within each round. The load generator shares the cores; what it spends is listed."
    )


def _servers(servers: dict[str, Any]) -> list[str]:
    bare, ours = servers["bare"]["one"], servers["sightloop"]
    per_cpu_s = [1000 / one["cpu_ms"] for one in bare]
    ratios = {
        "p50 / no server": (_ratios(ours["one"], bare, "p50"), "<= 1.15"),
        "p99 / no server": (_ratios(ours["one"], bare, "p99"), "<= 1.5"),
        "requests per CPU-second, saturated / no server": (
            [
                1000 / one["cpu_ms"] / base
                for one, base in zip(ours["many"], per_cpu_s, strict=True)
            ],
            ">= 0.90",
        ),
    }
    for name, one in servers.items():
        if name not in ("bare", "sightloop"):
            wanted = ">= 2" if name == "litserve" else ""
            ratios[f"requests/s, saturated / {NAMES[name]}"] = (
                _ratios(ours["many"], one["many"], "per_s"),
                wanted,
            )
    return [
        "## Against no server, and against others",
        "",
        "| | ratio, median of rounds | lowest to highest | wanted |",
        "|---|---|---|---|",
        *(
            f"| {what} | **{statistics.median(seen):.2f}** | {min(seen):.2f} to {max(seen):.2f} "
            f"| {wanted} |"
            for what, (seen, wanted) in ratios.items()
        ),
        "",
        (
            "| server | clients | p50 (ms) | p99 (ms) | requests/s | processor a request (ms) "
            "| load generator (ms) | failed | memory (MB) | start to first answer (s) |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
        *_rows(servers),
        "",
    ]


def _ratios(ours: list[dict[str, float]], others: list[dict[str, float]], key: str) -> list[float]:
    return [one[key] / other[key] for one, other in zip(ours, others, strict=True)]


def _rows(servers: dict[str, Any]) -> list[str]:
    rows = []
    for name in NAMES:
        one = servers.get(name, {})
        for kind in ("one", "many"):
            seen = one.get(kind)
            if not seen:
                continue
            middle = {key: statistics.median(turn[key] for turn in seen) for key in seen[0]}
            memory = f"{one['memory_mb']:.0f}" if "memory_mb" in one else ""
            ready = f"{one['ready_s']:.1f}" if "ready_s" in one else ""
            clients = "one" if kind == "one" else "many"
            rows.append(
                f"| {NAMES[name]} | {clients} | {middle['p50']:.1f} | {middle['p99']:.1f} "
                f"| {middle['per_s']:.1f} | {middle['cpu_ms']:.2f} | {middle['client_cpu_ms']:.2f} "
                f"| {sum(turn['n_failed'] for turn in seen)} | {memory} | {ready} |"
            )
    return rows


def _swaps(seen: dict[str, Any]) -> list[str]:
    during, steady = seen["during_ms"], seen["steady_ms"]
    ratio = during["p99"] / steady["p99"] if steady["p99"] else float("nan")
    memory = seen["memory"]
    return [
        "## Swapping under load",
        "",
        (
            f"{seen['n_swaps']} swaps, one after the other, while {seen['per_second']:.1f} images "
            "a second (60 % of what was measured above) come in, whatever becomes of the answers. "
            "A latency counts from the moment the request was due."
        ),
        "",
        "| | seen | wanted |",
        "|---|---|---|",
        f"| requests | {seen['n_requests']:,} | |",
        f"| failed requests | **{seen['n_failed']}** | 0 |",
        f"| swaps that were refused | {seen['n_refused_swaps']} | 0 |",
        f"| p99 during a swap / p99 steady | **{ratio:.2f}** | <= 2 |",
        (
            f"| steady: p50, p99, longest (ms) | {steady['p50']:.1f}, {steady['p99']:.1f}, "
            f"{steady['longest']:.1f} ({steady['n']:,} requests) | |"
        ),
        (
            f"| during a swap: p50, p99, longest (ms) | {during['p50']:.1f}, {during['p99']:.1f}, "
            f"{during['longest']:.1f} ({during['n']:,} requests) | |"
        ),
        f"| a swap takes, start to switch (ms) | {seen['swap_ms']:.0f} | |",
        f"| supervisor's memory: first, last (MB) | {memory[0][1]:.1f}, {memory[-1][1]:.1f} | |",
        f"| its slope per 100 swaps (MB) | {slope_mb(memory):+.2f} | flat |",
        (
            f"| workers' memory after a swap, slope per 100 swaps (MB) "
            f"| {slope_mb(memory, part=2):+.2f} | flat |"
        ),
        "",
    ]


def _peer_version(tools: Path, name: str) -> str:
    name = name.partition("-")[0]
    python = tools / name / "bin" / "python"
    if not python.exists():
        return "(not installed)"
    done = subprocess.run(
        [str(python), "-c", _VERSION_OF, name], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
