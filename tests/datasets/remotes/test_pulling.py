"""A pull brings all rows, the images that are asked for, and moves the branch only forward."""

import pytest

from sightloop.datasets.branches import head_of
from sightloop.datasets.commits import LogCommits, log_commits
from sightloop.datasets.errors import BadFilter, MergeNeeded, NoSuchRef, RemoteDamaged
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.remotes.fetching import Fetch, fetch
from sightloop.datasets.remotes.promises import BlobPromised, explain_missing
from sightloop.datasets.remotes.pulling import Pull, pull, pull_from
from sightloop.datasets.remotes.pushing import Push, push
from sightloop.datasets.remotes.receiving import fetch_blobs, fetch_objects
from sightloop.datasets.remotes.sources import reading
from sightloop.datasets.remotes.store import is_promised, promised_among
from sightloop.datasets.samples import read_samples
from sightloop.datasets.store import Ref, create_ref, find_ref, samples_with_keys
from sightloop.datasets.values import ClassId, LabelledObject, imported_annotations
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotFound
from sightloop.testing.remote_stores import WatchedStore
from sightloop.testing.workspaces import LOCAL_CALL


@pytest.fixture
def labelled(ours, jpeg, make_sample):
    """Commits 60 images, every tenth with a hole, on two lines; returns the samples."""
    from sightloop.datasets.commits import CommitSamples, commit_samples

    samples = []
    with ours.blobs.batch() as batch:
        images = [batch.put(jpeg(seed)) for seed in range(60)]
    for seed, image in enumerate(images):
        one = make_sample(seed, image=image, boxes=[])
        name = ClassId("hole" if seed % 10 == 0 else "spot")
        found = [LabelledObject(name, BoxPx(1, 1, 9, 9), {})]
        annotations = imported_annotations(one.id, found)
        fields = {"slices": {"line": "AB"[seed % 2]}, "tags": ["night"] if seed < 5 else []}
        samples.append(make_sample(seed, image=image, annotations=annotations, **fields))
    request = CommitSamples(
        branch="main", message="m", upserts=samples, new_classes=["spot", "hole"]
    )
    commit_samples(ours, LOCAL_CALL, request)
    push(ours, LOCAL_CALL, Push())
    return samples


def here(workspace, samples):
    return {one.file_name for one in samples if workspace.blobs.has(one.image)}


def test_a_pull_brings_the_whole_branch(ours, theirs, commit):
    commit(ours, *range(70))
    head = commit(ours, 100)
    push(ours, LOCAL_CALL, Push())
    pulled = pull(theirs, LOCAL_CALL, Pull())
    assert (pulled.before, pulled.commit, pulled.n_images, pulled.n_left) == (None, head, 71, 0)
    samples = read_samples(theirs, head)
    assert samples == read_samples(ours, head)
    for one in samples:
        assert theirs.blobs.read(one.image) == ours.blobs.read(one.image)
    history = log_commits(theirs, LOCAL_CALL, LogCommits(ref="main"))
    assert [one.message for one in history] == ["add (100,)", f"add {tuple(range(70))}"]


def test_images_of_older_commits_come_too(ours, theirs, commit):
    from sightloop.datasets.commits import CommitSamples, commit_samples

    first = commit(ours, 1, 2)
    gone = read_samples(ours, first)[0]
    request = CommitSamples(branch="main", message="less", removals=[gone.id])
    commit_samples(ours, LOCAL_CALL, request)
    push(ours, LOCAL_CALL, Push())
    assert pull(theirs, LOCAL_CALL, Pull()).n_images == 2
    assert theirs.blobs.has(gone.image)


def test_split_keys_of_pulled_rows_are_known(ours, theirs, commit):
    head = commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    (sample,) = read_samples(theirs, head)
    with theirs.db.read() as tx:
        assert samples_with_keys(tx, [sample.split_key]) == [sample.id]


def test_a_second_pull_costs_a_few_requests_and_brings_the_difference(
    ours, theirs, commit, remote_of
):
    commit(ours, *range(100))
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    head = commit(ours, 500)
    push(ours, LOCAL_CALL, Push())
    remote = remote_of(theirs, WatchedStore)
    with reading(remote) as source:
        pulled = pull_from(theirs, LOCAL_CALL, source, Pull())
    assert (pulled.commit, pulled.n_images) == (head, 1)
    assert remote.store.n_requests.total() <= 10
    assert remote.store.bytes_read < 12_000


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"class_name": "hole"}, lambda one: int(one.file_name[:-4]) % 10 == 0),
        ({"slices": ["line=B"]}, lambda one: one.slices["line"] == "B"),
        ({"tag": "night"}, lambda one: one.tags == ["night"]),
        ({"class_name": "hole", "slices": ["line=B"]}, lambda _: False),
    ],
)
def test_a_partial_pull_brings_all_rows_and_the_images_that_fit(labelled, theirs, wanted, fits):
    pulled = pull(theirs, LOCAL_CALL, Pull(**wanted))
    fitting = {one.file_name for one in labelled if fits(one)}
    assert here(theirs, labelled) == fitting
    assert pulled.n_left == 60 - len(fitting)
    assert len(read_samples(theirs, pulled.commit)) == 60


