"""How fast and how true each way to run YOLO26n is: `python bench/runtimes.py [ROUNDS] [IMAGES]`.

The starter weights of the engine are exported at 320 px by the engine's own process, packaged on
IMAGES drawn scenes (240) that they never saw, and every build is put before its gate. Then the
device's own `tune` measures each build with one and with two threads, in ROUNDS (7) interleaved
rounds of processes of their own, a second each; only ratios of medians of one run count, for the
machine may be shared. Prints tables in Markdown. Needs torch, openvino and onnx. Offline.
"""

from __future__ import annotations

import platform
import random
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from sightloop.contracts.gated_builds import GatedBundle
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.taxonomy import class_id_of
from sightloop.datasets.values import LabelledObject, Sample, imported_annotations, sample_id
from sightloop.device.bundle_files import file_path
from sightloop.device.settings import AgentSettings
from sightloop.device.state import AgentState, Installed, SlotMemory, StateFile
from sightloop.device.tune import TuneRequest, TuneResult, tune
from sightloop.evaluation.gate import RuleVerdict
from sightloop.evaluation.services import read_bundle
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.workspace import Workspace
from sightloop.registry.build_gating import GateBuilds, judge_builds
from sightloop.registry.build_verdicts import BuildVerdict
from sightloop.registry.origins import PackageRun
from sightloop.registry.packaging import package_run
from sightloop.registry.values import ModelVersion
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import record_artifact
from sightloop.tracking.labels import add_params
from sightloop.tracking.values import RunId
from sightloop_ultralytics import starter
from sightloop_ultralytics.starter.scenes import CLASSES, draw_scene

SIZE_PX = 320
SEED = 77
"""Not one of those the starter was trained or validated on."""


def main(n_rounds: int = 7, n_images: int = 240) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        workspace = fresh_workspace(root / "work", clock=SystemClock())
        commit_scenes(workspace, n_images)
        made = package_starter(workspace)
        verdicts = judge_builds(
            workspace, LOCAL_CALL, GateBuilds(model="starter", number=1), words=lambda *_: []
        )
        print_verdicts(verdicts)
        home = install(workspace, made, verdicts, root / "home")
        request = TuneRequest(threads=[1, 2], rounds=n_rounds, seconds=1.0)
        settings = AgentSettings(home=str(home))
        result = tune(home, settings, request, clock=SystemClock(), rng=random.Random(0))
        print_speeds(result)


def commit_scenes(workspace: Workspace, n_images: int) -> None:
    """Drawn scenes with their marks, one in ten to learn from and the rest unseen."""
    samples = []
    with workspace.blobs.batch() as batch:
        for index in range(n_images):
            picture, marks = draw_scene(np.random.default_rng([SEED, index]), SIZE_PX)
            image = batch.put(
                cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            )
            name = sample_id(image, None)
            objects = [
                LabelledObject(
                    class_id_of(CLASSES[one.class_index]), BoxPx(one.x1, one.y1, one.x2, one.y2), {}
                )
                for one in marks
            ]
            samples.append(
                Sample(
                    id=name, image=image, width_px=SIZE_PX, height_px=SIZE_PX,
                    media_type="image/jpeg", file_name=f"{index}.jpg", split_key=f"{index}",
                    slices={}, labelled_for=[class_id_of(one) for one in CLASSES],
                    annotations=imported_annotations(name, objects),
                )
            )  # fmt: skip
    rule = SplitRule(train=0.1, val=0.3, test=0.6)
    commit_samples(
        workspace,
        LOCAL_CALL,
        CommitSamples(
            branch="main", message="scenes", upserts=samples, new_classes=[*CLASSES],
            split_rule=rule,
        ),
    )  # fmt: skip


def package_starter(workspace: Workspace) -> ModelVersion:
    """The starter weights as a run that somebody tracked, packaged at 320 px."""
    checkpoint = (Path(starter.__file__).parent / "starter.pt").read_bytes()
    weights = workspace.blobs.put(checkpoint)
    with workspace.db.write() as tx:
        tracking.start_run(
            tx, RunId("run_1"), experiment="starter", name="x", inputs=None, now_ms=1
        )
        add_params(tx, "run_1", {"imgsz": str(SIZE_PX), "nms": "False"})
        name = "weights/best.pt"
        record_artifact(tx, "run_1", name, digest=weights, size_bytes=len(checkpoint))
        tracking.finish_run(tx, "run_1", state="finished", outputs={}, exit_reason="", now_ms=2)
    return package_run(workspace, LOCAL_CALL, PackageRun(run="run_1", data="main"))


def install(
    workspace: Workspace, made: ModelVersion, verdicts: list[BuildVerdict], home: Path
) -> Path:
    """A device's home that runs the version, and knows which builds passed."""
    manifest = read_bundle(workspace, made.bundle)
    folder = home / "bundles" / made.bundle.removeprefix("sha256:")
    for one in manifest.files:
        path = file_path(folder, one.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(workspace.blobs.read(one.digest))
    (folder / "bundle.json").write_bytes(workspace.blobs.read(made.bundle))
    passed = [one.build for one in verdicts if one.verdict.outcome == "pass"]
    state = AgentState(
        slots={
            "main": SlotMemory(current=Installed(bundle=made.bundle, model="starter", version=1))
        },
        gated={"starter": [GatedBundle(bundle=made.bundle, version=1, builds=passed)]},
    )
    StateFile(home / "state.json").change(lambda _: state)
    return home


def print_verdicts(verdicts: list[BuildVerdict]) -> None:
    """What the gate said of each build."""
    print("\n| build | gate | loss of AP50 | agreement | why |\n|---|---|---:|---:|---|")
    for one in verdicts:
        rules = {rule.rule: rule for rule in one.verdict.rules}
        values = [_value(rules["loss"]), _value(rules["agreement"])]
        reasons = " ".join(rule.reason for rule in rules.values())
        print(
            f"| {one.runtime} {one.precision} | {one.verdict.outcome} | "
            f"{' | '.join(values)} | {reasons} |"
        )


def print_speeds(result: TuneResult) -> None:
    """Medians, and each relative to ONNX Runtime with fp32 and as many threads, same run."""
    names = ", ".join(
        f"{name} {version(name)}" for name in ("onnxruntime", "openvino", "ultralytics")
    )
    print(f"\n{platform.machine()}, Python {platform.python_version()}, {names}\n")
    print("| runtime | precision | threads | p50 ms | p99 ms | against fp32 | MB | standing |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    plain = {
        one.threads: one.p50_ms
        for one in result.candidates
        if (one.runtime, one.precision) == ("onnxruntime", "fp32")
    }
    for one in sorted(result.candidates, key=lambda one: (one.threads, one.p50_ms)):
        if one.problem:
            print(f"| {one.runtime} | {one.precision} | {one.threads} | | | | | {one.problem} |")
            continue
        standing = one.golden_problem or ("gated" if one.is_gated else "candidate")
        standing += ", chosen" if one.is_chosen else ""
        ratio = one.p50_ms / plain[one.threads]
        print(
            f"| {one.runtime} | {one.precision} | {one.threads} | {one.p50_ms:.1f} | "
            f"{one.p99_ms:.1f} | {ratio:.2f} | {one.resident_bytes >> 20} | {standing} |"
        )


def _value(rule: RuleVerdict) -> str:
    return "-" if rule.value is None else f"{rule.value:.3f}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
