import threading

import pytest

from sightloop.datasets.errors import NoSuchRef
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call
from sightloop.review.boxes import TaskBox
from sightloop.review.errors import AlreadyLabelled, BadLabels, NoSuchTask, TaskNotOpen
from sightloop.review.flagging import FlagImages, OpenFlagged, flag_images, open_flagged
from sightloop.review.labelling import SIMULATED, SkipTask, skip_task
from sightloop.review.labels import find_labels, label_counts, latest_label
from sightloop.review.listing import ListTasks, ShowTask, list_tasks, show_task
from sightloop.review.values import LabelCount
from sightloop.telemetry.store import losses_after
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing

WHERE_THE_DENT_IS = (2, 2, 12, 12)


def box(class_name="dent", corners=WHERE_THE_DENT_IS):
    x1, y1, x2, y2 = corners
    return TaskBox(class_name=class_name, x1=x1, y1=y1, x2=x2, y2=y2)


def labels_of(factory, task):
    with factory.workspace.db.read() as tx:
        return find_labels(tx, task)


def losses(factory):
    with factory.workspace.db.read() as tx:
        return losses_after(tx, 0)


def counts(factory, **filters):
    with factory.workspace.db.read() as tx:
        return label_counts(tx, **filters)


def flagged_task(factory):
    factory.keep(5, lane="drift")
    request = FlagImages(incident="inc_1", budget=1)
    return flag_images(factory.workspace, factory.loop, request).tasks[0]


def test_labels_are_saved_with_who_when_and_how_long(factory, clock):
    task = factory.audit_task()
    factory.submit(task.id, box(), duration_ms=7000)
    labels = labels_of(factory, task.id)
    assert (labels.labelled_by, labels.source, labels.duration_ms) == ("ann", "human:ann", 7000)
    assert labels.labelled_at_ms == clock.now_ms()
    assert labels.labelled_for == ["dent", "scratch"]
    assert factory.task(task.id).state == "done"


def test_simulated_labels_say_so(factory):
    task = factory.audit_task()
    factory.submit(task.id, simulated=True)
    assert labels_of(factory, task.id).source == SIMULATED


def test_each_submission_is_told_once(factory):
    factory.point_at("line=a")
    task = factory.audit_task()
    factory.submit(task.id, box())
    (event,) = factory.told("labels.verified")
    assert (event.subject, event.actor) == (task.id, "ann")
    assert event.data == {
        "task": task.id,
        "kept": task.kept,
        "purpose": "audit",
        "strata": ["", "line=a"],
        "n_boxes": 1,
    }


@pytest.mark.parametrize(
    ("boxes", "loss"),
    [
        ([box()], 0.0),
        ([], 1.0),
        ([box("scratch")], 1.0),
        ([box(), box(corners=(20, 5, 30, 15))], pytest.approx(1 / 3)),
    ],
    ids=["all found", "reported for nothing", "wrong class", "one missed"],
)
def test_labels_of_an_audited_image_give_its_loss_at_once(factory, boxes, loss):
    factory.point_at("line=a")
    task = factory.audit_task()
    assert factory.submit(task.id, *boxes).loss == loss
    (stored,) = losses(factory)
    assert (stored.loss, stored.kept, stored.bundle) == (loss, task.kept, factory.bundle)
    assert (stored.stratum_stream, stored.inclusion_probability) == ("line=a", 0.25)


def test_an_object_of_a_class_the_bundle_lacks_was_not_found(factory):
    factory.commit_image(7, new_classes=["crack"])
    task = factory.audit_task()
    submitted = factory.submit(task.id, box(), box("crack", (20, 5, 30, 15)))
    assert submitted.loss == pytest.approx(1 / 3)


def test_the_strata_of_a_loss_are_those_the_labeller_saw(factory):
    factory.point_at("line=a")
    task = factory.audit_task()
    factory.submit(task.id, slices={"line": "b", "light": "low"})
    (stored,) = losses(factory)
    assert (stored.stratum_stream, stored.strata) == ("line=a", ["", "light=low", "line=b"])


def test_labels_for_training_give_no_loss(factory):
    task = flagged_task(factory)
    open_flagged(factory.workspace, factory.loop, OpenFlagged(incident="inc_1", budget=1))
    assert factory.submit(task, box()).loss is None
    assert losses(factory) == []


def test_the_second_of_two_labellers_gets_a_conflict_and_the_first_labels_stay(factory):
    task = factory.audit_task()
    factory.submit(task.id, box())
    with pytest.raises(AlreadyLabelled, match="was labelled by ann at 2023-11-14T") as refused:
        factory.submit(task.id, by=factory.ben)
    assert (refused.value.code, refused.value.http_status) == ("REV-020", 409)
    assert "take the next open task" in refused.value.message
    assert len(labels_of(factory, task.id).boxes) == 1
    assert len(losses(factory)) == 1


def test_saving_the_same_labels_again_changes_nothing(factory):
    task = factory.audit_task()
    first, second = (factory.submit(task.id, box()) for _ in range(2))
    assert (first.is_new, second.is_new, second.loss) == (True, False, first.loss)
    assert (len(losses(factory)), len(factory.told("labels.verified"))) == (1, 1)


def test_other_labels_of_the_same_person_are_a_conflict(factory):
    task = factory.audit_task()
    factory.submit(task.id, box())
    with pytest.raises(AlreadyLabelled):
        factory.submit(task.id)


