"""Garbage collection: what is needed stays, what is not and is old goes, at whatever crash."""

import os
import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from sightloop.contracts.decode import encode
from sightloop.datasets import tree
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import ObjectDamaged, ObjectMissing
from sightloop.datasets.indexes import index_of, index_path
from sightloop.datasets.keys import digest_of_key, object_key
from sightloop.datasets.samples import iterate_samples, load_commit, read_samples
from sightloop.datasets.store import StoredNodes, delete_ref, list_refs
from sightloop.datasets.upkeep import collecting, store
from sightloop.datasets.upkeep.collecting import (
    DATA_COLLECTED,
    CollectGarbage,
    collect_garbage,
)
from sightloop.kernel import steps
from sightloop.kernel.actors import LOCAL, Actor, ActorId, Role
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import EventKind, history, tell
from sightloop.kernel.workspace import Call
from sightloop.testing.clock import ManualClock
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace

DAY_S = 86_400.0


def collect(workspace, **fields):
    return collect_garbage(workspace, LOCAL_CALL, CollectGarbage(**fields))


def delete_branch(workspace, name):
    with workspace.db.write() as tx:
        tx.execute(text("DELETE FROM dataset_refs WHERE name = :name"), {"name": name})


def everything_in(workspace):
    """Names of all objects and blobs that are stored."""
    with workspace.db.read() as tx:
        objects = {digest_of_key(key) for key in store.every_key(tx)}
    return objects | {one.digest for one in workspace.blobs.list_blobs()}


def everything_reachable(workspace):
    """The same, of what branches lead to, by another way than the collector's."""
    found = set()
    with workspace.db.read() as tx:
        ahead = [ref.commit for ref in list_refs(tx, "branch")]
        nodes = StoredNodes(tx)
        while ahead:
            commit = ahead.pop()
            record = load_commit(tx, commit)
            found |= {commit, digest_of(encode(record.taxonomy))}
            found |= {digest_of_key(key) for key in node_keys(nodes, record.root)}
            found |= {row for _, row in tree.entries(nodes, record.root)}
            for sample in iterate_samples(tx, commit):
                found.add(sample.image)
                workspace.blobs.read(sample.image)
            ahead += record.parents
    return found


def node_keys(nodes, root):
    ahead, seen = [object_key(root)], set()
    while ahead:
        key = ahead.pop()
        seen.add(key)
        ahead += tree.links(nodes.read([key])[key]).nodes
    return seen


def name_in_steps(tx, inputs):
    """A record of another room that names things."""
    steps.ask_for(tx, steps.StepSpec(name="s", version=1, inputs=inputs), now_ms=1)


def verify(workspace):
    """Read all that branches lead to; returns the samples of main."""
    assert everything_reachable(workspace) <= everything_in(workspace)
    return [one.id for one in current(workspace, "main") or current(workspace, "back")]


def current(workspace, branch):
    with workspace.db.read() as tx:
        heads = [ref.commit for ref in list_refs(tx, "branch") if ref.name == branch]
        return [one for head in heads for one in iterate_samples(tx, head)]


def removed(account):
    return {one.kind: one.n for one in account.removed}


def test_what_only_a_deleted_branch_had_goes_and_the_rest_stays(workspace, stored, commit, age):
    shared, gone = stored(1), stored(2)
    head = commit(shared)
    commit(shared, gone, branch="old")
    delete_branch(workspace, "old")
    age(15)
    account = collect(workspace)
    assert removed(account) == {
        "commit": 1,
        "node": 1,
        "row": 1,
        "split key": 1,
        "image or file": 1,
    }
    assert [one.id for one in read_samples(workspace, head)] == [shared.id]
    assert workspace.blobs.has(shared.image)
    assert not workspace.blobs.has(gone.image)


def test_what_a_branch_left_lately_stays_for_the_grace_period(
    workspace, stored, commit, age, clock
):
    commit(stored(1), branch="old")
    age(20)
    with workspace.db.write() as tx:
        (ref,) = list_refs(tx, "branch")
        delete_ref(tx, ref, now_ms=clock.now_ms())
    age(13)
    account = collect(workspace)
    assert removed(account) == {}
    assert [(one.holder, one.n_commits) for one in account.kept] == [("moved lately", 1)]
    age(2)
    assert removed(collect(workspace))["commit"] == 1


def test_a_dry_run_tells_the_same_and_changes_nothing(workspace, stored, commit, age):
    commit(stored(1))
    commit(*(stored(seed) for seed in range(2, 90)), branch="old")
    delete_branch(workspace, "old")
    age(15)
    before = everything_in(workspace)
    planned = collect(workspace, is_dry_run=True)
    assert everything_in(workspace) == before
    done = collect(workspace)
    assert planned.removed == done.removed
    assert planned.kept == done.kept
    assert planned.is_dry_run
    assert not done.is_dry_run


