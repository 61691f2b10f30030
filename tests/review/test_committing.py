import threading

import msgspec
import pytest

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.commits import (
    CommitSamples,
    LogCommits,
    commit_samples,
    log_commits,
)
from sightloop.datasets.errors import HeadMoved, NoSuchRef
from sightloop.datasets.samples import read_samples
from sightloop.datasets.upkeep.erasing import EraseData, erase_data
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call
from sightloop.review.boxes import TaskBox
from sightloop.review.committing import CommitLabels, commit_labels
from sightloop.review.flagging import FlagImages, OpenFlagged, flag_images, open_flagged
from sightloop.review.labels import find_labels
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import fresh_workspace

DENT = TaskBox(class_name="dent", x1=2, y1=2, x2=12, y2=12)
LOCAL_CALL = Call(LOCAL)


def commit(factory, **changes):
    request = CommitLabels(**({"branch": "main"} | changes))
    return commit_labels(factory.workspace, LOCAL_CALL, request)


def labelled_samples(workspace):
    """Samples of the branch that came from a camera; the factory's first image did not."""
    with workspace.db.read() as tx:
        head = resolve_ref(tx, "main")
    return [sample for sample in read_samples(workspace, head) if sample.capture is not None]


def n_commits(workspace):
    return len(log_commits(workspace, LOCAL_CALL, LogCommits(ref="main")))


def training_task(factory, seed=5, **changes):
    factory.keep(seed, **({"lane": "drift"} | changes))
    flag_images(factory.workspace, factory.loop, FlagImages(incident="inc_1", budget=9))
    request = OpenFlagged(incident="inc_1", budget=9)
    return open_flagged(factory.workspace, factory.loop, request).tasks[-1]


def test_an_audited_image_enters_reserved_with_its_lane_and_probability(factory):
    factory.point_at("line=a")
    task = factory.audit_task(group="board 1")
    factory.submit(task.id, DENT, slices={"light": "low"})
    commit(factory)
    (sample,) = labelled_samples(factory.workspace)
    assert (sample.reserved, sample.lane, sample.inclusion_probability) == ("audit", "audit", 0.25)
    assert (sample.split_key, sample.slices) == ("board 1", {"line": "a", "light": "low"})
    assert sample.labelled_for == ["dent", "scratch"]
    capture = sample.capture
    assert (capture.device, capture.stream, capture.captured_at_ms) == (
        "dev_1",
        "cam",
        task.captured_at_ms,
    )


def test_labels_become_verified_annotations_of_whoever_made_them(factory):
    factory.submit(factory.audit_task().id, DENT)
    commit(factory)
    ((annotation,),) = [sample.annotations for sample in labelled_samples(factory.workspace)]
    assert (annotation.class_id, annotation.source, annotation.state) == (
        "dent",
        "human:ann",
        "verified",
    )


def test_a_training_image_is_not_reserved(factory):
    factory.submit(training_task(factory), DENT)
    commit(factory)
    (sample,) = labelled_samples(factory.workspace)
    assert (sample.reserved, sample.lane) == (None, "drift")


@pytest.mark.parametrize(
    ("group", "given", "split_key"),
    [("board 1", "board 2", "board 2"), ("board 1", None, "board 1"), ("", None, "image")],
)
def test_the_split_key_is_the_given_one_else_the_group_else_the_image(
    factory, group, given, split_key
):
    task = factory.audit_task(group=group)
    factory.submit(task.id, split_key=given)
    commit(factory)
    (sample,) = labelled_samples(factory.workspace)
    assert sample.split_key == {"image": task.image}.get(split_key, split_key)


def test_a_commit_of_labels_tells_what_it_holds(factory):
    factory.point_at("line=a")
    audited = factory.audit_task(1).id
    trained = training_task(factory)
    factory.submit(audited)
    factory.submit(trained, slices={"light": "low"})
    made = commit(factory)
    (event,) = factory.told("labels.committed")
    assert event.subject == event.data["commit"] == made.commit
    assert event.data == {
        "branch": "main",
        "commit": made.commit,
        "tasks": [audited, trained],
        "n_audit": 1,
        "n_train": 1,
        "strata": {
            "": {"audit": 1, "train": 1},
            "line=a": {"audit": 1, "train": 1},
            "light=low": {"train": 1},
        },
    }


