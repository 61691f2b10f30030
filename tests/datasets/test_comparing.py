"""Comparing commits costs what changed, and a page of it is a page of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from sqlalchemy import event

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.comparing import DiffCommits, diff_commits
from sightloop.datasets.errors import BadFilter, NoSuchRef
from sightloop.datasets.values import Capture, Sample
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from tests.datasets.conftest import jpeg, make_sample

N = 2_000


@pytest.fixture
def samples(workspace: Workspace) -> list[Sample]:
    image = workspace.blobs.put(jpeg(0))
    return [make_sample(i, image=image, capture=Capture("d", "s", i)) for i in range(N)]


def commit(workspace: Workspace, upserts: list[Sample], removals: list[str] = ()) -> Digest:
    request = CommitSamples(
        branch="main", message="", upserts=upserts, removals=list(removals), new_classes=["spot"]
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


def relabelled(sample: Sample) -> Sample:
    return msgspec.structs.replace(sample, annotations=[], tags=["seen"])


@contextmanager
def counted_objects(workspace: Workspace) -> Iterator[list[int]]:
    """How many objects were asked of the database, in the list's first place."""
    counts = [0]

    def count(_conn, _cursor, statement, parameters, _context, _many):
        if "dataset_objects" in statement:
            counts[0] += len(parameters)

    event.listen(workspace.db._backend.writing, "before_cursor_execute", count)
    yield counts
    event.remove(workspace.db._backend.writing, "before_cursor_execute", count)


def diff(workspace: Workspace, before: str, after: str, **fields):
    request = DiffCommits(before=before, after=after, **fields)
    return diff_commits(workspace, LOCAL_CALL, request)


def test_a_comparison_reads_what_differs_and_not_what_there_is(workspace, samples):
    first = commit(workspace, samples)
    second = commit(workspace, [relabelled(one) for one in samples[:3]], [samples[5].id])
    with counted_objects(workspace) as counts:
        found = diff(workspace, first, second)
    assert found.summary is not None
    assert (found.summary.n_changed, found.summary.n_removed) == (3, 1)
    # 2 commits and taxonomies; 4 rows on both sides, paths of 3 nodes to each, read twice: to
    # count and to show.
    assert counts[0] < 100


def test_equal_commits_differ_in_nothing(workspace, samples):
    head = commit(workspace, samples[:70])
    found = diff(workspace, "main", head)
    assert found.summary is not None
    assert found.samples == []
    assert found.summary.n_added == found.summary.n_removed == found.summary.n_changed == 0


def test_pages_of_one_kind_of_change_add_up_to_all_of_it(workspace, samples):
    first = commit(workspace, samples[:300])
    second = commit(
        workspace,
        [relabelled(one) for one in samples[:40]] + samples[300:350],
        [one.id for one in samples[40:60]],
    )
    ids, beyond = [], None
    while True:
        page = diff(workspace, first, second, kind="added", beyond=beyond, limit=7)
        ids += [one.id for one in page.samples]
        beyond = page.next_beyond
        if beyond is None:
            break
    assert ids == sorted(one.id for one in samples[300:350])
    assert page.n_fitting == 50
    assert page.n_by_kind == {
        "added": 50,
        "removed": 20,
        "changed": 40,
        "box added": 50,
        "box removed": 60,
        "facts": 40,
    }


def test_a_kind_of_change_that_is_none_is_refused(workspace, samples):
    commit(workspace, samples[:2])
    with pytest.raises(BadFilter, match="'renamed' is no kind of change") as caught:
        diff(workspace, "main", "main", kind="renamed")
    assert caught.value.code == "DATA-011"


def test_an_unknown_commit_is_named(workspace, samples):
    commit(workspace, samples[:2])
    with pytest.raises(NoSuchRef, match="'elsewhere'"):
        diff(workspace, "main", "elsewhere")


def test_a_device_may_not_compare(workspace, samples):
    commit(workspace, samples[:2])
    device = Call(Actor(ActorId("dev"), "device", Role.DEVICE))
    with pytest.raises(NotAllowed):
        diff_commits(workspace, device, DiffCommits(before="main", after="main"))
