"""What the run pages cost at 10,000 runs: `python bench/tracking_pages.py [N_RUNS] [FOLDER]`.

Makes a workspace of N runs with 100 parameters and 100 metrics each, twenty of them with curves of
100 metrics, and one run with 1,000,000 points in ten metrics and one with as many in a single one;
then asks for every page as a signed-in person does. Prints a table in Markdown; a folder that holds
the workspace already is measured as it is. `console_paint.py FOLDER/plant` then tells the first
paint of any page. Offline; making the workspace takes about a minute.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import cv2
import numpy as np
from litestar.testing import TestClient
from sqlalchemy import insert

from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.server.console.session import begin_session
from sightloop.tracking import tables
from sightloop.tracking.experiments import ensure_experiment
from sightloop.tracking.points import MetricColumns, add_columns
from sightloop.wiring import create_workspace, ensure_token, open_workspace

N_PARAMS = N_METRICS = 100
N_WITH_CURVES, N_STEPS = 20, 200
N_LONG = 1_000_000
N_TRIES = 9
EXPERIMENTS = ("plates", "welds", "labels", "caps")
PARAMS = ("lr0", "batch", "optimizer", "imgsz", "mosaic")
METRICS = ("metrics/mAP50", "metrics/mAP50-95", "train/box_loss", "val/box_loss")
IMAGES = ("confusion_matrix.png", "BoxPR_curve.png", "val_batch0_pred.jpg", "results.png")


def main() -> None:
    n_runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else made) / "plant"
        workspace = open_workspace(folder, {}) if folder.exists() else furnish(folder, n_runs)
        show_pages(workspace)
        workspace.db.close()


def furnish(folder: Path, n_runs: int) -> Workspace:
    """The workspace, written as the store writes it, in large batches."""
    workspace = create_workspace(folder, {})
    began = time.perf_counter()
    rng = np.random.default_rng(0)
    with workspace.db.write() as tx:
        numbers = [ensure_experiment(tx, name, now_ms=1) for name in EXPERIMENTS]
        for some in batches(n_runs):
            runs = [run_row(at, numbers) for at in some]
            tx.execute(insert(tables.runs), runs)
            tx.execute(insert(tables.params), [row for at in some for row in param_rows(at, rng)])
            tx.execute(insert(tables.tags), [row for at in some for row in tag_rows(at)])
    for some in batches(n_runs):
        rows = [row for at in some for row in metric_rows(at, rng)]
        with workspace.db.points.write() as tx:
            tx.execute(insert(tables.latest), rows)
            tx.execute(insert(tables.points), rows)
    add_curves(workspace, rng)
    add_pictures(workspace, rng)
    print(f"{n_runs:,} runs made in {time.perf_counter() - began:.0f} s\n")
    return workspace


def batches(n: int) -> Iterator[range]:
    return (range(at, min(at + 500, n)) for at in range(0, n, 500))


def run_id(at: int) -> str:
    return f"run_{at:022d}"


def run_row(at: int, numbers: list[int]) -> dict[str, Any]:
    state = ("running", "failed", "finished", "finished")[at % 4 if at % 40 else 0]
    state = "finished" if state == "running" and at % 40 else state
    began_ms = 1_790_000_000_000 + at * 60_000
    return {
        "id": run_id(at),
        "experiment": numbers[at % len(numbers)],
        "name": f"yolo26n-{at}",
        "user": ("ada", "grace", "linus")[at % 3],
        "state": state,
        "is_deleted": False,
        "inputs": None,
        "outputs": "{}",
        "attempts": 1,
        "started_at_ms": began_ms,
        "ended_at_ms": None if state == "running" else began_ms + 50_000 + at % 997 * 1000,
        "exit_reason": "out of memory" if state == "failed" else None,
    }


def param_rows(at: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    chosen = {
        "lr0": f"{10 ** rng.uniform(-4, -1):.5f}",
        "batch": str(8 * 2 ** (at % 4)),
        "optimizer": ("SGD", "AdamW", "MuSGD")[at % 3],
        "imgsz": str(320 + 160 * (at % 3)),
        "mosaic": f"{rng.uniform():.2f}",
    }
    chosen |= {f"setting_{i:02d}": str(i) for i in range(N_PARAMS - len(chosen))}
    return [{"run": run_id(at), "key": key, "value": value} for key, value in chosen.items()]


def tag_rows(at: int) -> list[dict[str, Any]]:
    tags = {"line": "ABC"[at % 3], "mlflow.user": "ada", "note": f"shift {at % 5}"}
    return [{"run": run_id(at), "key": key, "value": value} for key, value in tags.items()]


def metric_rows(at: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    keys = [*METRICS, *(f"layer/{i:02d}/norm" for i in range(N_METRICS - len(METRICS)))]
    values = rng.uniform(0, 1, len(keys)).tolist()
    facts = {"run": run_id(at), "step": 300, "at_ms": 1_790_000_000_000, "is_nan": False}
    return [facts | {"key": key, "value": value} for key, value in zip(keys, values, strict=True)]


def add_curves(workspace: Workspace, rng: np.random.Generator) -> None:
    keys = [row["key"] for row in metric_rows(0, rng)]
    for at in range(N_WITH_CURVES):
        with workspace.db.points.write() as tx:
            for key in keys:
                add_columns(tx, run_id(at), key, curve(N_STEPS, rng))
    for at, n_keys in ((N_WITH_CURVES, 10), (N_WITH_CURVES + 1, 1)):
        for number in range(n_keys):
            with workspace.db.points.write() as tx:
                key = f"long/{number}"
                add_columns(tx, run_id(at), key, curve(N_LONG // n_keys, rng))


def curve(n: int, rng: np.random.Generator) -> MetricColumns:
    steps = np.arange(n, dtype=np.int64)
    values = np.exp(-3 * steps / n) + rng.normal(0, 0.05, n)
    return MetricColumns(steps, 1_790_000_000_000 + steps * 100, values)


def add_pictures(workspace: Workspace, rng: np.random.Generator) -> None:
    with workspace.blobs.batch() as batch, workspace.db.write() as tx:
        for at in range(N_WITH_CURVES):
            for name in IMAGES:
                picture = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
                content = cv2.imencode(".png", cv2.resize(picture, (640, 480)))[1].tobytes()
                row = {"owner": run_id(at), "name": name, "digest": batch.put(content)}
                tx.execute(insert(tables.artifacts), row | {"size_bytes": len(content)})


def pages() -> list[tuple[str, str]]:
    """Names and addresses of what is asked for."""
    order, asked = (
        "-metrics.val/box_loss",
        "metrics.`metrics/mAP50` > 0.3 and params.optimizer = 'SGD'",
    )
    both = urlencode({"filter": asked, "sort": order})
    twenty = urlencode([("run", run_id(at)) for at in range(N_WITH_CURVES)])
    ten, one = (quote(run_id(N_WITH_CURVES + at)) for at in range(2))
    return [
        ("table, newest first", "/runs"),
        ("table, sorted by a metric", f"/runs?{urlencode({'sort': order})}"),
        ("table, filtered by two and sorted by a metric", f"/runs?{both}"),
        ("table of one experiment, sorted", f"/runs?experiment=plates&{both}"),
        ("run with 1,000,000 points of ten metrics", f"/runs/{ten}"),
        ("its charts", f"/runs/charts?run={ten}"),
        ("one curve of 1,000,000 points", f"/runs/curves?run={one}&key=long/0"),
        ("ten curves of 100,000 points", f"/runs/curves?run={ten}&{TEN_KEYS}"),
        ("compare of 20 runs", f"/runs/compare?{twenty}"),
        ("its charts (100 metrics)", f"/runs/charts?{twenty}&each=metric"),
        ("one metric of 20 runs", f"/runs/curves?{twenty}&key=val/box_loss"),
        ("files and images of a run", f"/runs/{run_id(0)}/files"),
    ]


TEN_KEYS = "&".join(f"key=long/{number}" for number in range(10))


def show_pages(workspace: Workspace) -> None:
    """How long the server takes for each page, the first time and afterwards."""
    with TestClient(build_app(workspace), base_url="http://testserver.local") as client:
        session = begin_session(workspace, ensure_token(workspace))
        client.cookies.set("sightloop_session", session)
        client.get("/loop")
        print("| page | first (ms) | median (ms) | best (ms) | size (kB) |")
        print("|---|---:|---:|---:|---:|")
        for name, address in pages():
            taken = [ask(client, address) for _ in range(N_TRIES)]
            size = len(client.get(address).content) / 1000
            cells = [taken[0], statistics.median(taken[1:]), min(taken)]
            shown = " | ".join(f"{seconds * 1000:.0f}" for seconds in cells)
            print(f"| {name} | {shown} | {size:.0f} |")


def ask(client: TestClient, address: str) -> float:
    """Seconds until the whole answer was there."""
    began = time.perf_counter()
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
