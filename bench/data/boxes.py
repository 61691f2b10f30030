"""Diff and merge of a million boxes: `bench/merge_boxes.py` measures them, inside its process."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from bench.data.measure import Cost, run
from bench.data.results import Notes
from bench.data.sets import Plan
from bench.data.tools import REPOSITORY, SightloopInside

N_BOXES_EACH = 10
NUMBERS = {
    "diff": "diff boxes",
    "merge, conflicts listed": "merge boxes",
    "merge and commit": "merge and commit boxes",
}
"""What the report calls the rows of that script's table."""

_ROW = re.compile(r"^\| ([a-z, ]+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def play(plan: Plan, scratch: Path, notes: Notes) -> None:
    """A tenth of as many samples, a thousand edits on each side, a hundred contradictions.

    Raises:
        CommandFailed: a planted conflict was missed, one too many was found, or an edit was lost.
    """
    n_samples = plan.n_boxes // N_BOXES_EACH
    n_edits = min(1000, n_samples // 4)
    script = REPOSITORY / "bench" / "merge_boxes.py"
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        argv = [sys.executable, str(script), str(n_samples), str(N_BOXES_EACH), str(n_edits)]
        ran = run(argv, cwd=REPOSITORY, env={"TMPDIR": folder})
    for step, wall_ms, cpu_ms in _ROW.findall(ran.output):
        cost = Cost(wall_s=int(wall_ms) / 1000, cpu_s=int(cpu_ms) / 1000, peak_mb=ran.cost.peak_mb)
        notes.cost(NUMBERS[step], SightloopInside.name, cost)
