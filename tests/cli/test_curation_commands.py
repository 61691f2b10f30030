"""Look-alikes, leaks and suspects at the terminal, for people and as JSON."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sightloop.cli.main import app
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.values import (
    ClassId,
    LabelledObject,
    Sample,
    Split,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace

DENT, SCRATCH = ClassId("dent"), ClassId("scratch")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images in train, a re-encoded copy of the first in test, labelled as two things."""
    opened = create_workspace(tmp_path / "plant", {})
    samples = [
        sample(opened, 0, "train", quality=95),
        sample(opened, 1, "train", quality=95),
        sample(opened, 0, "test", quality=60, classes=[DENT, SCRATCH]),
    ]
    request = CommitSamples(
        branch="main", message="plant", upserts=samples, new_classes=["dent", "scratch"]
    )
    commit_samples(opened, LOCAL_CALL, request)
    opened.db.close()
    return tmp_path / "plant"


def sample(workspace: Workspace, seed: int, split: Split, *, quality: int, **fields: Any) -> Sample:
    rng = np.random.default_rng(seed)
    drawn = cv2.resize(rng.integers(0, 255, (6, 8), dtype=np.uint8), (320, 240))
    content = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    image = workspace.blobs.put(content)
    identity = sample_id(image, None)
    found = [LabelledObject(one, BoxPx(20, 30, 80, 90), {}) for one in fields.get("classes", [])]
    return Sample(
        id=identity,
        image=image,
        width_px=320,
        height_px=240,
        media_type="image/jpeg",
        file_name=f"{seed}-{split}.jpg",
        split_key=f"{seed}-{split}",
        reserved=split,
        annotations=imported_annotations(identity, found),
    )


def run(root: Path, *arguments: str):
    return CliRunner().invoke(app, ["data", *arguments, "--workspace", str(root)])


def told(root: Path, *arguments: str) -> Any:
    return json.loads(run(root, *arguments, "--json").stdout)


def test_a_leak_is_told_quarantined_and_lifted_again(root):
    (leak,) = told(root, "leaks")["leaks"]
    assert leak["held_out"]["file_name"] == "0-test.jpg"
    assert told(root, "leaks", "--quarantine")["n_changed"] == 1
    assert told(root, "leaks")["n_leaks"] == 0
    assert told(root, "leaks", "--lift", leak["held_out"]["sample"])["n_changed"] == 1
    assert told(root, "leaks")["n_accepted"] == 1


def test_repeating_a_quarantine_says_that_nothing_is_to_be_done(root):
    run(root, "leaks", "--quarantine")
    assert "nothing to change" in run(root, "leaks", "--quarantine").stdout


def test_lists_are_printed_for_people_too(root):
    assert "0-test.jpg" in run(root, "leaks").stdout
    assert "near" in run(root, "duplicates").stdout
    assert "two classes 1" in run(root, "suspects").stdout


def test_a_list_without_anything_says_so(root):
    run(root, "leaks", "--quarantine")
    assert "nothing leaks" in run(root, "leaks").stdout
    assert "no image looks like another" in run(root, "duplicates", "--kind", "same").stdout
    assert "no label stands out" in run(root, "suspects", "--rule", "double").stdout


def test_a_rule_that_does_not_exist_is_refused_with_those_that_do(root):
    refused = run(root, "suspects", "--rule", "odd")
    assert refused.exit_code == 1
    assert "DATA-011" in refused.output
    assert "sliver" in refused.output


def test_marked_samples_are_found_by_their_tag(root):
    identity = told(root, "suspects")["suspects"][0]["sample"]["sample"]
    assert told(root, "mark", identity)["n_changed"] == 1
    assert told(root, "samples", "--tag", "review")["total"] == 1
    assert told(root, "mark", identity, "--quarantine")["n_changed"] == 1
    assert told(root, "samples", "--split", "quarantined")["total"] == 1


def test_statistics_count_every_class_by_split_and_tell_sizes_and_sources(root):
    counted = told(root, "stats")["statistics"]
    by_split = next(one for one in counted["class_tables"] if one["field"] == "split")
    assert (by_split["values"], by_split["boxes"]) == (["test"], [[1], [1]])
    assert counted["sources"] == [["import", 2, 0]]
    assert counted["image_sizes"] == [["320 x 240", 3, 2]]
    assert "class by split" in run(root, "stats").stdout
