"""Merges are settled and committed in the browser, by whoever may, whatever names contain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.browsing import ListSamples, list_samples
from sightloop.datasets.classes import EditClasses, edit_classes
from sightloop.datasets.commits import CommitSamples, LogCommits, commit_samples, log_commits
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.merging import MergeBranch, merge_branch
from sightloop.datasets.resolving import (
    ListConflicts,
    ListMerges,
    list_conflicts,
    list_open_merges,
)
from sightloop.datasets.taxonomy_edits import RenameClass
from sightloop.datasets.values import Sample
from sightloop.kernel.actors import Role
from sightloop.kernel.workspace import Workspace
from sightloop.testing.blob_commits import commit_blobs
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace
from tests.server.console.conftest import WIDTHS, findings

HOSTILE = '<img src=x onerror="alert(1)">' + "x" * 3_000
HERE, THERE = BoxPx(1, 1, 21, 21), BoxPx(30, 30, 60, 60)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Four contradictions: a box, a removed box, a file name, a removed image; an open merge."""
    opened = create_workspace(tmp_path / "plant", {})
    contradict(opened)
    yield opened
    opened.db.close()


def contradict(workspace: Workspace, name: str = "theirs.png") -> None:
    commit_blobs(workspace, n_images=20)
    asked = ListSamples(ref="main", limit=100)
    found = [one.sample for one in list_samples(workspace, LOCAL_CALL, asked).samples]
    first, second, third, fourth = [one for one in found if one.annotations][:4]
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="theirs", at="main"))
    commit(
        workspace,
        "main",
        [drawn(first, HERE), replaced(second, annotations=[]), replaced(third, file_name="ours")],
        removals=[fourth.id],
    )
    commit(
        workspace,
        "theirs",
        [
            drawn(first, THERE),
            drawn(second, THERE),
            replaced(third, file_name=name),
            drawn(fourth, THERE),
        ],
    )
    merge_branch(workspace, LOCAL_CALL, MergeBranch(source="theirs"))


def commit(workspace: Workspace, branch: str, upserts: list[Sample], **fields: Any) -> str:
    request = CommitSamples(branch=branch, message="", upserts=upserts, **fields)
    return commit_samples(workspace, LOCAL_CALL, request).commit


def replaced(sample: Sample, **fields: Any) -> Sample:
    return msgspec.structs.replace(sample, **fields)


def drawn(sample: Sample, to: BoxPx) -> Sample:
    first = msgspec.structs.replace(sample.annotations[0], geometry=to)
    return replaced(sample, annotations=[first])


def open_merge(workspace: Workspace):
    [one] = list_open_merges(workspace, LOCAL_CALL, ListMerges())
    return one


def numbers(workspace: Workspace) -> dict[str, int]:
    page = list_conflicts(workspace, LOCAL_CALL, ListConflicts())
    return {one.conflict.kind: one.number for one in page.conflicts}


def settle(visitor, workspace: Workspace, number: int, **fields: str):
    address = f"/datasets/merges/{open_merge(workspace).id}/resolve"
    return visitor.post(address, {"conflict": str(number), **fields})


def test_the_datasets_page_leads_to_open_merges(visitor, workspace):
    page = visitor.get("/datasets").text
    assert 'href="/datasets/merges"' in page
    assert "1 open" in page
    assert 'href="/datasets/merges"' in visitor.get("/review").text
    listed = visitor.get("/datasets/merges").text
    assert open_merge(workspace).id in listed
    assert "0 of 4" in listed


def test_a_merge_shows_each_conflict_with_its_three_versions(visitor, workspace):
    page = visitor.get(f"/datasets/merges/{open_merge(workspace).id}").text
    for kind in ("both moved", "deleted and edited", "field set twice", "removed and changed"):
        assert kind in page
    for words in ("m-base", "m-ours", "m-theirs", "1.0, 1.0 to 21.0, 21.0", "theirs.png"):
        assert words in page


