"""What was erased stays away, and nothing else fails for it."""

import pytest
from sqlalchemy import text

from sightloop.datasets.browsing import ListSamples, list_samples
from sightloop.datasets.commits import CommitSamples, ShowCommit, commit_samples, show_commit
from sightloop.datasets.comparing import DiffCommits, diff_commits
from sightloop.datasets.errors import ImageErased, ObjectMissing
from sightloop.datasets.indexes import index_of
from sightloop.datasets.keys import ObjectKey, object_key
from sightloop.datasets.samples import find_samples, read_samples
from sightloop.datasets.store import StoredObject, read_rows, write_objects
from sightloop.datasets.tombstones import (
    Tombstone,
    find_tombstones,
    finish_tombstones,
    unfinished_tombstones,
    write_tombstones,
)
from sightloop.datasets.values import encode_row
from sightloop.kernel.digests import digest_of
from sightloop.testing.workspaces import LOCAL_CALL


def tombstones_of(sample, **fields):
    values = {"erased_at_ms": 5, "erased_by": "ann", "reason": "asked", "is_finished": False}
    row = digest_of(encode_row(sample))
    return [
        Tombstone(digest=row, kind="row", sample=sample.id, **{**values, **fields}),
        Tombstone(digest=sample.image, kind="image", sample=None, **{**values, **fields}),
    ]


@pytest.fixture
def commit(workspace):
    def make(*samples, removals=(), branch="main"):
        request = CommitSamples(
            branch=branch,
            message="m",
            upserts=list(samples),
            removals=list(removals),
            new_classes=["spot"],
        )
        return commit_samples(workspace, LOCAL_CALL, request).commit

    return make


@pytest.fixture
def erase_row(workspace):
    def erase(sample):
        key = object_key(digest_of(encode_row(sample)))
        with workspace.db.write() as tx:
            tx.execute(text("DELETE FROM dataset_objects WHERE digest = :key"), {"key": key})
            write_tombstones(tx, tombstones_of(sample))

    return erase


def test_a_tombstone_stands_where_it_was_put_first_and_is_finished_once(workspace, make_sample):
    first = tombstones_of(make_sample(1))
    with workspace.db.write() as tx:
        write_tombstones(tx, first)
        write_tombstones(tx, tombstones_of(make_sample(1), reason="again"))
        assert sorted(unfinished_tombstones(tx), key=repr) == sorted(first, key=repr)
        finish_tombstones(tx, [one.digest for one in first])
        assert unfinished_tombstones(tx) == []
        found = find_tombstones(tx, [first[0].digest, digest_of(b"other")])
    assert [one.reason for one in found.values()] == ["asked"]


def test_readers_leave_an_erased_sample_out(workspace, stored, commit, erase_row):
    samples = [stored(seed) for seed in range(4)]
    head = commit(*samples)
    erase_row(samples[2])
    left = sorted(one.id for one in samples if one is not samples[2])
    assert [one.id for one in read_samples(workspace, head)] == left
    assert sorted(find_samples(workspace, head, [one.id for one in samples])) == left
    assert index_of(workspace, head).n == 3
    assert show_commit(workspace, LOCAL_CALL, ShowCommit(ref=head)).n_annotations == 3


def test_pages_go_on_past_erased_samples(workspace, stored, commit, erase_row):
    samples = sorted((stored(seed) for seed in range(6)), key=lambda one: one.id)
    commit(*samples)
    erase_row(samples[2])
    erase_row(samples[3])
    seen, after = [], None
    for _ in range(3):
        request = ListSamples(ref="main", after=after, limit=2)
        page = list_samples(workspace, LOCAL_CALL, request)
        seen += [one.sample.id for one in page.samples]
        after = page.next_after
    assert (after, seen) == (None, [one.id for one in samples[:2] + samples[4:]])


def test_an_index_made_from_an_older_one_leaves_erased_samples_out(
    workspace, stored, commit, erase_row
):
    samples = [stored(seed) for seed in range(20)]
    index_of(workspace, commit(*samples[:18]))
    second = commit(*samples[18:], removals=[samples[0].id])
    erase_row(samples[19])
    erase_row(samples[0])
    assert index_of(workspace, second).n == 18


def test_a_diff_leaves_erased_samples_out(workspace, stored, commit, erase_row):
    samples = [stored(seed) for seed in range(4)]
    first = commit(*samples[:2])
    second = commit(*samples[2:], removals=[samples[0].id])
    erase_row(samples[0])
    erase_row(samples[2])
    found = diff_commits(workspace, LOCAL_CALL, DiffCommits(before=first, after=second))
    assert [(one.id, one.kind) for one in found.samples] == [(samples[3].id, "added")]


def test_a_row_that_is_gone_without_a_tombstone_is_still_an_error(workspace, make_sample):
    key = object_key(digest_of(encode_row(make_sample(1))))
    with workspace.db.read() as tx, pytest.raises(ObjectMissing):
        read_rows(tx, [key])


def test_an_erased_image_cannot_be_committed_again(workspace, stored, commit, erase_row):
    gone, other = stored(1), stored(2)
    head = commit(gone, other)
    erase_row(gone)
    with pytest.raises(ImageErased, match=r"erased on 1970-01-01 by ann \(asked\)") as caught:
        commit(stored(1, tags=["back"]), branch="other")
    assert (caught.value.code, caught.value.facts["image"]) == ("DATA-060", gone.image)
    assert [one.id for one in read_samples(workspace, head)] == [other.id]


def test_a_row_of_an_erased_image_from_elsewhere_becomes_a_tombstone(
    workspace, make_sample, commit, stored, erase_row
):
    gone = stored(1)
    commit(gone, stored(2))
    erase_row(gone)
    content = encode_row(make_sample(1, file_name="jane.jpg"))
    key = ObjectKey(object_key(digest_of(content)))
    with workspace.db.write() as tx:
        write_objects(tx, [StoredObject(key, "row", content)])
        assert read_rows(tx, [key]) == {}
        (tombstone,) = find_tombstones(tx, [digest_of(content)]).values()
    assert (tombstone.kind, tombstone.sample, tombstone.reason) == ("row", gone.id, "asked")
