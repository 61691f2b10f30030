"""`python -m bench.soak [NAME ...]`: the long tests, one after the other; fails when one does.

A soak is a module here with `soak(scratch: Path) -> str`: it raises `AssertionError` when it does
not hold, and returns lines of Markdown that say what was seen. They go to docs/results/soak.md.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench import soak

ROOT = Path(__file__).parents[2]


def main() -> int:
    known = sorted(one.name for one in pkgutil.iter_modules(soak.__path__) if one.name[0] != "_")
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("names", nargs="*", default=known, help=f"of {', '.join(known)}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "soak.md")
    wanted = parser.parse_args()
    date = time.strftime("%d %B %Y", time.gmtime()).lstrip("0")
    lines, n_failed = ["# Soaks", "", f"`make soak`, {date}.", ""], 0
    for name in wanted.names:
        print(f"{name} ...", flush=True)
        begin_s = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                told = importlib.import_module(f"bench.soak.{name}").soak(Path(folder))
        except Exception:  # noqa: BLE001 - told, and the others still run
            traceback.print_exc()
            told, n_failed = "**Failed.**", n_failed + 1
        spent_s = time.monotonic() - begin_s
        lines += [f"## {name}, {spent_s / 60:.0f} minutes", "", told, ""]
    wanted.out.write_text("\n".join(lines))
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
