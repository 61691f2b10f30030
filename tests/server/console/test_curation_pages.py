"""Look-alikes, leaks and suspects can be looked at and decided about, by those who may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from sightloop.datasets.browsing import ListSamples, list_samples
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.values import (
    Capture,
    ClassId,
    LabelledObject,
    Sample,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.actors import Role
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace
from tests.server.console.conftest import WIDTHS, findings, wait_until

DENT, SCRATCH = ClassId("dent"), ClassId("scratch")
BOX = BoxPx(20, 30, 80, 90)
HOSTILE = '<img src=x onerror="alert(1)">.jpg'
LEAKS = "/datasets/main/curation?tab=leaks"
SUSPECTS = "/datasets/main/curation?tab=suspects"
PENDING = "completes itself"


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    drawn = np.full((240, 320), int(rng.integers(60, 200)), np.uint8)
    for _ in range(12):
        centre = (int(rng.integers(320)), int(rng.integers(240)))
        cv2.circle(drawn, centre, int(rng.integers(15, 70)), int(rng.integers(256)), -1)
    return cv2.imencode(".jpg", drawn)[1].tobytes()


def sample(workspace: Workspace, seed: int, split: str, name: str, **fields: Any) -> Sample:
    image = workspace.blobs.put(picture(seed))
    capture = Capture("cam", "line", 7) if split == "audit" else None
    new_id = sample_id(image, capture)
    found = [LabelledObject(one, BOX, {}) for one in fields.pop("classes", [DENT])]
    return Sample(
        id=new_id,
        image=image,
        capture=capture,
        width_px=320,
        height_px=240,
        media_type="image/jpeg",
        file_name=name,
        split_key=f"key {name}",
        labelled_for=[DENT, SCRATCH],
        reserved=split,
        annotations=imported_annotations(new_id, found),
    )


@pytest.fixture
def workspace(tmp_path) -> Iterator[Workspace]:
    """Four images in train, the first of them in audit too, and a box that is called two things."""
    opened = create_workspace(tmp_path / "plant", {})
    samples = [sample(opened, seed, "train", f"{seed}.jpg") for seed in range(4)]
    samples += [
        sample(opened, 0, "audit", HOSTILE),
        sample(opened, 9, "test", "clash.jpg", classes=[DENT, SCRATCH]),
    ]
    request = CommitSamples(
        branch="main", message="plant", upserts=samples, new_classes=["dent", "scratch"]
    )
    commit_samples(opened, LOCAL_CALL, request)
    yield opened
    opened.db.close()


def settled(visitor: Any, address: str) -> str:
    """The page once its images were looked at."""
    for _ in range(200):
        text = visitor.get(address).text
        if PENDING not in text:
            return text
    raise AssertionError(f"{address} never completes itself")


def splits(workspace: Workspace) -> list[str]:
    page = list_samples(workspace, LOCAL_CALL, ListSamples(ref="main", limit=100))
    return sorted(one.split for one in page.samples)


def named(workspace: Workspace, name: str) -> Sample:
    page = list_samples(workspace, LOCAL_CALL, ListSamples(ref="main", limit=100))
    return next(one.sample for one in page.samples if one.sample.file_name == name)


def test_the_dataset_page_leads_here(visitor):
    assert 'href="/datasets/main/curation"' in visitor.get("/datasets/main").text


def test_a_leak_is_shown_with_what_it_resembles(visitor):
    page = settled(visitor, LEAKS)
    assert "<strong>1</strong> held-out images resemble" in page
    assert "same image" in page
    assert "key 0.jpg" in page


def test_names_are_shown_harmlessly_on_every_tab(visitor):
    for tab in ("duplicates", "leaks", "suspects&copies=1"):
        page = settled(visitor, f"/datasets/main/curation?tab={tab}")
        assert "<img src=x" not in page


def test_duplicates_stand_in_groups(visitor):
    page = settled(visitor, "/datasets/main/curation")
    assert "<strong>1</strong> groups of look-alikes" in page
    near = settled(visitor, "/datasets/main/curation?tab=duplicates&kind=near")
    assert "No image looks like another" in near


def test_a_suspect_is_shown_with_its_box_and_the_reason(visitor):
    page = settled(visitor, SUSPECTS)
    assert "on the same place, IoU 1.00" in page
    assert "M20 30H80V90H20Z" in page


def test_words_in_the_address_that_mean_nothing_are_passed_over(visitor):
    for odd in ("?tab=x", "?tab=suspects&rule=x&after=-3", "?kind=x&after=%C2%B2"):
        assert visitor.get(f"/datasets/main/curation{odd}").status_code == 200


def test_quarantining_all_ends_every_leak(visitor, workspace):
    settled(visitor, LEAKS)
    answer = visitor.post(LEAKS, {"decision": "quarantine all"})
    assert (answer.status_code, answer.headers["location"]) == (303, LEAKS)
    assert splits(workspace) == ["quarantined", "test", "train", "train", "train", "train"]
    assert "Nothing leaks" in settled(visitor, LEAKS)


def test_a_leak_may_be_accepted(visitor, workspace):
    held_out = named(workspace, HOSTILE)
    visitor.post(LEAKS, {"decision": "accept", "samples": held_out.id})
    assert "accepted" in settled(visitor, LEAKS)
    assert "Quarantine all" not in settled(visitor, LEAKS)


def test_a_suspect_may_be_tagged_for_review(visitor, workspace):
    visitor.post(SUSPECTS, {"decision": "tag", "samples": named(workspace, "clash.jpg").id})
    assert named(workspace, "clash.jpg").tags == ["review"]


def test_without_the_session_s_token_nothing_is_decided(visitor, workspace):
    before = splits(workspace)
    answer = visitor.post(LEAKS, {"decision": "quarantine all"}, csrf="another")
    assert answer.status_code == 403
    assert splits(workspace) == before


def test_whoever_only_reads_is_offered_no_decision_and_may_make_none(visitor_as, workspace):
    viewer = visitor_as(Role.VIEWER)
    assert "Quarantine" not in settled(viewer, LEAKS)
    assert viewer.post(LEAKS, {"decision": "quarantine all"}).status_code == 403


def test_a_commit_can_be_looked_at_but_not_decided_about(visitor, workspace):
    page = list_samples(workspace, LOCAL_CALL, ListSamples(ref="main"))
    digits = page.commit.removeprefix("sha256:")
    address = f"/datasets/{digits}/curation?tab=leaks"
    assert "Quarantine" not in settled(visitor, address)
    assert visitor.post(address, {"decision": "quarantine all"}).status_code == 404


def test_a_page_that_waits_completes_itself(tab):
    tab.goto(LEAKS)
    wait_until(tab, "document.body.textContent.includes('resemble training images')")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width_px", WIDTHS)
def test_every_tab_is_accessible_and_fits_its_width(tab, width_px, theme):
    tab.set_viewport_size({"width": width_px, "height": 900})
    tab.emulate_media(color_scheme=theme)
    for address in ("/datasets/main/curation", LEAKS, SUSPECTS, f"{SUSPECTS}&copies=1"):
        tab.goto(address)
        wait_until(tab, "!document.body.textContent.includes('completes itself')")
        assert findings(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width_px
