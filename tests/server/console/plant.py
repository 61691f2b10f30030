"""A plant whose model went from one version to a better one, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sightloop.datasets.splits import SplitRule
from sightloop.evaluation.gate import GateRules
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.gating import GateVersion, gate_version
from sightloop.registry.origins import PackageRun
from sightloop.registry.packaging import package_run
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.testing.blob_commits import CLASSES, commit_blobs
from sightloop.testing.models import DEFAULT_LEVEL, PALE, SENSITIVE_LEVEL, write_blob_model
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import record_artifact
from sightloop.tracking.points import add_points
from sightloop.tracking.values import CodeState, MetricPoint, RunId, RunInputs
from sightloop.wiring import create_workspace, open_workspace
from tests.server.console.conftest import WIDTHS, findings

MODEL = "blobs"
RULE = SplitRule(train=0.2, val=0.4, test=0.4)
EASY = GateRules(min_parity=None, max_latency_ratio=None, min_images=5, min_objects=5)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63"
    "6460f85f0f0002870180eb47ba920000000049454e44ae426082"
)


def make_run(
    workspace: Workspace,
    run: str,
    *,
    commit: Digest,
    level: float = DEFAULT_LEVEL,
    experiment: str = MODEL,
    name: str = "",
    parameters: dict[str, str] | None = None,
    metrics: dict[str, list[float]] | None = None,
    files: dict[str, bytes] | None = None,
    is_running: bool = False,
    classes: Sequence[str] = CLASSES,
) -> str:
    """A recorded run of the toy engine with the model file of that level."""
    model_file = workspace.root / "model.onnx"
    write_blob_model(model_file, classes=classes, size_px=64, threshold_level=level)
    contents = {"model.onnx": model_file.read_bytes(), **(files or {})}
    with workspace.blobs.batch() as batch:
        digests = {file: batch.put(content) for file, content in contents.items()}
        environment = batch.put(b"{}")
    inputs = RunInputs(
        dataset_commit=commit,
        code=CodeState(commit="c0de", patch=None, dirty=False),
        parameters={"epochs": "3", **(parameters or {})},
        engine="toy",
        engine_version="1.0",
        environment=environment,
        seed=0,
        threads=1,
        hardware="a test machine",
    )
    points = [
        MetricPoint(key=key, value=value, step=step, at_ms=step)
        for key, values in (metrics or {}).items()
        for step, value in enumerate(values)
    ]
    now_ms = workspace.clock.now_ms()
    with workspace.db.points.write() as tx:
        add_points(tx, run, points)
    with workspace.db.write() as tx:
        tracking.start_run(
            tx, RunId(run), experiment=experiment, name=name or run, inputs=inputs, now_ms=now_ms
        )
        for file, digest in digests.items():
            size_bytes = len(contents[file])
            record_artifact(tx, run, file, digest=digest, size_bytes=size_bytes)
        if not is_running:
            tracking.finish_run(
                tx, run, state="finished", outputs={}, exit_reason="done", now_ms=now_ms + 5000
            )
    return run


def assert_open_to_everybody(tab: Any, path: str) -> None:
    """Nothing serious to be found by axe and nothing too wide, wide or narrow, light or dark."""
    tab.goto(path)
    tab.wait_for_load_state("networkidle")
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            assert findings(tab) == [], (scheme, width)
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plant: version 1 is champion, version 2 passed its gate and is not signed."""
    workspace = create_workspace(tmp_path_factory.mktemp("furnished") / "plant", {})
    commit_blobs(workspace, n_images=40, slices={"line": "a"}, split_rule=RULE)
    commit = commit_blobs(
        workspace, n_images=40, seed=1, style=PALE, slices={"line": "b"}, split_rule=None
    )
    for number, level in ((1, DEFAULT_LEVEL), (2, SENSITIVE_LEVEL)):
        make_run(
            workspace,
            f"run_{number}",
            commit=commit,
            level=level,
            parameters={"lr0": str(0.1 * number)},
            metrics={"metrics/mAP50": [0.1, 0.4, 0.3 * number], "val/loss": [3.0, 2.0, 1.0]},
            files={"results.png": PNG, "engine.log": b"epoch 1\repoch 2\nall done\n"},
        )
        package_run(workspace, LOCAL_CALL, PackageRun(model=MODEL, run=f"run_{number}"))
        asked = GateVersion(model=MODEL, number=number, commit="main", rules=EASY)
        gate_version(workspace, LOCAL_CALL, asked)
        if number == 1:
            sign_version(workspace, LOCAL_CALL, SignVersion(model=MODEL, number=1))
            request = SetAlias(model=MODEL, alias="champion", number=1)
            set_alias(workspace, LOCAL_CALL, request)
    workspace.db.close()
    return workspace.root


@pytest.fixture
def workspace(furnished: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of it."""
    shutil.copytree(furnished, tmp_path / "plant")
    opened = open_workspace(tmp_path / "plant", {})
    yield opened
    opened.db.close()
