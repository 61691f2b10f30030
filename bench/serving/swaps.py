"""Versions are swapped under open-loop load: failed requests, latency near swaps, memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.serving.agents import RunningAgent
from sightloop.contracts.telemetry import SwapBody
from sightloop.testing.agents import wait_until

LOAD = Path(__file__).parent / "load.py"
AROUND_S = 0.1
"""A request counts as during a swap that is at work when it is due, or so much before or after."""


def swap_under_load(
    agent: RunningAgent, bodies: Path, folder: Path, *, per_second: float, n_swaps: int,
    steady_s: float,
) -> dict[str, Any]:  # fmt: skip
    """Swap so many times, one after the other, while images come in at a fixed rate.

    The load begins `steady_s` before the first swap, and goes on as long after the last.
    """
    stop, out, plan = folder / "stop", folder / "seen.json", folder / "plan.json"
    for file in (stop, out):
        file.unlink(missing_ok=True)
    asked = {
        "host": "127.0.0.1", "port": agent.process.port, "bodies": str(bodies), "out": str(out),
        "stop": str(stop), "seconds": 10**6, "per_second": per_second,
    }  # fmt: skip
    plan.write_text(json.dumps(asked))
    load = subprocess.Popen([sys.executable, str(LOAD), str(plan)])
    memory: list[tuple[float, float, float]] = []
    n_before = len(agent.plane.bodies(SwapBody))
    try:
        time.sleep(steady_s)
        for number in range(1, n_swaps + 1):
            bundle = agent.bundles[number % len(agent.bundles)]
            agent.plane.assign(bundle, version=1 + number)
            wait_until(lambda: agent.process.serves(bundle), f"swap {number}", timeout_s=120)  # noqa: B023
            memory.append(_memory_mb(agent.process.pid))
            if number % 50 == 0:
                print(f"  {number} swaps", flush=True)
        time.sleep(steady_s)
    finally:
        stop.touch()
        load.wait()
    seen = json.loads(out.read_text())
    wait_until(lambda: _n_told(agent) >= n_before + n_swaps, "every swap is told", timeout_s=60)
    swaps = agent.plane.bodies(SwapBody)[n_before:]
    return {**summary(seen, swaps), "memory": memory, "n_swaps": n_swaps, "per_second": per_second}


def _n_told(agent: RunningAgent) -> int:
    return len(agent.plane.bodies(SwapBody))


def summary(seen: dict[str, Any], swaps: list[SwapBody]) -> dict[str, Any]:
    """Latencies of the requests that were due while a version was started or switched, and not."""
    begins = [(one.started_at_ms / 1000 - AROUND_S, one) for one in swaps]
    intervals = [
        (begin_s, begin_s + one.duration_ms / 1000 + 2 * AROUND_S) for begin_s, one in begins
    ]
    during, steady = [], []
    for due_s, latency_s in zip(seen["due_at_s"], seen["latencies_s"], strict=True):
        is_near = any(begin_s <= due_s <= end_s for begin_s, end_s in intervals)
        (during if is_near else steady).append(latency_s)
    return {
        "n_requests": len(seen["latencies_s"]),
        "n_failed": seen["n_failed"],
        "failures": seen["failures"],
        "n_refused_swaps": sum(one.outcome != "switched" for one in swaps),
        "swap_ms": statistics.median(one.duration_ms for one in swaps),
        "during_ms": quantiles_ms(during),
        "steady_ms": quantiles_ms(steady),
        "client_cpu_s": seen["client_cpu_s"],
        "wall_s": seen["wall_s"],
    }


def quantiles_ms(latencies_s: list[float]) -> dict[str, float]:
    """Median, 99th percentile and longest, in milliseconds."""
    if not latencies_s:
        return {"n": 0, "p50": 0.0, "p99": 0.0, "longest": 0.0}
    ordered = sorted(latencies_s)
    at = lambda share: 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return {"n": len(ordered), "p50": at(0.5), "p99": at(0.99), "longest": at(1.0)}


def _memory_mb(pid: int) -> tuple[float, float, float]:
    """When, the supervisor's resident memory, and that of all its workers, in MB."""
    supervisor = psutil.Process(pid)
    workers = 0
    for child in supervisor.children(True):
        try:
            workers += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return time.time(), supervisor.memory_info().rss / 1e6, workers / 1e6


def slope_mb(memory: list[tuple[float, float, float]], *, part: int = 1) -> float:
    """Growth of the supervisor's memory per hundred swaps, by least squares, the first tenth left
    out: that is where buffers and caches fill.
    """
    values = [one[part] for one in memory][len(memory) // 10 :]
    if len(values) < 3:
        return 0.0
    return 100 * statistics.linear_regression(range(len(values)), values).slope


def write_bodies(path: Path, bodies: list[tuple[str, dict[str, str], bytes]]) -> Path:
    """For the load generator."""
    path.write_bytes(msgspec.msgpack.encode(bodies))
    return path
