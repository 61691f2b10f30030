"""Branches, tags and merges from the command line, from the first branch to the merged commit."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sightloop.cli.main import app
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.values import LabelledObject, Sample, imported_annotations, sample_id
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace, open_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with one image on main."""
    workspace = create_workspace(tmp_path / "plant", {})
    picture = cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    image = workspace.blobs.put(picture)
    workspace.db.close()
    commit(tmp_path / "plant", image, "main", BoxPx(1, 1, 11, 11))
    return tmp_path / "plant"


def commit(root: Path, image, branch: str, box: BoxPx):
    workspace = open_workspace(root)
    new_id = sample_id(image, None)
    [annotation] = imported_annotations(new_id, [LabelledObject("spot", BoxPx(1, 1, 11, 11), {})])
    annotation = type(annotation)(
        id=annotation.id, class_id="spot", geometry=box, source="import", state="verified"
    )
    sample = Sample(
        id=new_id,
        image=image,
        width_px=60,
        height_px=40,
        media_type="image/png",
        file_name="a.png",
        split_key="a",
        annotations=[annotation],
    )
    request = CommitSamples(
        branch=branch, message=f"on {branch}", upserts=[sample], new_classes=["spot"]
    )
    commit_samples(workspace, LOCAL_CALL, request)
    workspace.db.close()
    return image


def run(root: Path, *arguments: str, code: int = 0):
    result = CliRunner().invoke(app, ["data", *arguments, "--workspace", str(root)])
    assert result.exit_code == code, result.output
    return result.output


def told(root: Path, *arguments: str, code: int = 0):
    return json.loads(run(root, *arguments, "--json", code=code))


@pytest.fixture
def contradiction(root: Path) -> Path:
    """The branch `theirs`, on which the box is elsewhere than on main."""
    run(root, "branch", "theirs")
    image = told(root, "samples")["samples"][0]["sample"]["image"]
    commit(root, image, "main", BoxPx(1, 1, 21, 11))
    commit(root, image, "theirs", BoxPx(1, 1, 11, 21))
    return root


def box_on_main(root: Path):
    return told(root, "samples")["samples"][0]["sample"]["annotations"][0]["geometry"]


def test_names_come_and_go(root: Path):
    run(root, "branch", "side")
    run(root, "branch", "--move", "side", "aside")
    run(root, "tag", "v1", "aside")
    assert [one["name"] for one in told(root, "branch")] == ["aside", "main"]
    assert [one["name"] for one in told(root, "tag")] == ["v1"]
    assert "sightloop data branch aside --at" in run(root, "branch", "--delete", "aside")
    assert "sightloop data tag v1" in run(root, "tag", "--delete", "v1")
    assert "no tag yet" in run(root, "tag")
    assert told(root, "reflog", "aside")[0]["new"] is None
    assert told(root, "show", "main~1", code=1)["error"]["code"] == "DATA-048"


def test_a_contradiction_is_listed_settled_by_hand_and_committed(contradiction: Path):
    merge = told(contradiction, "merge", "theirs", code=1)["merge"]
    assert "both moved" in run(contradiction, "conflicts")
    listed = told(contradiction, "conflicts", merge)["conflicts"]
    assert [one["conflict"]["kind"] for one in listed] == ["both moved"]
    assert told(contradiction, "merge", "--continue", code=1)["error"]["code"] == "DATA-042"
    run(contradiction, "resolve", "1", "--merge", merge, "--box", "2,2,30,30")
    assert "merged" in run(contradiction, "merge", "--continue", "-m", "agreed")
    assert told(contradiction, "log")[0]["message"] == "agreed"
    assert box_on_main(contradiction) == ["box", 2.0, 2.0, 30.0, 30.0]
    assert "merge of" in run(contradiction, "log")
    assert "no merge is open" in run(contradiction, "conflicts")


def test_a_side_can_be_right_about_everything(contradiction: Path):
    run(contradiction, "merge", "theirs", "--resolve", "theirs", "-m", "trust them")
    assert box_on_main(contradiction) == ["box", 1.0, 1.0, 11.0, 21.0]
    assert told(contradiction, "log")[0]["message"] == "trust them"


def test_a_merge_can_be_given_up(contradiction: Path):
    assert "nothing moved" in run(contradiction, "merge", "theirs", code=1)
    assert "main is where it was" in run(contradiction, "merge", "--abort")
    assert told(contradiction, "merge", "--abort", code=1)["error"]["code"] == "DATA-044"


@pytest.mark.parametrize(
    "arguments",
    [
        ("merge",),
        ("merge", "x", "--resolve", "mine"),
        ("resolve", "1", "--box", "1,2"),
        ("resolve", "1", "--box", "a,b,c,d"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_before_anything_happens(root, arguments):
    run(root, *arguments, code=2)