@pytest.mark.sqlite_only
def test_the_account_equals_what_the_disk_gets_back(workspace, stored, commit, age, disk_bytes):
    commit(stored(1))
    commit(*(stored(seed) for seed in range(2, 400)), branch="old")
    delete_branch(workspace, "old")
    age(15)
    workspace.db.give_back_space()
    blob_bytes, all_bytes = disk_bytes(workspace.blobs.root), disk_bytes(workspace.state)
    account = collect(workspace)
    assert account.file_bytes == blob_bytes - disk_bytes(workspace.blobs.root)
    freed = account.database_before_bytes - account.database_after_bytes
    assert freed > 0.5 * account.record_bytes
    assert account.file_bytes + freed == all_bytes - disk_bytes(workspace.state)


def test_files_stored_within_the_hour_stay_without_any_grace(workspace, stored, commit, clock):
    commit(stored(1))
    young = workspace.blobs.put(b"of a commit that is being made")
    account = collect(workspace, grace_s=0)
    assert (account.n_young, workspace.blobs.has(young)) == (1, True)
    clock.advance(3_700)
    assert collect(workspace, grace_s=0).n_young == 0
    assert not workspace.blobs.has(young)


def test_what_any_table_or_file_names_stays_and_says_for_whom(workspace, stored, commit, age):
    run_of = commit(stored(1), branch="a")
    job_of = commit(stored(2), branch="b")
    weights = workspace.blobs.put(b"weights")
    manifest = workspace.blobs.put(b'{"files":["%s"]}' % weights.encode())
    policy = workspace.blobs.put(b"a saved policy")
    with workspace.db.write() as tx:
        name_in_steps(tx, {"commit": run_of, "bundle": manifest})
        tell(tx, EventKind("policy.changed"), "x", by=LOCAL, at_ms=1, data={"after": policy})
    (workspace.state / "copies").mkdir()
    (workspace.state / "copies" / "one").write_bytes(b"\x00base\xa9" + job_of.encode())
    for name in "ab":
        delete_branch(workspace, name)
    age(15)
    account = collect(workspace)
    assert removed(account) == {}
    assert {one.holder: (one.n_commits, one.n_files) for one in account.kept} == {
        "steps": (1, 3),
        ".sightloop/copies": (1, 1),
        "events": (0, 1),
    }


def test_history_keeps_no_commit(workspace, stored, commit, age):
    head = commit(stored(1), branch="old")
    with workspace.db.write() as tx:
        tell(tx, EventKind("x.happened"), "x", by=LOCAL, at_ms=1, data={"commit": head})
    delete_branch(workspace, "old")
    age(15)
    assert removed(collect(workspace))["commit"] == 1


def test_garbage_is_left_alone_while_something_needed_is_damaged(workspace, stored, commit, age):
    head = commit(stored(1))
    commit(stored(2), branch="old")
    delete_branch(workspace, "old")
    age(15)
    with workspace.db.write() as tx:
        tx.execute(
            text("UPDATE dataset_objects SET content = :other WHERE digest = :key"),
            {"key": object_key(head), "other": b"{"},
        )
    before = everything_in(workspace)
    with pytest.raises(ObjectDamaged, match=head):
        collect(workspace)
    assert everything_in(workspace) == before


def test_a_branch_without_its_commit_stops_collection(workspace, stored, commit, age):
    head = commit(stored(1))
    age(15)
    with workspace.db.write() as tx:
        store.delete_objects(tx, [object_key(head)])
    with pytest.raises(ObjectMissing, match=head):
        collect(workspace)


def test_half_written_files_and_indexes_of_gone_commits_go(workspace, stored, commit, age):
    kept, gone = commit(stored(1)), commit(stored(2), branch="old")
    for one in (kept, gone):
        index_of(workspace, one)
    delete_branch(workspace, "old")
    (workspace.blobs.root / "incoming" / "half").write_bytes(b"half")
    age(15)
    account = removed(collect(workspace))
    assert (account["unfinished"], account["index"]) == (1, 1)
    assert index_path(workspace, kept).exists()
    assert not index_path(workspace, gone).exists()


def test_only_an_admin_may_collect(workspace):
    engineer = Call(Actor(ActorId("eve"), "person", Role.ENGINEER))
    with pytest.raises(NotAllowed):
        collect_garbage(workspace, engineer, CollectGarbage())


def test_collecting_is_on_record_with_numbers_only(workspace, stored, commit, age):
    commit(stored(1), branch="old")
    delete_branch(workspace, "old")
    age(15)
    collect(workspace)
    collect(workspace)
    with workspace.db.read() as tx:
        told = [one for one in history(tx) if one.kind == DATA_COLLECTED]
    assert [one.data["removed"]["commit"] for one in told] == [1]