def test_without_new_labels_nothing_is_committed(factory):
    assert commit(factory) is None
    factory.submit(factory.audit_task().id)
    commit(factory)
    assert commit(factory) is None
    assert n_commits(factory.workspace) == 2


def test_labels_of_an_erased_image_are_done_with_and_hold_no_others_back(factory):
    gone, other = factory.audit_task(1), factory.audit_task(2)
    for task in (gone, other):
        factory.submit(task.id)
    request = EraseData(wanted=Wanted(images=[gone.image]), reason="asked")
    erase_data(factory.workspace, LOCAL_CALL, request)
    assert set(commit(factory).tasks) == {gone.id, other.id}
    assert [one.image for one in labelled_samples(factory.workspace)] == [other.image]


def test_the_labels_name_their_commit(factory):
    task = factory.audit_task()
    factory.submit(task.id)
    made = commit(factory)
    with factory.workspace.db.read() as tx:
        assert find_labels(tx, task.id).commit == made.commit


def test_the_oldest_labels_are_committed_first(factory):
    tasks = [factory.audit_task(seed).id for seed in (1, 2, 3)]
    for task in reversed(tasks):
        factory.submit(task)
    assert commit(factory, limit=2).tasks == [tasks[2], tasks[1]]
    assert commit(factory, limit=2).tasks == [tasks[0]]


def test_labels_go_to_the_branch_they_were_made_for(factory):
    factory.submit(factory.audit_task().id, branch="main")
    with pytest.raises(NoSuchRef):
        commit(factory, branch="other")


def test_an_image_kept_by_two_lanes_is_one_sample_and_an_audited_one(factory):
    trained = training_task(factory, captured_at_ms=5000)
    factory.submit(trained, DENT)
    factory.submit(factory.audit_task(5, captured_at_ms=5000).id, DENT)
    assert commit(factory).tasks != []
    assert [sample.reserved for sample in labelled_samples(factory.workspace)] == ["audit"]


def test_an_annotator_cannot_commit(factory):
    with pytest.raises(NotAllowed, match="write data"):
        commit_labels(factory.workspace, factory.ann, CommitLabels(branch="main"))


def submit_some(factory):
    factory.submit(factory.audit_task(1).id, DENT)
    factory.submit(factory.audit_task(2).id)
    factory.submit(training_task(factory), DENT)
    return factory


def test_a_crash_before_any_write_is_healed_by_committing_again(factory, tmp_path):
    plan = CrashPlan()
    submit_some(factory)
    commit_labels(crashing(factory.workspace, plan), LOCAL_CALL, CommitLabels(branch="main"))
    wanted = labelled_samples(factory.workspace)
    assert plan.n_writes == 2
    for step in range(plan.n_writes):
        other = submit_some(type(factory)(fresh_workspace(tmp_path / str(step))))
        dying = crashing(other.workspace, CrashPlan(before_write=step))
        with pytest.raises(SimulatedCrash):
            commit_labels(dying, LOCAL_CALL, CommitLabels(branch="main"))
        assert other.told("labels.committed") == []
        assert commit(other).n_audit == 2
        assert labelled_samples(other.workspace) == wanted
        assert (n_commits(other.workspace), len(other.told("labels.committed"))) == (2, 1)
        dying.db.close()
        other.workspace.db.close()


def test_what_was_corrected_between_a_crash_and_the_next_try_stays(factory):
    factory.submit(factory.audit_task().id, DENT)
    dying = crashing(factory.workspace, CrashPlan(before_write=1))
    with pytest.raises(SimulatedCrash):
        commit_labels(dying, LOCAL_CALL, CommitLabels(branch="main"))
    (sample,) = labelled_samples(factory.workspace)
    corrected = msgspec.structs.replace(sample, tags=["looked at again"])
    request = CommitSamples(branch="main", message="correct", upserts=[corrected])
    commit_samples(factory.workspace, LOCAL_CALL, request)
    commit(factory)
    assert labelled_samples(factory.workspace) == [corrected]
    assert n_commits(factory.workspace) == 3


def test_labels_committed_by_two_at_once_are_committed_once(factory):
    submit_some(factory)
    refused = []

    def work() -> None:
        try:
            commit(factory)
        except HeadMoved as error:
            refused.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert commit(factory) is None
    assert (n_commits(factory.workspace), len(factory.told("labels.committed"))) == (2, 1)