def test_a_partial_pull_reads_little_beside_what_fits(labelled, theirs, remote_of):
    remote = remote_of(theirs, WatchedStore)
    with reading(remote) as source:
        pulled = pull_from(theirs, LOCAL_CALL, source, Pull(class_name="hole"))
    assert remote.store.n_requests["get_range"] <= 3
    extra = remote.store.bytes_read - pulled.images_bytes - pulled.fetched.size_bytes
    assert extra < 3_000


def test_the_rest_comes_with_the_next_pull(labelled, theirs):
    pull(theirs, LOCAL_CALL, Pull(split="val"))
    pulled = pull(theirs, LOCAL_CALL, Pull())
    assert (len(here(theirs, labelled)), pulled.n_left) == (60, 0)
    assert pull(theirs, LOCAL_CALL, Pull()).n_images == 0


def test_reading_an_image_that_was_left_says_where_it_is(labelled, theirs):
    pull(theirs, LOCAL_CALL, Pull(class_name="hole"))
    left = next(one for one in labelled if not theirs.blobs.has(one.image))
    with theirs.db.read() as tx:
        assert is_promised(tx, left.image)
        assert not is_promised(tx, digest_of(b"unknown"))
    blobs = LocalBlobs(theirs.state / "blobs", explain=explain_missing(theirs.db))
    with pytest.raises(
        BlobPromised, match=r"still at remote origin.*data pull --from origin"
    ) as caught:
        blobs.read(left.image)
    assert (caught.value.code, caught.value.facts["remote"]) == ("DATA-059", "origin")


def test_labels_of_an_image_that_was_left_can_be_changed(labelled, theirs):
    from msgspec.structs import replace

    from sightloop.datasets.commits import CommitSamples, commit_samples

    pull(theirs, LOCAL_CALL, Pull(class_name="hole"))
    left = next(one for one in labelled if not theirs.blobs.has(one.image))
    changed = replace(left, tags=["looked at"])
    request = CommitSamples(branch="main", message="tag", upserts=[changed])
    assert commit_samples(theirs, LOCAL_CALL, request).n_changed == 1
    assert push(theirs, LOCAL_CALL, Push()).n_images == 0


def test_a_filter_that_fits_nothing_by_its_name_is_refused(labelled, theirs):
    with pytest.raises(BadFilter, match="'hoel'"):
        pull(theirs, LOCAL_CALL, Pull(class_name="hoel"))
    with pytest.raises(BadFilter):
        pull(theirs, LOCAL_CALL, Pull(split="training"))


def test_a_fetch_moves_nothing_of_ours(ours, theirs, commit):
    head = commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    fetched = fetch(theirs, LOCAL_CALL, Fetch())
    assert [(one.name, one.commit) for one in fetched.refs] == [("origin/main", head)]
    with theirs.db.read() as tx:
        assert head_of(tx, "main") is None
    assert len(log_commits(theirs, LOCAL_CALL, LogCommits(ref="origin/main"))) == 1
    assert fetch(theirs, LOCAL_CALL, Fetch()).refs == []


def test_branches_that_both_moved_on_need_a_merge(ours, theirs, commit):
    commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    mine = commit(theirs, 2)
    head = commit(ours, 3)
    push(ours, LOCAL_CALL, Push())
    with pytest.raises(
        MergeNeeded, match="merge needed: `sightloop data merge origin/main`"
    ) as caught:
        pull(theirs, LOCAL_CALL, Pull())
    assert caught.value.code == "DATA-057"
    with theirs.db.read() as tx:
        assert head_of(tx, "main") == mine
        tracking = find_ref(tx, "remote", "origin/main")
    assert tracking is not None
    assert tracking.commit == head


def test_a_branch_that_is_ahead_stays(ours, theirs, commit):
    commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    mine = commit(theirs, 2)
    assert pull(theirs, LOCAL_CALL, Pull()).commit == mine
    with theirs.db.read() as tx:
        assert head_of(tx, "main") == mine


def test_tags_come_with_a_fetch_and_ours_are_kept(ours, theirs, commit):
    head = commit(ours, 1)
    other = commit(theirs, 2)
    for workspace, name, at in ((ours, "v1", head), (ours, "v2", head), (theirs, "v2", other)):
        with workspace.db.write() as tx:
            create_ref(tx, Ref("tag", name, at, 0))
    for name in ("v1", "v2"):
        push(ours, LOCAL_CALL, Push(ref=name))
    fetched = fetch(theirs, LOCAL_CALL, Fetch())
    assert [one.name for one in fetched.refs] == ["v1"]
    assert fetched.kept_tags == ["v2"]
    assert pull(theirs, LOCAL_CALL, Pull(ref="v1")).n_images == 1