def test_of_many_who_save_at_once_one_succeeds(factory):
    task = factory.audit_task()
    outcomes = []

    def save(name: str) -> None:
        call = Call(Actor(ActorId(name), "person", Role.ANNOTATOR))
        try:
            outcomes.append(factory.submit(task.id, box(), by=call).is_new)
        except AlreadyLabelled:
            outcomes.append(False)

    threads = [threading.Thread(target=save, args=(f"person {index}",)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 5 + [True]
    assert (len(losses(factory)), len(factory.told("labels.verified"))) == (1, 1)


def test_wrong_boxes_are_refused_all_at_once(factory):
    task = factory.audit_task()
    with pytest.raises(BadLabels, match="did you mean 'scratch'") as refused:
        factory.submit(
            task.id, box("scrach"), box(corners=(0, 0, 400, 5)), slices={"": "x"}, split_key=""
        )
    assert (refused.value.code, len(refused.value.facts["problems"])) == ("REV-001", 4)
    assert factory.task(task.id).state == "open"


def test_labels_for_an_unknown_task_or_branch_are_refused(factory):
    with pytest.raises(NoSuchTask, match="there is no task 'task_x'"):
        factory.submit("task_x")
    with pytest.raises(NoSuchRef):
        factory.submit(factory.audit_task().id, branch="nowhere")


def test_a_flagged_task_does_not_take_labels(factory):
    task = flagged_task(factory)
    with pytest.raises(TaskNotOpen, match="is flagged and cannot be labelled") as refused:
        factory.submit(task)
    assert refused.value.code == "REV-021"


def test_a_viewer_cannot_label(factory):
    task = factory.audit_task()
    viewer = Call(Actor(ActorId("vic"), "person", Role.VIEWER))
    with pytest.raises(NotAllowed, match="may not label"):
        factory.submit(task.id, by=viewer)


def test_a_crash_while_saving_leaves_the_task_open_and_saving_again_works(factory):
    task = factory.audit_task()
    healthy = factory.workspace
    factory.workspace = crashing(healthy, CrashPlan(before_write=0))
    with pytest.raises(SimulatedCrash):
        factory.submit(task.id, box())
    factory.workspace = healthy
    assert (factory.task(task.id).state, losses(factory)) == ("open", [])
    assert factory.submit(task.id, box()).is_new


def test_a_skipped_task_can_be_labelled_by_somebody_else(factory):
    task = factory.audit_task()
    skip_task(factory.workspace, factory.ann, SkipTask(task=task.id, reason="too dark"))
    assert (factory.task(task.id).state, factory.task(task.id).note) == ("skipped", "too dark")
    assert factory.submit(task.id, by=factory.ben).is_new


def test_a_done_task_cannot_be_skipped(factory):
    task = factory.audit_task()
    factory.submit(task.id)
    with pytest.raises(TaskNotOpen, match="is done and cannot be skipped"):
        skip_task(factory.workspace, factory.ann, SkipTask(task=task.id, reason="too dark"))


def test_a_labeller_who_looked_away_makes_a_task_blind(factory):
    task = next(task for seed in range(1, 99) if not (task := factory.audit_task(seed)).blind)
    factory.submit(task.id, blind=True)
    assert labels_of(factory, task.id).blind


def test_tasks_are_listed_audits_first_and_counted(factory):
    open_task = flagged_task(factory)
    audited = factory.audit_task(9)
    found = list_tasks(factory.workspace, factory.ann, ListTasks())
    assert [task.id for task in found.tasks] == [audited.id, open_task]
    assert found.counts == {"flagged": 1, "open": 1}


def test_tasks_can_be_listed_by_state_purpose_and_incident(factory):
    flagged = flagged_task(factory)
    factory.audit_task(9)

    def ids(**filters):
        found = list_tasks(factory.workspace, factory.ann, ListTasks(**filters))
        return [task.id for task in found.tasks]

    assert ids(states=["flagged"]) == ids(purpose="train") == ids(incident="inc_1") == [flagged]
    assert len(ids(limit=1)) == 1


def test_a_task_is_shown_with_its_labels_and_the_classes_of_its_prelabels(factory):
    task = factory.audit_task()
    factory.submit(task.id, box())
    shown = show_task(factory.workspace, factory.ann, ShowTask(task=task.id))
    assert shown.class_names == ["dent", "scratch"]
    assert shown.labels == labels_of(factory, task.id)


def test_labels_are_counted_by_stratum_and_purpose(factory):
    factory.point_at("line=a")
    factory.submit(factory.audit_task(1).id, box(), box(corners=(20, 5, 30, 15)))
    factory.submit(factory.audit_task(2).id, slices={"light": "low"})
    assert counts(factory) == [
        LabelCount(stratum="", purpose="audit", n_images=2, n_boxes=2),
        LabelCount(stratum="light=low", purpose="audit", n_images=1, n_boxes=0),
        LabelCount(stratum="line=a", purpose="audit", n_images=2, n_boxes=2),
    ]
    assert len(counts(factory, stratum="light=low")) == 1


def test_only_labels_saved_since_are_counted(factory, clock):
    factory.submit(factory.audit_task(1).id)
    with factory.workspace.db.read() as tx:
        before = latest_label(tx)
    clock.advance(60)
    assert counts(factory, since_number=before) == counts(factory, since_ms=clock.now_ms()) == []
    factory.submit(factory.audit_task(2).id)
    (since,) = counts(factory, since_number=before)
    assert counts(factory, since_ms=clock.now_ms()) == [since]
    assert since.n_images == 1