def test_conflicts_are_settled_and_the_merge_is_committed(visitor, workspace):
    by_kind = numbers(workspace)
    answer = settle(visitor, workspace, by_kind["both moved"], take="theirs", after="", only="open")
    assert answer.status_code == 303
    assert answer.headers["location"].endswith(f"?only=open#conflict-{by_kind['both moved']}")
    settle(visitor, workspace, by_kind["deleted and edited"], take="ours")
    settle(visitor, workspace, by_kind["removed and changed"], take="ours")
    hand = {"take": "by hand", "value": "by hand.png"}
    settle(visitor, workspace, by_kind["field set twice"], **hand)
    page = visitor.get(f"/datasets/merges/{open_merge(workspace).id}").text
    assert "by hand: by hand.png" in page
    answer = visitor.post(f"/datasets/merges/{open_merge(workspace).id}/continue")
    assert answer.status_code == 303
    newest, *_ = log_commits(workspace, LOCAL_CALL, LogCommits(ref="main"))
    assert len(newest.parents) == 2
    assert newest.commit.removeprefix("sha256:") in answer.headers["location"]
    assert list_open_merges(workspace, LOCAL_CALL, ListMerges()) == []


def test_a_box_can_be_drawn_by_hand_with_four_numbers(visitor, workspace):
    corners = {"x1": "2", "y1": "3", "x2": "40.5", "y2": "50"}
    number = numbers(workspace)["both moved"]
    settle(visitor, workspace, number, take="by hand", **corners)
    page = visitor.get(f"/datasets/merges/{open_merge(workspace).id}").text
    assert "2.0, 3.0 to 40.5, 50.0" in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"take": "by hand", "x1": "5", "y1": "1", "x2": "", "y2": "9"}, "has four numbers"),
        ({"take": "by hand", "x1": "nan", "y1": "1", "x2": "2", "y2": "9"}, "not a number"),
        ({"take": "by hand", "x1": "9", "y1": "1", "x2": "2", "y2": "9"}, "has no area"),
        ({"take": "by hand", "x1": "0", "y1": "0", "x2": "9999", "y2": "9"}, "reaches out"),
        ({"take": "by hand", "class": "rust"}, "is none of"),
        ({"take": "mine"}, "is no way to settle it"),
    ],
)
def test_what_cannot_settle_a_conflict_is_said_beside_it(visitor, workspace, fields, said):
    answer = settle(visitor, workspace, numbers(workspace)["both moved"], **fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert "Settled:" not in answer.text


def test_a_merge_with_open_conflicts_is_not_committed(visitor, workspace):
    answer = visitor.post(f"/datasets/merges/{open_merge(workspace).id}/continue")
    assert answer.status_code == 409
    assert "4 unresolved conflicts" in answer.text


def test_an_outdated_merge_offers_to_merge_again(visitor, workspace):
    asked = ListSamples(ref="main", limit=100)
    found = list_samples(workspace, LOCAL_CALL, asked).samples
    commit(workspace, "main", [replaced(found[-1].sample, tags=["seen"])])
    merge = open_merge(workspace).id
    page = visitor.get(f"/datasets/merges/{merge}").text
    assert "Merge again" in page
    answer = visitor.post("/datasets/merges", {"source": "theirs", "into": "main"})
    assert answer.headers["location"] == f"/datasets/merges/{open_merge(workspace).id}"
    assert open_merge(workspace).id != merge


def test_a_merge_begins_in_the_browser_and_can_be_given_up(visitor, workspace):
    answer = visitor.post(f"/datasets/merges/{open_merge(workspace).id}/abort")
    assert answer.headers["location"] == "/datasets/merges"
    assert "No merge waits" in visitor.get("/datasets/merges").text
    assert (
        visitor.post("/datasets/merges", {"source": "nowhere", "into": "main"}).status_code == 404
    )
    answer = visitor.post("/datasets/merges", {"source": "main", "into": "theirs"})
    assert answer.headers["location"].startswith("/datasets/merges/")


def test_a_viewer_looks_an_annotator_settles_and_an_engineer_commits(visitor_as, workspace):
    address = f"/datasets/merges/{open_merge(workspace).id}"
    resolving = {"conflict": "1", "take": "ours"}
    viewer, annotator = visitor_as(Role.VIEWER), visitor_as(Role.ANNOTATOR)
    assert "Take ours" not in viewer.get(address).text
    assert viewer.post(f"{address}/resolve", resolving).status_code == 403
    assert "Continue" not in annotator.get(address).text
    assert annotator.post(f"{address}/resolve", resolving).status_code == 303
    for what in ("continue", "abort"):
        assert annotator.post(f"{address}/{what}").status_code == 403
    assert visitor_as(Role.ENGINEER).post(f"{address}/abort").status_code == 303


@pytest.mark.parametrize("what", ["", "/x/resolve", "/x/continue", "/x/abort"])
def test_a_form_of_another_site_changes_nothing(visitor, workspace, what):
    address = f"/datasets/merges{what.replace('x', open_merge(workspace).id)}"
    answer = visitor.post(address, {"conflict": "1", "take": "ours"}, csrf="stolen")
    assert answer.status_code == 403
    assert open_merge(workspace).n_resolved == 0


def test_a_merge_that_is_not_open_is_a_page_that_says_so(visitor, workspace):
    answer = visitor.get("/datasets/merges/merge_none")
    assert answer.status_code == 404
    assert "no open merge" in answer.text


class TestHostile:
    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Iterator[Workspace]:
        opened = create_workspace(tmp_path / "plant", {})
        contradict(opened, name=HOSTILE)
        edit = RenameClass("dent", "<b>dent</b>" + "y" * 180)
        edit_classes(opened, LOCAL_CALL, EditClasses(branch="theirs", edit=edit))
        commit(opened, "main", [])
        merge_branch(opened, LOCAL_CALL, MergeBranch(source="theirs"))
        yield opened
        opened.db.close()

    def test_markup_and_long_names_are_shown_harmlessly(self, visitor, workspace):
        for address in ("/datasets/merges", f"/datasets/merges/{open_merge(workspace).id}"):
            page = visitor.get(address).text
            assert "<img src=x" not in page
            assert "<b>dent" not in page
            assert len(page) < 60_000
        answer = settle(visitor, workspace, 1, take=HOSTILE)
        assert "<img src=x" not in answer.text


def test_a_branch_called_like_a_page_is_reached_by_its_commit(visitor, workspace):
    create_branch(workspace, LOCAL_CALL, CreateBranch(name="merges", at="main"))
    assert "<h1>Merges</h1>" in visitor.get("/datasets/merges").text
    assert 'href="/datasets/merges"><strong>merges' not in visitor.get("/datasets").text


@pytest.mark.processes
@pytest.mark.parametrize(("width", "scheme"), [(WIDTHS[0], "light"), (WIDTHS[1], "dark")])
def test_nobody_is_kept_out_by_how_merges_look(tab, workspace, width: int, scheme: str):
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 900})
    for address in ("/datasets/merges", f"/datasets/merges/{open_merge(workspace).id}"):
        tab.goto(address)
        for one in tab.locator("summary").all():
            one.click()
        assert findings(tab) == [], address
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), address


@pytest.mark.processes
def test_a_merge_is_settled_with_the_keyboard_alone(tab, workspace):
    tab.goto(f"/datasets/merges/{open_merge(workspace).id}")
    number = numbers(workspace)["both moved"]
    card = tab.locator(f"#conflict-{number}")
    card.locator("summary").focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")  # the class
    for corner in ("3", "4", "33", "44"):
        tab.keyboard.press("Tab")
        tab.keyboard.press("Control+A")
        tab.keyboard.type(corner)
    tab.keyboard.press("Enter")
    card.get_by_text("3.0, 4.0 to 33.0, 44.0").first.wait_for()
    for other in set(numbers(workspace).values()) - {number}:
        tab.get_by_role("button", name=f"Take ours in conflict {other}").press("Enter")
        tab.locator(f"#conflict-{other}").get_by_text("Settled:").wait_for()
    tab.get_by_role("button", name="Continue: commit the merge").press("Enter")
    tab.wait_for_url("**tab=changes")
    assert list_open_merges(workspace, LOCAL_CALL, ListMerges()) == []
