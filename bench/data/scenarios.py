"""The numbers of the issue, one function each: what is done, by whom, how often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from bench.data import boxes, generate, remotes
from bench.data.measure import run
from bench.data.results import Notes
from bench.data.sets import FileSet, Plan
from bench.data.tools import AFTER, BEFORE, DATA, Sightloop, SightloopInside, Tool

N_LABELS = 100
ROUNDS = 3
MACHINE = "the machine"
"""Who does what no tool can do faster: copying and hashing the files."""


class Stage(NamedTuple):
    """What scenarios play on."""

    plan: Plan
    scratch: Path
    peers: Path
    small: FileSet
    large: FileSet


def import_small(stage: Stage, notes: Notes) -> None:
    _import(stage.small, notes, "small")


def import_large(stage: Stage, notes: Notes) -> None:
    _import(stage.large, notes, "large")


def _import(files: FileSet, notes: Notes, which: str) -> None:
    files.write()
    number = f"import {which}"
    tools: list[Tool] = [files.sightloop, files.dvc, files.oxen]
    for at in range(max(map(files.rounds, tools))):
        copy = run(["cp", "-r", files.source, files.folder / f"copy{at}"], cwd=files.folder)
        notes.cost(f"copy {which}", MACHINE, copy.cost)
        hashing = "find source -type f -print0 | xargs -0 -n 500 -P 2 sha256sum > /dev/null"
        notes.cost(f"hash {which}", MACHINE, run(["sh", "-c", hashing], cwd=files.folder).cost)
        for tool in tools:
            if at < files.rounds(tool):
                files.take(tool, notes, number)


def status_small(stage: Stage, notes: Notes) -> None:
    _status(stage.small, notes, "small")


def status_large(stage: Stage, notes: Notes) -> None:
    _status(stage.large, notes, "large")


def _status(files: FileSet, notes: Notes, which: str) -> None:
    for tool in files.tools:
        files.make_ready(tool).status()  # the first one after an import may tidy up
    for _ in range(ROUNDS):
        for tool in files.tools:
            notes.cost(f"status {which}", tool.name, tool.status())


def add_small(stage: Stage, notes: Notes) -> None:
    """A commit after ten new files among all those that are there."""
    files = stage.small
    for _ in range(ROUNDS):
        for tool in files.tools:
            files.make_ready(tool)
            files.add_files(tool)
            notes.cost("add small", tool.name, tool.take_more())


def switch_large(stage: Stage, notes: Notes) -> None:
    """Between two commits with other bytes in one file of a hundred, there and back; and a diff."""
    files = stage.large
    tools: list[Tool] = [files.sightloop, files.dvc, files.oxen]
    for tool in tools:
        files.make_ready(tool)
        tool.branch(BEFORE)
        tool.branch(AFTER)
        files.change_files(tool)
        tool.take_more()
        tool.switch(BEFORE)
    for name in (AFTER, BEFORE, AFTER, BEFORE):
        for tool in tools:
            notes.cost("switch large", tool.name, tool.switch(name))
    for name in (AFTER, BEFORE, AFTER, BEFORE):  # our other way into the same folder
        notes.cost("switch large", files.inside.name, files.inside.switch(name))
    for _ in range(ROUNDS):
        for tool in files.tools:
            notes.cost("diff large", tool.name, tool.diff())


def labels_large(stage: Stage, notes: Notes) -> None:
    """A hundred changed labels among all samples: as rows, as files, as one file."""
    files = stage.large
    ours, inside, dvc, oxen = files.sightloop, files.inside, files.dvc, files.oxen
    for tool in (ours, dvc, oxen):
        files.make_ready(tool)
    _label_rows(files)
    copy = ours.root / "labelled"
    ours.data_command("checkout", "labels", copy)
    generate.write_labels(dvc.root / "labels", range(files.n))
    dvc.add("labels")
    for tool in (dvc, oxen):
        (tool.root / "coco").mkdir(exist_ok=True)
        generate.write_coco(tool.root / "coco", files.n)
    dvc.add("coco")
    oxen.operation("take", "coco")
    step = max(files.n // N_LABELS, 1)
    for at in range(1, ROUNDS + 1):
        rows = inside.inside("relabel", "rows", str(N_LABELS), str(at))
        notes.cost("labels rows", inside.name, rows)
        _move_boxes(copy, N_LABELS, at)
        command = ours.data_command("commit", copy, "-m", "labels").cost
        notes.cost("labels files", ours.name, command)
        generate.write_labels(dvc.root / "labels", range(0, files.n, step), shift_px=at)
        notes.cost("labels files", dvc.name, dvc.add("labels"))
        for tool in (dvc, oxen):
            _move_coco_boxes(tool.root / "coco" / "annotations.json", N_LABELS, at)
        notes.cost("labels one file", dvc.name, dvc.add("coco"))
        notes.cost("labels one file", oxen.name, oxen.operation("take", "coco"))


def _label_rows(files: FileSet) -> None:
    """A branch with boxes on every sample, and another that the rows are changed on."""
    log = files.sightloop.data_command("log", "--limit", "1").output
    files.sightloop.data_command("branch", "labels", "--at", json.loads(log)[0]["commit"])
    files.inside.prepare("label", "labels")
    files.sightloop.data_command("branch", "rows", "--at", "labels")


def _move_boxes(copy: Path, n: int, by_px: int) -> None:
    """Move the first box in some of the label files of a checkout."""
    paths = sorted((copy / "labels").rglob("*.json"))
    for path in paths[:: max(len(paths) // n, 1)][:n]:
        labels = json.loads(path.read_text())
        kind, x1, y1, x2, y2 = labels["annotations"][0]["geometry"]
        labels["annotations"][0]["geometry"] = [kind, x1 + by_px, y1, x2 + by_px, y2]
        path.write_text(json.dumps(labels))


def _move_coco_boxes(path: Path, n: int, by_px: int) -> None:
    coco = json.loads(path.read_text())
    found = coco["annotations"]
    for one in found[:: max(len(found) // n, 1)][:n]:
        one["bbox"][0] += by_px
    path.write_text(json.dumps(coco))


def boxes_of_all(stage: Stage, notes: Notes) -> None:
    """Diff and merge on the level of boxes, which no file tool has."""
    boxes.play(stage.plan, stage.scratch, notes)


def remote_small(stage: Stage, notes: Notes) -> None:
    """Push and partial pull over S3."""
    remotes.play(stage.plan, stage.scratch, stage.peers, notes)


def million(stage: Stage, notes: Notes) -> None:
    """Ten thousand, a hundred thousand, a million samples: does anything grow faster?"""
    for n in stage.plan.sizes:
        root = stage.scratch / f"million-{n}"
        print(f"  writing {n:,} files of 65 bytes", flush=True)
        generate.write_images(root / DATA / "images", range(n), 65, make=generate.png, ending="png")
        generate.write_coco(root / DATA, n, n_boxes=1, ending="png")
        _play_size(Sightloop(root), SightloopInside(root), notes, n)


def _play_size(ours: Sightloop, inside: SightloopInside, notes: Notes, n: int) -> None:
    ours.begin_anew()
    notes.cost(f"import of {n}", ours.name, ours.take())
    notes.cost(f"status of {n}", ours.name, ours.status())
    ours.data_command("branch", BEFORE)
    ours.data_command("branch", AFTER)
    notes.cost(f"commit in {n}", inside.name, inside.inside("relabel", AFTER, "100", "1"))
    notes.cost(f"diff in {n}", ours.name, ours.diff())
    sparse = ours.data_command("checkout", AFTER, ours.root / "sparse", "--class", generate.RARE)
    notes.cost(f"sparse checkout of {n}", ours.name, sparse.cost)