def test_a_crash_before_any_write_leaves_a_readable_store_and_a_retry_takes_the_rest(
    workspace, stored, commit, age
):
    shared = [stored(seed) for seed in range(3)]
    head = commit(*shared)
    commit(*shared, *(stored(seed) for seed in range(3, 80)), branch="old")
    commit(stored(90), branch="old")
    delete_branch(workspace, "old")
    age(15)
    step = 0
    while True:
        try:
            collect(crashing(workspace, CrashPlan(before_write=step)))
            break
        except SimulatedCrash:
            assert verify(workspace) == [one.id for one in sorted(shared, key=lambda s: s.id)]
            step += 1
    assert step > 5
    assert removed(collect(workspace)) == {}
    assert len(list(workspace.blobs.list_blobs())) == 3
    assert [one.id for one in read_samples(workspace, head)] == verify(workspace)


def test_every_single_crash_point_of_one_collection_is_survived(
    workspace, stored, commit, age, jpeg
):
    kept = stored(1)
    commit(kept)
    n_steps = None
    step = 0
    while n_steps is None or step < n_steps:
        commit(*(stored(seed) for seed in range(10, 14)), branch="old")
        delete_branch(workspace, "old")
        age(15)
        plan = CrashPlan(before_write=step)
        try:
            collect(crashing(workspace, plan))
            n_steps = step
        except SimulatedCrash:
            assert verify(workspace) == [kept.id]
        collect(workspace)
        assert [one.digest for one in workspace.blobs.list_blobs()] == [kept.image]
        step += 1
    assert n_steps >= 10


def test_a_commit_made_between_marking_and_sweeping_keeps_what_it_needs(
    workspace, stored, commit, age, monkeypatch
):
    """Everything it shares with the garbage was there already, so nothing was written anew."""
    samples = [stored(seed) for seed in range(3)]
    commit(*samples, branch="old")
    delete_branch(workspace, "old")
    age(15)
    began = collecting._begin

    def begin_then_commit(*args):
        run = began(*args)
        commit(*samples, branch="back", message="other")
        return run

    monkeypatch.setattr(collecting, "_begin", begin_then_commit)
    assert removed(collect(workspace)) == {"commit": 1}
    assert len(verify(workspace)) == 3


def test_a_record_that_names_a_commit_between_marking_and_sweeping_keeps_it(
    workspace, stored, commit, age, monkeypatch
):
    head = commit(stored(1), branch="old")
    delete_branch(workspace, "old")
    age(15)
    began = collecting._begin

    def begin_then_name(*args):
        run = began(*args)
        with workspace.db.write() as tx:
            name_in_steps(tx, {"commit": head})
        return run

    monkeypatch.setattr(collecting, "_begin", begin_then_name)
    assert removed(collect(workspace)) == {}
    assert len(read_samples(workspace, head)) == 1


def test_what_is_put_again_beside_a_collection_is_never_lost(workspace):
    """Four threads put old garbage again while collections sweep."""
    contents = [b"old %d" % number for number in range(200)]
    for content in contents:
        os.utime(workspace.blobs.local_path(workspace.blobs.put(content)), (1_000, 1_000))
    lost = []

    def put_again(seed):
        order = random.Random(seed).sample(contents, k=len(contents))
        for at in range(0, len(order), 10):
            with workspace.blobs.batch() as batch:
                digests = [batch.put(content) for content in order[at : at + 10]]
            lost.extend(one for one in digests if not workspace.blobs.has(one))

    writers = [threading.Thread(target=put_again, args=(seed,)) for seed in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        collect(workspace, grace_s=0)
        time.sleep(0)
    for writer in writers:
        writer.join()
    assert lost == []
    assert all(workspace.blobs.has(digest_of(content)) for content in contents)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sampled_from("abc"), st.sets(st.integers(0, 12))),
        st.tuples(st.just("delete"), st.sampled_from("abc"), st.just(frozenset())),
        st.tuples(st.just("collect"), st.just(""), st.just(frozenset())),
    ),
    max_size=12,
)


@given(actions=ACTIONS)
@settings(max_examples=25)
def test_after_any_history_what_is_reachable_verifies_and_the_rest_is_gone(
    actions, tmp_path_factory, make_sample, jpeg
):
    clock = ManualClock(now_ms=time.time_ns() // 1_000_000)
    workspace = fresh_workspace(tmp_path_factory.mktemp("any") / "w", clock=clock)
    heads = {}
    for action, branch, seeds in [*actions, ("collect", "", frozenset())]:
        if action == "commit" and (seeds or branch in heads):
            samples = [make_sample(s, image=workspace.blobs.put(jpeg(s))) for s in seeds]
            removals = [one for one in heads.get(branch, {}) if int(one, 16) % 3 == 0]
            chosen = {one.id: one for one in samples}
            request = CommitSamples(
                branch=branch,
                message="m",
                upserts=samples,
                removals=[one for one in removals if one not in chosen],
                new_classes=["spot"],
            )
            if not samples and not request.removals:
                continue
            commit_samples(workspace, LOCAL_CALL, request)
            heads[branch] = {one.id: one for one in current(workspace, branch)}
        elif action == "delete":
            heads.pop(branch, None)
            delete_branch(workspace, branch)
        elif action == "collect":
            clock.advance(15 * DAY_S)
            collect(workspace)
    reachable = everything_reachable(workspace)
    assert everything_in(workspace) == reachable
    workspace.db.close()
