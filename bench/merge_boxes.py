"""Diff and merge of 1,000,000 boxes: `python bench/merge_boxes.py [SAMPLES] [BOXES] [EDITS]`.

Makes a commit of 100,000 samples with 10 boxes each (rows only: they share one blob), edits 1,000
boxes on each of two branches, plants contradictions among them, and then measures diff, merge with
conflicts, and the merge that is committed. Fails when one planted conflict is missed, one too many
is reported, or an edit is lost. Each step starts from caches as cold as a new process has them,
except for those of the operating system. Offline; most of its minute goes into the first commit.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from sightloop.datasets import comparing
from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.comparing import CommitDiff, DiffCommits, diff_commits
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.merges import list_merges
from sightloop.datasets.merging import MergeBranch, Merged, merge_branch
from sightloop.datasets.samples import find_samples
from sightloop.datasets.values import (
    Annotation,
    Capture,
    ClassId,
    LabelledObject,
    Sample,
    SampleId,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace

T = TypeVar("T")
N_CONFLICTS = 100
N_TRIES = 5
HERE, THERE = BoxPx(1, 1, 33, 33), BoxPx(700, 700, 733, 733)


def main() -> None:
    n_samples, n_boxes, n_edits = (
        int(sys.argv[at]) if len(sys.argv) > at else default
        for at, default in ((1, 100_000), (2, 10), (3, 1_000))
    )
    with tempfile.TemporaryDirectory() as folder:
        workspace = create_workspace(Path(folder) / "plant", {})
        edits = make_branches(workspace, n_samples, n_boxes, n_edits)
        print(f"{n_samples * n_boxes:,} boxes, {n_edits:,} edits on each side\n")
        print("| step | wall, ms | CPU, ms |\n|---|---|---|")
        diff = timed("diff", lambda: compare(workspace), before=forget)
        assert diff.summary is not None
        assert diff.summary.boxes["moved"] == n_edits, diff.summary
        merged = timed("merge, conflicts listed", lambda: merge(workspace))
        check_conflicts(workspace, merged, edits)
        merged = timed("merge and commit", lambda: merge(workspace, resolve="theirs"), n_tries=1)
        check_result(workspace, merged, edits)
        workspace.db.close()


class Edits(msgspec.Struct):
    """What each side did, and where the two contradict each other."""

    ours: dict[SampleId, Sample]
    theirs: dict[SampleId, Sample]
    planted: set[SampleId]


def make_branches(workspace: Workspace, n_samples: int, n_boxes: int, n_edits: int) -> Edits:
    image = workspace.blobs.put(b"one blob for all")
    samples = list(made_samples(image, n_samples, n_boxes))
    commit(workspace, "main", samples)
    for branch in ("ours", "theirs"):
        create_branch(workspace, LOCAL_CALL, CreateBranch(name=branch, at="main"))
    chosen = random.Random(2).sample(samples, 2 * n_edits - N_CONFLICTS)
    edits = Edits(
        {one.id: moved(one, HERE) for one in chosen[:n_edits]},
        {one.id: moved(one, THERE) for one in chosen[n_edits - N_CONFLICTS :]},
        {one.id for one in chosen[n_edits - N_CONFLICTS : n_edits]},
    )
    commit(workspace, "ours", list(edits.ours.values()))
    commit(workspace, "theirs", list(edits.theirs.values()))
    return edits


def made_samples(image: Digest, n_samples: int, n_boxes: int) -> Iterator[Sample]:
    rng = random.Random(1)
    for number in range(n_samples):
        capture = Capture("line", "cam", number)
        new_id = sample_id(image, capture)
        corners = [(rng.uniform(0, 600), rng.uniform(0, 600)) for _ in range(n_boxes)]
        found = [
            LabelledObject(ClassId("spot"), BoxPx(x, y, x + 32, y + 32), {}) for x, y in corners
        ]
        yield Sample(
            id=new_id,
            image=image,
            capture=capture,
            width_px=1000,
            height_px=1000,
            media_type="image/jpeg",
            file_name=f"{number}.jpg",
            split_key=f"board {number // 4}",
            annotations=imported_annotations(new_id, found),
        )


def moved(sample: Sample, to: BoxPx) -> Sample:
    first, *rest = sample.annotations
    boxes: list[Annotation] = [msgspec.structs.replace(first, geometry=to), *rest]
    return msgspec.structs.replace(sample, annotations=boxes)


def commit(workspace: Workspace, branch: str, samples: list[Sample]) -> None:
    request = CommitSamples(branch=branch, message="edit", upserts=samples, new_classes=["spot"])
    commit_samples(workspace, LOCAL_CALL, request)


def compare(workspace: Workspace) -> CommitDiff:
    return diff_commits(workspace, LOCAL_CALL, DiffCommits(before="main", after="ours"))


def merge(workspace: Workspace, **fields: str) -> Merged:
    request = msgspec.convert({"source": "theirs", "into": "ours", **fields}, MergeBranch)
    return merge_branch(workspace, LOCAL_CALL, request)


def forget() -> None:
    """A diff is remembered; here it is to be worked out."""
    comparing._COMPARISONS.forget()  # noqa: SLF001


def timed(
    what: str,
    step: Callable[[], T],
    *,
    before: Callable[[], None] = lambda: None,
    n_tries: int = N_TRIES,
) -> T:
    """Run the step some times, print the best, and return what it returned last."""
    walls, cpus = [], []
    for _ in range(n_tries):
        before()
        wall, cpu = time.perf_counter(), time.process_time()
        result = step()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"| {what} | {1000 * min(walls):.0f} | {1000 * min(cpus):.0f} |")
    return result


def check_conflicts(workspace: Workspace, merged: Merged, edits: Edits) -> None:
    with workspace.db.read() as tx:
        [waiting] = list_merges(tx)
    found = [one.sample for one in waiting.conflicts]
    assert merged.n_conflicts == len(found) == N_CONFLICTS, merged
    assert set(found) == edits.planted, "exactly the planted conflicts are found"


def check_result(workspace: Workspace, merged: Merged, edits: Edits) -> None:
    expected = {**edits.ours, **edits.theirs}
    assert find_samples(workspace, merged.commit, list(expected)) == expected, "no edit is lost"
    print(f"\n{N_CONFLICTS} of {N_CONFLICTS} planted conflicts found, none besides; no edit lost")


if __name__ == "__main__":
    main()
