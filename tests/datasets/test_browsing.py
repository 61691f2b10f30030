"""Looking around in a commit: page by page, filtered, sample by sample."""

from typing import Any

import msgspec
import pytest

from sightloop.datasets.branches import CreateBranch, create_branch
from sightloop.datasets.browsing import (
    ListHeads,
    ListSamples,
    ShowSample,
    ShowStatistics,
    list_heads,
    list_samples,
    show_sample,
    show_statistics,
)
from sightloop.datasets.commits import CommitSamples, LogCommits, commit_samples, log_commits
from sightloop.datasets.errors import BadFilter, NoSuchSample
from sightloop.datasets.values import Capture, Sample
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from tests.datasets.conftest import jpeg, make_sample


@pytest.fixture
def samples(workspace: Workspace) -> list[Sample]:
    image = workspace.blobs.put(jpeg(0))
    made = [
        make_sample(
            i,
            image=image,
            capture=Capture("d", "s", i),
            slices={"line": "AB"[i % 2]},
            lane=("audit", None)[i % 2],
        )
        for i in range(200)
    ]
    commit(workspace, made)
    return sorted(made, key=lambda one: one.id)


def commit(workspace: Workspace, upserts: list[Sample], **fields: Any) -> str:
    request = CommitSamples(
        branch="main", message="more", upserts=upserts, new_classes=["spot"], **fields
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


def paged(workspace: Workspace, **fields: Any) -> list[str]:
    ids, after = [], None
    while True:
        asked = ListSamples(ref="main", after=after, limit=33, **fields)
        page = list_samples(workspace, LOCAL_CALL, asked)
        ids += [one.sample.id for one in page.samples]
        after = page.next_after
        if after is None:
            assert page.total == len(ids)
            return ids


def test_pages_hold_every_sample_once(workspace, samples):
    assert paged(workspace) == [one.id for one in samples]


def test_filtered_pages_hold_every_sample_that_fits_once(workspace, samples):
    wanted = [one.id for one in samples if one.slices == {"line": "A"}]
    assert paged(workspace, slices=["line=A"], lane="audit") == wanted


def test_a_page_says_how_many_come_before_it(workspace, samples):
    wanted = [one.id for one in samples if one.slices == {"line": "B"}]
    asked = ListSamples(ref="main", slices=["line=B"], after=wanted[9], limit=5)
    assert list_samples(workspace, LOCAL_CALL, asked).n_before == 10


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "dev"}, "'dev' is no split; one of: train, val, test, audit, quarantined"),
        ({"lane": "fast"}, "'fast' is no lane"),
        ({"size": "huge"}, "'huge' is no size; one of: small, medium, large"),
        ({"slices": ["A"]}, "'A' is no slice; one of: FIELD=VALUE"),
        ({"after": "../x"}, "is no sample id"),
    ],
)
def test_a_filter_that_no_sample_can_fit_is_refused(workspace, samples, fields, message: str):
    with pytest.raises(BadFilter, match=message) as caught:
        list_samples(workspace, LOCAL_CALL, ListSamples(ref="main", **fields))
    assert caught.value.code == "DATA-011"


def test_a_sample_tells_which_commits_changed_it(workspace, samples):
    first = samples[0]
    commit(workspace, [], removals=[samples[7].id])
    changed = commit(workspace, [msgspec.structs.replace(first, tags=["seen"])])
    commit(workspace, [msgspec.structs.replace(samples[3], tags=["seen"])])
    shown = show_sample(workspace, LOCAL_CALL, ShowSample(ref="main", sample=first.id))
    assert [one.kind for one in shown.history] == ["changed", "added"]
    assert shown.history[0].commit == changed
    assert shown.is_whole_history


@pytest.mark.parametrize("sample", ["0" * 32, "../../etc", "x" * 10_000])
def test_a_sample_that_is_not_there_is_refused_by_name(workspace, samples, sample: str):
    with pytest.raises(NoSuchSample, match="does not hold it") as caught:
        show_sample(workspace, LOCAL_CALL, ShowSample(ref="main", sample=sample))
    assert caught.value.code == "DATA-012"


def test_heads_come_by_name_page_by_page(workspace, samples):
    for name in ("b", "a", "c"):
        create_branch(workspace, LOCAL_CALL, CreateBranch(name=name, at="main"))
    found = list_heads(workspace, LOCAL_CALL, ListHeads(after="a", limit=2))
    assert [(one.name, one.n_samples) for one in found] == [("b", 200), ("c", 200)]


def test_the_log_counts_what_each_commit_changed(workspace, samples):
    commit(workspace, [msgspec.structs.replace(samples[0], tags=["x"])], removals=[samples[1].id])
    newest, oldest = log_commits(workspace, LOCAL_CALL, LogCommits(ref="main"))
    assert (newest.n_added, newest.n_changed, newest.n_removed) == (0, 1, 1)
    assert oldest.n_added == 200


@pytest.mark.parametrize(
    ("service", "request_"),
    [
        (list_samples, ListSamples(ref="main")),
        (show_statistics, ShowStatistics(ref="main")),
        (show_sample, ShowSample(ref="main", sample="0" * 32)),
        (list_heads, ListHeads()),
    ],
)
def test_a_device_may_not_look(workspace, samples, service, request_):
    with pytest.raises(NotAllowed):
        service(workspace, Call(Actor(ActorId("dev"), "device", Role.DEVICE)), request_)