def test_nothing_there_and_no_such_branch_are_said(ours, theirs, commit):
    with pytest.raises(NotFound, match=r"there is no data set at .*; push to it first"):
        pull(theirs, LOCAL_CALL, Pull())
    commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    with pytest.raises(NoSuchRef, match="origin/nope"):
        pull(theirs, LOCAL_CALL, Pull(ref="nope"))


def flip(path, at=10):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_flipped_image_is_named_and_the_others_are_kept(labelled, theirs, remote_folder):
    pack = next((remote_folder / "packs").glob("*.pack"))
    flip(pack)
    with pytest.raises(RemoteDamaged, match=f"remote origin is damaged: packs/{pack.stem}.pack"):
        pull(theirs, LOCAL_CALL, Pull())
    assert len(here(theirs, labelled)) == 59
    with theirs.db.read() as tx:
        assert head_of(tx, "main") is None
    flip(pack)
    assert pull(theirs, LOCAL_CALL, Pull()).n_left == 0


def test_a_truncated_pack_is_named(labelled, theirs, remote_folder):
    pack = next((remote_folder / "packs").glob("*.pack"))
    content = pack.read_bytes()
    pack.write_bytes(content[: len(content) // 2])
    with pytest.raises(RemoteDamaged, match=pack.stem):
        pull(theirs, LOCAL_CALL, Pull())
    assert 0 < len(here(theirs, labelled)) < 60


@pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
def test_damaged_metadata_moves_no_ref(labelled, theirs, remote_folder, how):
    pack = next((remote_folder / "metadata").glob("*.pack"))
    content = pack.read_bytes()
    if how == "flip":
        flip(pack, len(content) // 2)
    elif how == "truncate":
        pack.write_bytes(content[:-5])
    else:
        pack.unlink()
    with pytest.raises(RemoteDamaged) as caught:
        pull(theirs, LOCAL_CALL, Pull())
    assert caught.value.code == "DATA-058"
    with theirs.db.read() as tx:
        assert find_ref(tx, "remote", "origin/main") is None
    pack.write_bytes(content)
    assert pull(theirs, LOCAL_CALL, Pull()).n_left == 0


def test_a_damaged_index_is_named(labelled, theirs, remote_folder):
    index = next((remote_folder / "packs").glob("*.index"))
    flip(index)
    with pytest.raises(RemoteDamaged, match=f"packs/{index.name} has other bytes than were sent"):
        pull(theirs, LOCAL_CALL, Pull())


def test_an_image_that_no_pack_has_is_named(labelled, theirs, remote_folder):
    for path in (remote_folder / "packs").iterdir():
        path.unlink()
    with pytest.raises(RemoteDamaged, match="is in no pack"):
        pull(theirs, LOCAL_CALL, Pull())


def test_what_was_cleared_away_here_comes_again(ours, theirs, commit):
    from sqlalchemy import delete

    from sightloop.kernel.database import metadata

    commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    fetch(theirs, LOCAL_CALL, Fetch())
    with theirs.db.write() as tx:
        for table in ("dataset_objects", "dataset_refs"):
            tx.execute(delete(metadata.tables[table]))
    assert len(fetch(theirs, LOCAL_CALL, Fetch()).refs) == 1
    assert pull(theirs, LOCAL_CALL, Pull()).n_images == 1


def test_single_images_and_objects_can_be_fetched_by_digest(labelled, theirs):
    head = pull(theirs, LOCAL_CALL, Pull(class_name="hole")).commit
    left = [one.image for one in labelled if not theirs.blobs.has(one.image)][:3]
    nowhere = digest_of(b"nowhere")
    fetched = fetch_blobs(theirs, "origin", [*left, nowhere])
    assert (fetched.n, fetched.missing) == (3, [nowhere])
    assert all(theirs.blobs.has(one) for one in left)
    with theirs.db.read() as tx:
        assert not promised_among(tx, [bytes.fromhex(one[7:]) for one in left])
    (found,) = fetch_objects(theirs, "origin", [head, nowhere])
    assert (found.kind, digest_of(found.content)) == ("commit", head)


def test_what_both_did_is_merged_and_pushed(ours, theirs, commit):
    from sightloop.datasets.merging import MergeBranch, merge_branch

    commit(ours, 1)
    push(ours, LOCAL_CALL, Push())
    pull(theirs, LOCAL_CALL, Pull())
    commit(theirs, 2)
    commit(ours, 3)
    push(ours, LOCAL_CALL, Push())
    with pytest.raises(MergeNeeded):
        pull(theirs, LOCAL_CALL, Pull())
    merged = merge_branch(theirs, LOCAL_CALL, MergeBranch(source="origin/main")).commit
    assert pull(theirs, LOCAL_CALL, Pull()).n_left == 0
    pushed = push(theirs, LOCAL_CALL, Push())
    assert (pushed.n_commits, pushed.n_images) == (2, 1)
    pulled = pull(ours, LOCAL_CALL, Pull())
    assert (pulled.commit, pulled.n_images) == (merged, 1)
    assert len(read_samples(ours, merged)) == 3
