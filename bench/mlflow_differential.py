"""Whether Sightloop answers as MLflow's own server does, call by call.

`python -m bench.mlflow_differential BIN [--record]`, where BIN is the folder of a virtual
environment with mlflow. Starts both servers on empty folders, lets an unmodified client make the
calls of `mlflow_calls.py` to each, and compares every answer: status, error code, shape, values.
Writes `docs/results/mlflow.md`; with --record also what MLflow's server answered, for the tests.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.servers import mlflow_server, our_server
from sightloop.testing.exchanges import Exchange, Names, differences, hidden

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "mlflow.md"
GOLDEN = ROOT / "tests" / "server" / "mlflow" / "golden.json"
CALLS = Path(__file__).with_name("mlflow_calls.py")
FLAVOURS = "## Flavours, run for real"
MAX_GOLDEN_CHARACTERS = 6000
"""Longer exchanges and climbing paths have tests of their own."""

_WHOLE_BODY = (
    "a field of a wrong kind is refused by its name; MLflow passes over what it cannot read, or "
    "over the whole body, and answers as if all were well"
)
INTENDED = {
    "rename it to a taken name": "a taken name is RESOURCE_ALREADY_EXISTS, as at its creation; "
    "MLflow lets the database's error through as BAD_REQUEST",
    "what was kept of them": "long parameters and tags stay whole up to 100,000 characters; "
    "MLflow cuts them to 6000 and 8000 without a word",
    "the history of infinity": "infinities stay infinities; MLflow's database store turns them "
    "into the greatest number there is",
    "runs by names": "IN is understood for every text attribute, in MLflow for run_id alone",
    "runs not by names": "NOT IN is understood for every text attribute",
    "fetch a file": "Sightloop says that it has no presigned addresses, gateway or archive; "
    "clients then fetch files plainly",
    "models by status": "a logged model is found by its status; MLflow compares the word with a "
    "number and finds nothing",
    "point the champion": "`champion` takes only a version that passed its gate",
    "a state nobody knows": _WHOLE_BODY,
    "a point that is true": _WHOLE_BODY,
    "a step with a fraction": _WHOLE_BODY,
    "tags that are texts": _WHOLE_BODY,
    "a point that is a list": "a value of a wrong kind is refused; MLflow's server breaks and "
    "answers with a web page",
    "a filter with two ANDs": "a filter that cannot be read is refused, with the place; MLflow "
    "passes over the second AND",
    "a filter that ends in AND": "a filter that cannot be read is refused, with the place; MLflow "
    "passes over the AND",
    "a file at the root": "a name that begins with a slash is the name without it, below the run "
    "as any other; MLflow's server breaks",
    "a view nobody knows": "a run_view_type that does not exist is refused; MLflow takes it for "
    "active runs",
    "an address nobody knows": "ENDPOINT_NOT_FOUND as JSON; MLflow answers with a web page",
    "another method": "404 with ENDPOINT_NOT_FOUND as JSON; MLflow answers 405 with a web page",
}
"""Calls that Sightloop answers otherwise on purpose, and why."""


def main(tools: Path, *, is_recording: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="sightloop-bench-") as folder:
        root = Path(folder)
        with mlflow_server(tools, root / "theirs") as server:
            theirs = make_calls(tools, server.url, root / "theirs.json", {})
        with our_server(root / "ours") as server:
            with_token = {"MLFLOW_TRACKING_TOKEN": server.token}
            ours = make_calls(tools, server.url, root / "ours.json", with_token)
    found = compare(ours, theirs)
    report = render(found, version_of(tools))
    print(report)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(report + other_section(RESULTS))
    if is_recording:
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(golden_of(theirs))
    surprises = {name for name, lines in found.items() if lines} - INTENDED.keys()
    return 1 if surprises else 0


def other_section(results: Path) -> str:
    """What `mlflow_flavours.py` wrote at the end of the report, to be kept."""
    before = results.read_text() if results.exists() else ""
    _, found, rest = before.partition(FLAVOURS)
    return f"\n{FLAVOURS}{rest}" if found else ""


def compare(ours: list[Any], theirs: list[Any]) -> dict[str, list[str]]:
    """By call, where the two servers differ."""
    found = {}
    our_names, their_names = Names(), Names()
    for our_call, their_call in zip(ours, theirs, strict=True):
        assert our_call["name"] == their_call["name"], "both were made in the same order"
        mine = [hidden(our_names, one) for one in our_call["exchanges"]]
        other = [hidden(their_names, one) for one in their_call["exchanges"]]
        lines = []
        if our_call["outcome"] != their_call["outcome"]:
            lines.append(f"the client saw {our_call['outcome']}, not {their_call['outcome']}")
        if len(mine) != len(other):
            lines.append(f"{len(mine)} requests were made, not {len(other)}")
        for a, b in zip(mine, other, strict=False):
            lines += differences_of(a, b)
        found[our_call["name"]] = lines
    return found


def differences_of(ours: Exchange, theirs: Exchange) -> list[str]:
    at = f"{ours.method} {ours.path.rpartition('/mlflow/')[2]}"
    lines = []
    if ours.status != theirs.status:
        lines.append(f"{at}: status {ours.status}, theirs is {theirs.status}")
    return lines + [f"{at} {line}" for line in differences(ours.answer, theirs.answer)]


def render(found: Mapping[str, list[str]], version: str) -> str:
    """The report, in Markdown."""
    differing = {name: lines for name, lines in found.items() if lines}
    intended = [name for name in differing if name in INTENDED]
    surprises = [name for name in differing if name not in INTENDED]
    agreeing = len(found) - len(differing)
    today = dt.datetime.now(tz=dt.UTC).date()
    count = f"**{agreeing} of {len(found)} calls agree**"
    how = (
        f"`make bench-mlflow-differential`, {today}: an unmodified mlflow {version} client makes "
        "the same calls, successes and errors, to `mlflow server` (SQLite) and to Sightloop, both "
        "empty. Compared is every answer on the wire: status, error code, shape and values, with "
        "ids, times and page tokens replaced by names. The words of an error are each server's own."
    )
    lines = [
        "# Sightloop beside MLflow's own server",
        "",
        f"{count}, {len(intended)} differ on purpose, {len(surprises)} otherwise.",
        "",
        how,
        "",
        "## Intended differences",
        "",
        *(f"- *{name}*: {INTENDED[name]}." for name in intended),
        "",
    ]
    if surprises:
        lines += ["## Other differences", ""]
        for name in surprises:
            lines += [f"- *{name}*", *(f"    - `{line[:200]}`" for line in differing[name][:6])]
        lines.append("")
    lines += ["## All calls", "", *(f"- {mark(found[name])} {name}" for name in found), ""]
    return "\n".join(lines)


def mark(lines: list[str]) -> str:
    return "differs:" if lines else "agrees:"


def golden_of(theirs: list[Any]) -> str:
    """What MLflow's server answered to each request, one line a request."""
    names = Names()
    rows = []
    for call in theirs:
        for at, one in enumerate(call["exchanges"]):
            shown = hidden(names, one)
            row = json.dumps({"call": call["name"], "request": at, **shown._asdict()})
            if len(row) <= MAX_GOLDEN_CHARACTERS and ".." not in shown.path:
                rows.append(row)
    return "[\n" + ",\n".join(rows) + "\n]\n"


def make_calls(
    tools: Path, url: str, output: Path, environment: Mapping[str, str]
) -> list[dict[str, Any]]:
    command = [str(tools / "python"), "-W", "ignore", str(CALLS), url, str(output)]
    # Elsewhere than in bench/, so that nothing there is taken for a module.
    subprocess.run(command, check=True, env={**os.environ, **environment}, cwd=output.parent)
    calls: list[dict[str, Any]] = json.loads(output.read_text())
    return calls


def version_of(tools: Path) -> str:
    code = "from importlib.metadata import version; print(version('mlflow'))"
    found = subprocess.run(
        [str(tools / "python"), "-c", code], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), is_recording="--record" in sys.argv))
