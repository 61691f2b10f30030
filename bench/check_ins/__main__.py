"""`python -m bench.check_ins`: writes docs/results/check_ins.md; takes about eight minutes.

The server has one core to itself where there are two; the agents have the other.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.check_ins.agents import Attempt, Fleet, Simulated
from bench.data.machine import memory_gb, processor
from bench.servers import make_workspace, our_server
from sightloop.fleet import store
from sightloop.fleet.values import Device, DeviceId
from sightloop.kernel import tokens
from sightloop.kernel.actors import ActorId, Role
from sightloop.kernel.workspace import Workspace
from sightloop.wiring import open_workspace

ROOT = Path(__file__).parents[2]
EVERY_S = 60.0
WARM_UP_S = 20.0


class Phase(NamedTuple):
    """What one phase came to."""

    name: str
    attempts: list[Attempt]
    n_agents: int
    n_came: int
    last_at_s: float
    seconds: float
    server_cpu_s: float
    n_writes: int
    memory_mb: float


def main() -> None:
    wanted = arguments()
    with tempfile.TemporaryDirectory(prefix="sightloop-bench-") as folder:
        home = Path(folder) / "plant"
        make_workspace(home)
        workspace = open_workspace(home)
        agents = enrolled(workspace, wanted.agents)
        workspace.db.close()
        phases = played(home, agents, wanted)
    text = report(phases, wanted.agents)
    print(text)
    wanted.out.write_text(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.check_ins", description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=180.0, help="of steady check-ins")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "check_ins.md")
    return parser.parse_args()


def enrolled(workspace: Workspace, n_agents: int) -> list[Simulated]:
    """Devices with a slot and a token each, put into the store as enrolments would."""
    made = []
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        for n in range(n_agents):
            id_ = DeviceId(workspace.ids.new("dev"))
            token = tokens.issue(
                tx, actor=ActorId(id_), kind="device", role=Role.DEVICE, now_ms=now_ms
            )
            store.put_device(
                tx,
                Device(
                    id=id_, name=f"box-{n}", ring="fleet", site=f"site-{n % 500}",
                    device_class="box", agent_version="1", capabilities=["onnxruntime"],
                    enrolled_at_ms=now_ms,
                ),
            )  # fmt: skip
            store.add_slots(tx, id_, {"main": "pcb"})
            made.append(Simulated(id_, token))
    return made


def played(home: Path, agents: list[Simulated], wanted: argparse.Namespace) -> list[Phase]:
    """Every phase, one after the other, against one server process."""
    with our_server(home) as server:
        host, port = "127.0.0.1", int(server.url.rpartition(":")[2])
        process = psutil.Process(server.pid)
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            process.cpu_affinity([cores[0]])
            os.sched_setaffinity(0, cores[1:])
        fleet = Fleet(host, port, agents)

        def play(name: str, playing: object) -> Phase:
            before_s, n_before, start = server.cpu_s(), writes(home), time.perf_counter()
            asyncio.run(playing)  # type: ignore[arg-type]
            spent = time.perf_counter() - start
            found = Phase(
                name, fleet.attempts, len(agents), len(fleet.done_at_s),
                max(fleet.done_at_s.values(), default=0.0), spent, server.cpu_s() - before_s,
                writes(home) - n_before, server.memory_mb(),
            )  # fmt: skip
            print(line(found), flush=True)
            return found

        return [
            play("first check-in of each, within 60 s", fleet.storm(EVERY_S, 600)),
            play(f"steady, every {EVERY_S:.0f} s", fleet.steady(wanted.seconds, EVERY_S)),
            play("all come back within 10 s", fleet.storm(10, 600)),
            play("all come back at once", fleet.storm(0, 600)),
        ]


def writes(home: Path) -> int:
    """Commits of the database so far: SQLite counts them in the head of its log's index."""
    head = (home / ".sightloop" / "sightloop.db-shm").read_bytes()[:12]
    return int.from_bytes(head[8:12], sys.byteorder)


def line(phase: Phase) -> str:
    took = sorted(one.took_s * 1000 for one in phase.attempts if one.status == 200)
    refused = sum(one.status == 503 for one in phase.attempts)
    failed = sum(one.status not in (200, 503) for one in phase.attempts)
    return (
        f"| {phase.name} | {len(took):,} | {len(took) / phase.seconds:.0f} "
        f"| {statistics.median(took):.1f}, {took[int(0.99 * len(took))]:.1f} | {refused:,} "
        f"| {failed} | {phase.n_agents - phase.n_came} | {phase.last_at_s:.0f} "
        f"| {phase.n_writes} in {phase.seconds:.0f} s "
        f"| {1000 * phase.server_cpu_s / max(1, len(phase.attempts)):.2f} "
        f"| {phase.memory_mb:.0f} |"
    )


def report(phases: list[Phase], n_agents: int) -> str:
    today = time.strftime("%d %B %Y", time.gmtime()).lstrip("0")
    how = (
        f"`make bench-check-ins`, {today}, {processor()}, {os.cpu_count()} cores, "
        f"{memory_gb():.0f} GB of memory, Linux {platform.release()}, Python "
        f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}."
    )
    lines = ["# Check-ins of a large fleet, measured", "", how, "", _TOLD.format(n=n_agents), ""]
    return "\n".join([*lines, _HEAD, "|---" * 11 + "|", *map(line, phases), ""])


_TOLD = """\
{n:,} simulated agents, each check-in on a new connection, against one server process that has one
core; the agents' process has the other. Waits between tries are those of the real agent."""
_HEAD = (
    "| phase | check-ins | per s | p50, p99 (ms) | sent away with 503 | failed otherwise "
    "| agents that never got in | last one in after (s) | writes of the database "
    "| server's processor time a try (ms) | memory (MB) |"
)


if __name__ == "__main__":
    main()
