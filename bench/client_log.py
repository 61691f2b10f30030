"""What `run.log` costs the thread that calls it.

`python bench/client_log.py [N_CALLS]` logs to a server that is away (everything is spooled) and to
a workspace (everything is stored), with 1 and 10 metrics a call, and prints microseconds per call:
processor time of the calling thread on average, and wall time at the median and the 99th
percentile; then how long the run's end took. Three rounds each, the best is printed. The calls
follow one another at once, which no training does: nothing gives the other threads more to do.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import sightloop
from sightloop.wiring import create_workspace

N_CALLS, N_ROUNDS = 100_000, 3
AWAY = "http://127.0.0.1:9"


class Cost(NamedTuple):
    """Microseconds per call, and seconds until the run had ended."""

    cpu_us: float
    p50_us: float
    p99_us: float
    end_s: float


def main(n_calls: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sightloop-bench-") as folder:
        root = Path(folder)
        os.environ["SIGHTLOOP_SPOOL"] = str(root / "spools")
        create_workspace(root / "workspace", {}).db.close()
        print(f"{'target':10} {'metrics':>8} {'cpu (us)':>9} {'p50':>6} {'p99':>7} {'end (s)':>8}")
        for target in ("away", "workspace"):
            for n_metrics in (1, 10):
                rounds = [measure(root, target, n_metrics, n_calls) for _ in range(N_ROUNDS)]
                best = Cost(*map(min, zip(*rounds, strict=True)))
                print(
                    f"{target:10} {n_metrics:8} {best.cpu_us:9.2f} {best.p50_us:6.2f} "
                    f"{best.p99_us:7.2f} {best.end_s:8.2f}"
                )


def measure(root: Path, target: str, n_metrics: int, n_calls: int) -> Cost:
    place = {"server": AWAY} if target == "away" else {"workspace": root / "workspace"}
    metrics = {f"train/loss_{n}": 0.5 + n for n in range(n_metrics)}
    run = sightloop.run("bench", capture=False, **place)  # type: ignore[arg-type]
    wall_ns = [0] * n_calls
    clock, cpu_ns = time.perf_counter_ns, time.thread_time_ns()
    for step in range(n_calls):
        start_ns = clock()
        run.log(metrics, step=step)
        wall_ns[step] = clock() - start_ns
    cpu_us = (time.thread_time_ns() - cpu_ns) / n_calls / 1000
    start_s = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        told, sys.stderr = sys.stderr, nowhere
        run.finish()
        sys.stderr = told
    wall_ns.sort()
    p50_us, p99_us = wall_ns[n_calls // 2] / 1000, wall_ns[n_calls * 99 // 100] / 1000
    return Cost(cpu_us, p50_us, p99_us, time.perf_counter() - start_s)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_CALLS)
