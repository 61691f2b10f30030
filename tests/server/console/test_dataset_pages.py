"""Datasets can be looked through, filtered and compared, whatever their names contain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.browsing import ListSamples, list_samples
from sightloop.datasets.commits import CommitSamples, LogCommits, commit_samples, log_commits
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.taxonomy import class_id_of
from sightloop.datasets.values import Sample
from sightloop.kernel.actors import Role
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.dataset_drawings import outline
from sightloop.testing.blob_commits import commit_blobs
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace
from tests.server.console.conftest import WIDTHS, findings, wait_until

HOSTILE = '<img src=x onerror="alert(1)">' + "x" * 10_000
N_FIRST = 60


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """60 images, 12 more, then a moved, a relabelled and a removed box, and an image less."""
    opened = create_workspace(tmp_path_factory.mktemp("datasets") / "plant", {})
    commit_blobs(opened, n_images=N_FIRST, slices={"line": "A"})
    commit_blobs(opened, n_images=12, seed=1, slices={"line": "B"}, split_rule=None)
    samples = with_boxes(opened, 4)
    commit(
        opened,
        [moved(samples[0]), relabelled(samples[1]), without_boxes(samples[2])],
        removals=[samples[3].id],
        message="second look",
    )
    yield opened
    opened.db.close()


@pytest.fixture
def workspace(furnished: Workspace) -> Workspace:
    """The furnished one; tests that change something make another."""
    return furnished


def with_boxes(workspace: Workspace, n: int) -> list[Sample]:
    asked = ListSamples(ref="main", slices=["line=A"], limit=100)
    found = [one.sample for one in list_samples(workspace, LOCAL_CALL, asked).samples]
    return [one for one in found if one.annotations][:n]


def commit(workspace: Workspace, upserts: list[Sample], **fields: Any) -> str:
    values = {"branch": "main", "message": "", **fields}
    request = CommitSamples(upserts=upserts, **values)
    return commit_samples(workspace, LOCAL_CALL, request).commit


def changed(sample: Sample, **fields: Any) -> Sample:
    first, *rest = sample.annotations
    return msgspec.structs.replace(
        sample, annotations=[msgspec.structs.replace(first, **fields), *rest]
    )


def moved(sample: Sample) -> Sample:
    return changed(sample, geometry=BoxPx(1, 1, 21, 21))


def relabelled(sample: Sample) -> Sample:
    is_dent = sample.annotations[0].class_id == "dent"
    return changed(sample, class_id="scratch" if is_dent else "dent")


def without_boxes(sample: Sample) -> Sample:
    return msgspec.structs.replace(sample, annotations=[])


def history(workspace: Workspace) -> list[str]:
    return [one.commit for one in log_commits(workspace, LOCAL_CALL, LogCommits(ref="main"))]


class TestNothingYet:
    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Iterator[Workspace]:
        opened = create_workspace(tmp_path / "plant", {})
        yield opened
        opened.db.close()

    def test_an_empty_workspace_says_how_to_import(self, visitor):
        page = visitor.get("/datasets").text
        assert "No image yet" in page
        assert "sightloop data import FOLDER" in page

    def test_markup_and_long_names_are_shown_harmlessly(self, visitor, workspace):
        commit_blobs(workspace, n_images=3, classes=["<b>dent</b>", HOSTILE])
        sample = list_samples(workspace, LOCAL_CALL, ListSamples(ref="main")).samples[0].sample
        hostile = msgspec.structs.replace(
            sample, file_name=HOSTILE, slices={HOSTILE: HOSTILE, "line": "<i>"}, tags=[HOSTILE]
        )
        commit(workspace, [hostile], message=HOSTILE)
        for address in (
            "/datasets",
            "/datasets/main",
            "/datasets/main?tab=statistics",
            "/datasets/main?tab=changes",
            f"/datasets/main/samples/{sample.id}",
        ):
            answer = visitor.get(address)
            assert answer.status_code == 200, address
            assert "<img src=x" not in answer.text, address
            assert "<b>dent" not in answer.text, address
            assert "<i>" not in answer.text, address
            assert len(answer.text) < 120_000, address

    def test_a_picture_that_cannot_be_decoded_leaves_the_page_whole(self, visitor, workspace):
        commit_blobs(workspace, n_images=2)
        sample = list_samples(workspace, LOCAL_CALL, ListSamples(ref="main")).samples[0].sample
        path = workspace.blobs.local_path(sample.image)
        path.chmod(0o644)
        path.write_bytes(b"no picture")
        page = visitor.get("/datasets/main").text
        assert page.count("<figure>") == 2
        digits = sample.image.removeprefix("sha256:")
        shown = visitor.get(f"/pictures/{digits}?side=240")
        assert "cannot be shown" in shown.text

    def test_a_branch_with_a_slash_has_a_page(self, visitor, workspace):
        commit_blobs(workspace, n_images=2)
        create_branch(workspace, LOCAL_CALL, CreateBranch(name="lines/a", at="main"))
        assert 'href="/datasets/lines~a"' in visitor.get("/datasets").text
        assert "lines/a" in visitor.get("/datasets/lines~a").text

    def test_a_long_history_comes_page_by_page(self, visitor, workspace):
        for seed in range(22):
            commit_blobs(workspace, n_images=1, seed=seed)
        oldest = history(workspace)[-1].removeprefix("sha256:")[:12]
        first = visitor.get("/datasets").text
        assert oldest not in first
        following = first.split('rel="next" href="')[1].split('"')[0]
        assert oldest in visitor.get(f"/datasets{following.replace('&amp;', '&')}").text


def test_branches_and_their_history_stand_on_one_page(visitor, workspace):
    page = visitor.get("/datasets").text
    for one in history(workspace):
        assert one.removeprefix("sha256:")[:12] in page
    assert "second look" in page
    assert "sightloop data log main" in page


@pytest.mark.parametrize("form", ["{0}", "sha256:{0}", "{1}", "main"])
def test_a_commit_is_found_by_every_form_of_its_name(visitor, workspace, form: str):
    digits = history(workspace)[0].removeprefix("sha256:")
    page = visitor.get(f"/datasets/{form.format(digits, digits[:8])}")
    assert page.status_code == 200
    assert digits in page.text


@pytest.mark.parametrize("address", ["/datasets/nowhere", "/datasets/compare?a=main&b=nowhere"])
def test_an_unknown_commit_is_a_page_that_says_so(visitor, address: str):
    answer = visitor.get(address)
    assert answer.status_code == 404
    assert "DATA-010" in answer.text


def test_a_filter_narrows_the_pictures_and_is_kept_in_the_address(visitor):
    page = visitor.get("/datasets/main?slice=line%3DB").text
    assert "Images 1–12 of 12 that fit" in page
    assert page.count("<figure>") == 12
    assert "?slice=line%3DB" in page
    assert "data samples main --slice line=B" in page


def test_pages_of_pictures_show_each_once(visitor):
    shown, address = [], "/datasets/main"
    while address:
        page = visitor.get(address).text
        shown += [part[:32] for part in page.split("/datasets/main/samples/")[1:]]
        ahead = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        address = f"/datasets/main{ahead}" if ahead else ""
    assert len(shown) == len(set(shown)) == N_FIRST + 12 - 1


@pytest.mark.parametrize("query", ["split=dev", "size=huge", "slice=A", "after=zzz"])
def test_a_filter_that_makes_no_sense_is_refused_in_words(visitor, query: str):
    answer = visitor.get(f"/datasets/main?{query}")
    assert answer.status_code == 400
    assert "DATA-011" in answer.text


def test_a_filter_that_nothing_fits_says_what_to_do(visitor):
    assert "Take away one of the filters" in visitor.get("/datasets/main?class=unknown").text


def test_statistics_count_what_is_there(visitor):
    page = visitor.get("/datasets/main?tab=statistics").text
    assert f"<strong>{N_FIRST + 12 - 1}</strong> images" in page
    assert "Boxes per class" in page
    assert "sightloop data stats main" in page


def test_a_sample_shows_its_boxes_and_what_changed_it(visitor, workspace):
    sample = with_boxes(workspace, 1)[0]
    page = visitor.get(f"/datasets/main/samples/{sample.id}").text
    assert page.count("<path class=") >= 2 * len(sample.annotations)
    assert "Commits that changed it" in page
    assert sample.split_key in page
    assert "?slice=line%3DA" in page


def test_changes_name_every_kind_of_change(visitor, workspace):
    page = visitor.get("/datasets/main?tab=changes").text
    for words in ("images removed (1)", "boxes moved (1)", "boxes relabelled (1)", "IoU"):
        assert words in page
    assert "not in this commit" in page
    assert outline(BoxPx(1, 1, 21, 21)) in page


def test_the_first_commit_has_nothing_to_be_compared_with(visitor, workspace):
    first = history(workspace)[-1].removeprefix("sha256:")
    assert "everything in it is new" in visitor.get(f"/datasets/{first}?tab=changes").text


def test_comparing_can_be_narrowed_to_one_kind_of_change(visitor, workspace):
    newest, older, *_ = (one.removeprefix("sha256:") for one in history(workspace))
    page = visitor.get(f"/datasets/compare?a={older}&b={newest}&kind=box+moved").text
    assert page.count('class="card pair"') == 1
    assert "moved, by" in page


def test_a_commit_compared_with_itself_differs_in_nothing(visitor):
    assert "Nothing differs" in visitor.get("/datasets/compare?a=main&b=main").text


def test_a_viewer_may_look_and_a_stranger_is_asked_to_sign_in(visitor_as, stranger):
    assert visitor_as(Role.VIEWER).get("/datasets/main").status_code == 200
    stranger.cookies.clear()
    assert stranger.get("/datasets/main", follow_redirects=False).status_code == 303


@pytest.mark.processes
@pytest.mark.parametrize(("width", "scheme"), [(WIDTHS[0], "light"), (WIDTHS[1], "dark")])
def test_nobody_is_kept_out_by_how_datasets_look(tab, workspace, width: int, scheme: str):
    sample = with_boxes(workspace, 1)[0]
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 900})
    for address in (
        "/datasets",
        "/datasets/main",
        "/datasets/main?tab=statistics",
        "/datasets/main?tab=changes",
        "/datasets/compare?a=main&b=main",
        f"/datasets/main/samples/{sample.id}",
    ):
        tab.goto(address)
        assert findings(tab) == [], address
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), address


@pytest.mark.processes
def test_filtering_opening_and_comparing_need_no_address_typed_in(tab, workspace):
    tab.goto("/datasets")
    tab.get_by_role("link", name="main", exact=True).click()
    tab.get_by_label("Class").select_option(class_id_of("dent"))
    tab.wait_for_url("**class=dent**")
    tab.locator(".pictures a").first.click()
    tab.get_by_role("heading", name="Commits that changed it").wait_for()
    row = tab.locator("table [data-box='1']")
    row.hover()
    assert "lit" in tab.locator("svg [data-box='1']").get_attribute("class")
    tab.get_by_role("link", name="main", exact=True).click()
    tab.wait_for_url("**class=dent**")
    tab.get_by_role("link", name="Changes").click()
    tab.get_by_role("link", name="boxes moved (1)").click()
    assert tab.locator(".pair").count() == 1


@pytest.mark.processes
def test_boxes_lie_on_the_picture_where_they_are(tab, workspace):
    """A thumbnail is letterboxed into its frame, and so are its boxes."""
    tab.goto("/datasets/main")
    wait_until(tab, "document.querySelector('.thumb img').complete")
    sizes = tab.evaluate(
        "(() => { const f = document.querySelector('.thumb'), s = f.querySelector('svg');"
        " const m = s.getScreenCTM(), b = f.getBoundingClientRect();"
        " return [m.a * 64, b.height, m.e - b.x, (b.width - b.height) / 2]; })()"
    )
    assert sizes[0] == pytest.approx(sizes[1], abs=1)
    assert sizes[2] == pytest.approx(sizes[3], abs=1)
