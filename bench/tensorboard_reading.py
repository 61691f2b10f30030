"""How fast event files are read: `python bench/tensorboard_reading.py [N]`.

Writes N scalars (1,000,000 unless told) with TensorBoard's own writer, and reads them with
Sightloop, TensorBoard's EventAccumulator (nothing left out: `size_guidance` 0) and tbparse, each in
a process of its own, in turn, three times; then imports them. Peers live in `.bench/tensorboard`,
made by

    python -m venv .bench/tensorboard
    .bench/tensorboard/bin/pip install tensorboard tbparse setuptools

or in the environment that SIGHTLOOP_BENCH_PEERS names. Prints a table in Markdown. All readers must
find the same number and sum of values, or the table is not printed. Offline; some minutes.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

PEERS = Path(os.environ.get("SIGHTLOOP_BENCH_PEERS", ".bench/tensorboard")) / "bin" / "python"
ROUNDS = 3

WRITE = """
import sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
folder, n = sys.argv[1], int(sys.argv[2])
writer = EventFileWriter(folder, max_queue_size=100_000, flush_secs=600)
for step in range(n // 4):
    for place, tag in enumerate(("train/loss", "train/accuracy", "lr", "val/loss")):
        value = Summary.Value(tag=tag, simple_value=1 / (step + 1) + place)
        at = 1.7e9 + step * 0.013 + place * 1e-4
        writer.add_event(Event(wall_time=at, step=step, summary=Summary(value=[value])))
writer.close()
"""
TIMED = """
import json, resource, sys, time
wall, cpu = time.perf_counter(), time.process_time()
n, total = read(sys.argv[1])
print(json.dumps({"n": n, "total": round(total, 3), "wall_s": time.perf_counter() - wall,
                  "cpu_s": time.process_time() - cpu, "version": version,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
ACCUMULATOR = """
from importlib.metadata import version as version_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
version = version_of("tensorboard")
def read(folder):
    found = EventAccumulator(folder, size_guidance={"scalars": 0})
    found.Reload()
    values = [one.value for tag in found.Tags()["scalars"] for one in found.Scalars(tag)]
    return len(values), sum(values)
"""
TBPARSE = """
from importlib.metadata import version as version_of
from tbparse import SummaryReader
version = version_of("tbparse")
def read(folder):
    found = SummaryReader(folder).scalars
    return len(found), float(found["value"].sum())
"""
OURS = """
from pathlib import Path
import sightloop
from sightloop.tracking.tensorboard.reading import read_all_scalars
version = sightloop.__version__
def read(folder):
    parts = [read_all_scalars(path) for path in Path(folder).iterdir()]
    return sum(len(part.values) for part in parts), sum(float(part.values.sum()) for part in parts)
"""
IMPORT = """
import tempfile
from pathlib import Path
import sightloop
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.workspace import Call
from sightloop.tracking.importing.account import ImportRuns
from sightloop.tracking.importing.services import import_runs
from sightloop.wiring import create_workspace
version = sightloop.__version__
def read(folder):
    with tempfile.TemporaryDirectory() as root:
        workspace = create_workspace(Path(root))
        told = import_runs(workspace, Call(LOCAL), ImportRuns(path=folder))
        workspace.db.close()
        return told.n_points, 0.0
"""
READERS = (
    ("Sightloop", sys.executable, OURS),
    ("TensorBoard EventAccumulator", str(PEERS), ACCUMULATOR),
    ("tbparse", str(PEERS), TBPARSE),
)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(PEERS), "-c", WRITE, folder, str(n)], check=True)
        size_mb = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        rounds = [
            {name: timed(python, code, folder) for name, python, code in READERS}
            for _ in range(ROUNDS)
        ]
        imported = timed(sys.executable, IMPORT, folder)
    found = {(one["n"], round(one["total"])) for each in rounds for one in each.values()}
    if len(found) != 1:
        sys.exit(f"the readers do not agree: {sorted(found)}")
    print(f"{n:,} scalars of four tags, {size_mb:.1f} MB, Python {platform.python_version()},")
    print(f"{os.cpu_count()} cores; the best of {ROUNDS} rounds.\n")
    print("| reader | version | processor s | wall s | peak memory MB | × processor | × wall |")
    print("|---|---|---:|---:|---:|---:|---:|")
    ours = best(rounds, "Sightloop")
    for name, *_ in READERS:
        cpu_s, wall_s = best(rounds, name)
        told = rounds[0][name]
        print(
            f"| {name} | {told['version']} | {cpu_s:.2f} | {wall_s:.2f} | {told['peak_mb']:.0f} "
            f"| {cpu_s / ours[0]:.0f} | {wall_s / ours[1]:.0f} |"
        )
    print(
        f"\nImported into a fresh workspace, one point a row: {imported['n']:,} points in "
        f"{imported['cpu_s']:.1f} processor s, {imported['wall_s']:.1f} s, "
        f"{imported['peak_mb']:.0f} MB."
    )


def timed(python: str, code: str, folder: str) -> dict[str, float]:
    done = subprocess.run(
        [python, "-c", code + TIMED, folder], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def best(rounds: list[dict[str, dict[str, float]]], name: str) -> tuple[float, float]:
    mine = [each[name] for each in rounds]
    return min(one["cpu_s"] for one in mine), min(one["wall_s"] for one in mine)


if __name__ == "__main__":
    main()
