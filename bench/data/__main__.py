"""`python -m bench.data`: play every scenario that is not finished yet, then write the report.

Takes about twenty minutes on two quiet cores and up to 35 GB of disk; what is finished is kept in
`.bench/results.json` and not played again. `--only NAME` plays one anew.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.data import report, scenarios
from bench.data.machine import facts_of_machine
from bench.data.measure import CommandFailed
from bench.data.peers import install_peers
from bench.data.results import Notes, Results, load, save
from bench.data.scenarios import Stage
from bench.data.sets import QUICK, FileSet, Plan
from bench.data.tools import REPOSITORY

Scenario = Callable[[Stage, Notes], None]
SCENARIOS: dict[str, Scenario] = {
    "import-small": scenarios.import_small,
    "status-small": scenarios.status_small,
    "add-small": scenarios.add_small,
    "import-large": scenarios.import_large,
    "status-large": scenarios.status_large,
    "switch-large": scenarios.switch_large,
    "labels-large": scenarios.labels_large,
    "boxes": scenarios.boxes_of_all,
    "remote": scenarios.remote_small,
    "million": scenarios.million,
}
"""In the order in which they are played: those on the same files one after another."""


def main() -> int:
    wanted = _arguments()
    home = wanted.folder.resolve()
    scratch = (wanted.scratch or home).resolve() / "bench-data-scratch"
    results = load(home / "results.json")
    todo = wanted.only or [name for name in SCENARIOS if name not in results.finished]
    if not wanted.report_only:
        stage = _stage(home, scratch, QUICK if wanted.quick else Plan())
        results.machine = facts_of_machine(scratch)
        for name in todo:
            _play(name, stage, results)
            save(results, home / "results.json")
            _give_back(stage, [one for one in SCENARIOS if one in todo[todo.index(name) + 1 :]])
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    wanted.out.write_text(report.write(results))
    print(f"wrote {wanted.out}; removing scratch files, which can take minutes", flush=True)
    shutil.rmtree(scratch, ignore_errors=True)
    return 1 if any(one.failure for one in results.played.values()) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.data", description=__doc__)
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="this one anew")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".bench")
    parser.add_argument("--scratch", type=Path, help="where to put files meanwhile; else .bench")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "results" / "datasets.md")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the bench itself")
    parser.add_argument("--report-only", action="store_true", help="measure nothing")
    return parser.parse_args()


def _stage(home: Path, scratch: Path, plan: Plan) -> Stage:
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was stopped
    scratch.mkdir(parents=True)
    peers = install_peers(home)
    small = FileSet(scratch / "small", peers, n=plan.n_small, size_bytes=plan.small_bytes)
    large = FileSet(scratch / "large", peers, n=plan.n_large, size_bytes=plan.large_bytes)
    return Stage(plan, scratch, peers, small, large)


def _play(name: str, stage: Stage, results: Results) -> None:
    print(f"{name} ({time.strftime('%H:%M:%S')})", flush=True)
    began = time.monotonic()
    notes = Notes(results.begin(name))
    try:
        SCENARIOS[name](stage, notes)
        notes.end()
    except CommandFailed as error:  # the others can still be measured
        print(f"  failed: {error}", flush=True)
        notes.end(failure=str(error))
    print(f"  took {time.monotonic() - began:.0f} s", flush=True)


def _give_back(stage: Stage, left: list[str]) -> None:
    """Let go of files that no scenario still to come plays on."""
    for which, files in (("small", stage.small), ("large", stage.large)):
        if not any(name.endswith(which) for name in left):
            files.remove_if_short_of_space()


if __name__ == "__main__":
    sys.exit(main())
