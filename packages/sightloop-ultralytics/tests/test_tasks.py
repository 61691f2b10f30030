"""A tracked run of every task becomes a version that devices serve, through the real engine.

The checkpoints have strewn weights, which find much and nothing true: what is asked is that the
exported file, the checkpoint, the golden images and the device all find the same.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from urllib3.exceptions import HTTPError

from sightloop.contracts.bundle import Bundle, Task
from sightloop.datasets.splits import SplitRule
from sightloop.evaluation.gate import GateRules, RuleVerdict
from sightloop.evaluation.services import read_bundle
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.kernel.workspace import Workspace
from sightloop.registry.gating import GateVersion, gate_version
from sightloop.registry.origins import PackageRun
from sightloop.registry.packaging import package_run
from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.blob_commits import CLASSES, commit_blobs
from sightloop.testing.bundles import ToyBundle
from sightloop.testing.control_plane import ENROL_TOKEN, running_control_plane
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import record_artifact
from sightloop.tracking.labels import add_params
from sightloop.tracking.values import RunId

pytestmark = [pytest.mark.torch, pytest.mark.processes]

TASKS: tuple[Task, ...] = ("segment", "pose", "obb", "classify")
KEYS = {"segment": "mask", "pose": "keypoints_px", "obb": "oriented_box"}
"""What an object in the answer of `POST /predict` has beside its box."""
LENIENT = GateRules(min_ap50=0.0, min_images=1, min_objects=1, max_latency_ratio=None)

_STREWN = """
import sys
from pathlib import Path
import torch
from ultralytics import YOLO
from ultralytics.utils import ROOT

files = {"segment": "seg", "pose": "pose", "obb": "obb", "classify": "cls"}
for task, short in files.items():
    text = (ROOT / f"cfg/models/26/yolo26-{short}.yaml").read_text()
    for known in ("nc: 80", "nc: 1000"):
        text = text.replace(known, "nc: 2")
    path = Path(sys.argv[1]) / f"yolo26n-{short}.yaml"
    path.write_text(text.replace("kpt_shape: [17, 3]", "kpt_shape: [5, 3]"))
    torch.manual_seed(0)
    model = YOLO(path)
    model.model.names = {0: "scratch", 1: "dent"}
    with torch.no_grad():
        for name, weights in model.model.named_parameters():
            if "cv3" in name and name.endswith("bias"):
                weights += 4
            elif weights.ndim == 4:
                weights += weights.std() * torch.randn_like(weights)
    model.save(str(Path(sys.argv[1]) / f"{task}.pt"))
"""


class Packaged(NamedTuple):
    """A version of a task, as a device gets it, and what the gate said of its parity."""

    bundle: ToyBundle
    parity: RuleVerdict


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Task, Packaged]]:
    folder = tmp_path_factory.mktemp("tasks")
    subprocess.run([sys.executable, "-c", _STREWN, str(folder)], check=True, timeout=120)
    config = Config(training=TrainingConfig(threads=1))
    workspace = fresh_workspace(folder / "work", config=config, clock=SystemClock())
    commit_blobs(workspace, n_images=16, split_rule=SplitRule(train=0.2, val=0.4, test=0.4))
    yield {task: _package(workspace, task, folder / f"{task}.pt") for task in TASKS}
    workspace.db.close()


def _package(workspace: Workspace, task: Task, checkpoint: Path) -> Packaged:
    _track(workspace, task, checkpoint.read_bytes())
    version = package_run(workspace, LOCAL_CALL, PackageRun(run=f"run_{task}", data="main"))
    verdict = gate_version(
        workspace,
        LOCAL_CALL,
        GateVersion(model=task, number=version.number, commit="main", rules=LENIENT),
    ).verdict
    manifest = read_bundle(workspace, version.bundle)
    (parity,) = [rule for rule in verdict.rules if rule.rule == "parity"]
    files = {one.name: workspace.blobs.read(one.digest) for one in manifest.files}
    return Packaged(ToyBundle(manifest, files), parity)


def _track(workspace: Workspace, task: Task, checkpoint: bytes) -> None:
    """A finished run, as somebody's own program tracked it."""
    run, name = f"run_{task}", "weights/best.pt"
    weights = workspace.blobs.put(checkpoint)
    with workspace.db.write() as tx:
        tracking.start_run(tx, RunId(run), experiment=task, name="v1", inputs=None, now_ms=1)
        add_params(tx, run, {"imgsz": "64", "task": task})
        record_artifact(tx, run, name, digest=weights, size_bytes=len(checkpoint))
        tracking.finish_run(tx, run, state="finished", outputs={}, exit_reason="done", now_ms=2)


@pytest.mark.parametrize("task", TASKS)
def test_the_exported_file_answers_as_its_checkpoint(packaged, task):
    parity = packaged[task].parity
    assert parity.outcome == "pass", parity.reason


@pytest.mark.parametrize("task", TASKS)
def test_a_version_of_the_task_promises_golden_answers_of_it(packaged, task):
    manifest: Bundle = packaged[task].bundle.manifest
    assert (manifest.task, manifest.class_names) == (task, [*CLASSES])
    assert manifest.golden
    if task == "classify":
        assert all(len(one.probabilities) == len(CLASSES) for one in manifest.golden)
    else:
        assert all(len(one.shapes) == len(one.detections) for one in manifest.golden)


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, packaged: dict[Task, Packaged]
) -> Iterator[AgentProcess]:
    """One device with a slot for each task: it serves once every golden image is reproduced."""
    folder = tmp_path_factory.mktemp("agent")
    with running_control_plane([*packaged]) as plane:
        flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN]
        for task, one in packaged.items():
            plane.add(one.bundle)
            plane.assign(one.bundle, version=1, slot=task)
            flags += ["--stream", f"{task}:{task}"]
        agent = AgentProcess(folder / "home", *flags)
        agent.start()
        wait_until(lambda: _serves_all(agent), f"every slot serves; see {agent.log}")
        yield agent
        agent.kill()


def _serves_all(agent: AgentProcess) -> bool:
    try:
        return all(one.report.golden_passed for one in agent.status().slots)
    except HTTPError:  # nothing listens yet
        return False


@pytest.fixture
def image(packaged: dict[Task, Packaged]) -> bytes:
    """A golden image."""
    bundle = packaged["segment"].bundle
    return bundle.files[bundle.manifest.golden[0].file]


@pytest.mark.parametrize("task", TASKS)
def test_a_device_answers_with_what_the_task_knows(serving, image, task):
    answer = serving.predict(image, f"?stream={task}")
    reply = json.loads(answer.body)
    assert (answer.status, reply["task"]) == (200, task)
    if task == "classify":
        assert sum(one["probability"] for one in reply["probabilities"]) == pytest.approx(
            1, abs=1e-3
        )
    else:
        assert all(one[KEYS[task]] for one in reply["detections"])


@pytest.mark.parametrize("task", TASKS)
def test_a_device_draws_its_answer(serving, image, task):
    answer = serving.predict(image, f"?stream={task}&drawn=1")
    drawn, plain = (
        cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR).astype(int)
        for one in (answer.body, image)
    )
    assert (answer.status, drawn.shape) == (200, plain.shape)
