"""Whether what people do with MLflow works against Sightloop, flavour by flavour.

`python -m bench.mlflow_flavours BIN [--ours]`, where BIN is the folder of a virtual environment
with mlflow, scikit-learn, torch, lightning and ultralytics. An unmodified client takes the steps of
`mlflow_flavour_steps.py` with Sightloop and, unless `--ours`, with MLflow's own server; both start
empty. Writes a section of `docs/results/mlflow.md`; fails when a step fails with Sightloop.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.mlflow_differential import FLAVOURS, RESULTS
from bench.servers import mlflow_server, our_server

STEPS = Path(__file__).with_name("mlflow_flavour_steps.py")
LIBRARIES = ("mlflow", "scikit-learn", "torch", "lightning", "ultralytics")


def main(tools: Path, *, with_theirs: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="sightloop-bench-") as folder:
        root = Path(folder)
        with our_server(root / "ours") as server:
            signed_in = {"MLFLOW_TRACKING_TOKEN": server.token}
            ours = take_steps(tools, server.url, root / "ours.json", signed_in)
        theirs = None
        if with_theirs:
            with mlflow_server(tools, root / "theirs") as server:
                theirs = take_steps(tools, server.url, root / "theirs.json", {})
    section = render(ours, theirs, versions_of(tools))
    print(section)
    before = RESULTS.read_text().partition(FLAVOURS)[0].rstrip()
    RESULTS.write_text(f"{before}\n\n{section}")
    return 1 if any(step["outcome"] == "fails" for step in ours) else 0


def take_steps(
    tools: Path, url: str, output: Path, environment: Mapping[str, str]
) -> list[dict[str, Any]]:
    command = [str(tools / "python"), "-W", "ignore", str(STEPS), url, str(output)]
    known = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **environment}
    subprocess.run(command, check=True, env=known, cwd=output.parent)
    steps: list[dict[str, Any]] = json.loads(output.read_text())
    return steps


def render(
    ours: Sequence[dict[str, Any]],
    theirs: Sequence[dict[str, Any]] | None,
    versions: Mapping[str, str],
) -> str:
    """The section, in Markdown."""
    n_working = sum(step["outcome"] == "works" for step in ours)
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    today = dt.datetime.now(tz=dt.UTC).date()
    how = (
        f"**{n_working} of {len(ours)} steps work.** `make bench-mlflow-flavours`, {today}: "
        f"{named}, unmodified. Each step reads back what it logged. Seconds are of the whole step "
        "on two shared cores, most of them the client's own; they show that nothing hangs."
    )
    lines = [
        FLAVOURS,
        "",
        how,
        "",
        "| step | Sightloop | seconds | mlflow server | seconds |",
        "|---|---|---:|---|---:|",
    ]
    others = {step["name"]: step for step in theirs or ()}
    for step in ours:
        other = others.get(step["name"])
        beside = f"{other['outcome']} | {other['took_s']:.1f}" if other else "- | -"
        lines.append(f"| {step['name']} | {outcome(step)} | {step['took_s']:.1f} | {beside} |")
    return "\n".join([*lines, "", *warnings_in(ours), ""])


def outcome(step: Mapping[str, Any]) -> str:
    return f"{step['outcome']}: {step['why']}" if step["why"] else str(step["outcome"])


def warnings_in(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the client itself complained of, where the server may be the cause."""
    said = {
        one.partition(". ")[0]
        for step in steps
        for one in step["warnings"]
        if "Failed" in one or "Error" in one
    }
    if not said:
        return ["The client complained of nothing."]
    return ["The client complained of:", "", *(f"- `{one}`" for one in sorted(said))]


def versions_of(tools: Path) -> dict[str, str]:
    code = (
        "from importlib.metadata import version, PackageNotFoundError\n"
        "import sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, version(name).partition('+')[0])\n"
        "    except PackageNotFoundError: pass\n"
    )
    found = subprocess.run(
        [str(tools / "python"), "-c", code, *LIBRARIES], check=True, capture_output=True, text=True
    )
    return dict(line.split(" ") for line in found.stdout.splitlines())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), with_theirs="--ours" not in sys.argv))
