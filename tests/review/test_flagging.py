import pytest

from sightloop.kernel.actors import Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.review.blinding import BLIND_SHARE, is_blind
from sightloop.review.errors import TaskNotOpen
from sightloop.review.flagging import (
    FlagImages,
    OpenAuditTasks,
    OpenFlagged,
    WithdrawTasks,
    flag_images,
    open_audit_tasks,
    open_flagged,
    withdraw_tasks,
)
from sightloop.review.labels import latest_label
from sightloop.telemetry.values import StreamKey


def audit(factory, *kept):
    return open_audit_tasks(factory.workspace, factory.loop, OpenAuditTasks(kept=list(kept)))


def flag(factory, **changes):
    request = {"incident": "inc_1", "budget": 3, "streams": [factory.camera]} | changes
    return flag_images(factory.workspace, factory.loop, FlagImages(**request))


def open_some(factory, **changes):
    request = {"incident": "inc_1", "budget": 2} | changes
    return open_flagged(factory.workspace, factory.loop, OpenFlagged(**request))


def kept_of(factory, made):
    return [factory.task(task).kept for task in made.tasks]


def test_an_audited_image_becomes_an_open_task(factory):
    task = factory.audit_task(group="board 1")
    assert (task.purpose, task.state, task.group) == ("audit", "open", "board 1")
    assert (task.width_px, task.height_px, task.inclusion_probability) == (40, 30, 0.25)


def test_an_image_of_another_lane_is_no_audit(factory):
    assert audit(factory, factory.keep(1, lane="drift")).tasks == []


def test_an_audited_image_is_asked_for_once(factory):
    kept = factory.keep(1)
    first, second = audit(factory, kept), audit(factory, kept, kept)
    assert (first.tasks, first.n_new, second.n_new) == (second.tasks, 1, 0)
    assert len(factory.told("tasks.opened")) == 1


def test_an_unknown_kept_image_is_not_found(factory):
    with pytest.raises(NotFound, match="kept image 'kept_x'"):
        audit(factory, "kept_x")


def test_a_quarter_of_the_audit_tasks_is_blind_and_carries_no_prelabels(factory):
    made = audit(factory, *[factory.keep(seed) for seed in range(24)])
    tasks = [factory.task(task) for task in made.tasks]
    assert [task.blind for task in tasks] == [is_blind(task.id) for task in tasks]
    assert {len(task.prelabels) for task in tasks if task.blind} == {0}
    assert {len(task.prelabels) for task in tasks if not task.blind} == {1}


def test_the_blind_share_of_many_tasks_is_a_quarter():
    n_blind = sum(is_blind(f"task {index}") for index in range(20_000))
    assert abs(n_blind / 20_000 - BLIND_SHARE) < 0.01


def test_prelabels_are_what_the_device_reported(factory):
    factory.keep(1, lane="drift")
    (task,) = flag(factory).tasks
    assert [found.score for found in factory.task(task).prelabels] == [0.9]


def test_flagged_images_are_no_open_tasks(factory):
    factory.keep(1, lane="drift")
    (task,) = flag(factory).tasks
    assert (factory.task(task).state, factory.task(task).purpose) == ("flagged", "train")
    assert factory.told("tasks.flagged")[0].data == {"incident": "inc_1", "tasks": [task]}


def test_the_budget_holds_over_repeated_requests(factory):
    for seed in range(6):
        factory.keep(seed, lane="drift")
    first, second = flag(factory), flag(factory)
    assert (first.n_new, second.n_new) == (3, 0)
    assert first.tasks == second.tasks
    assert flag(factory, budget=5).n_new == 2


def test_only_the_incidents_streams_and_time_are_chosen_from(factory):
    factory.keep(1, lane="drift", stream="other")
    late = factory.keep(2, lane="drift", captured_at_ms=9000)
    factory.keep(3, lane="drift", captured_at_ms=100)
    assert kept_of(factory, flag(factory, since_ms=5000)) == [late]


def test_without_streams_named_every_stream_is_chosen_from(factory):
    factory.keep(1, lane="drift", stream="other")
    assert flag(factory, streams=[StreamKey("dev_9", "cam")]).tasks == []
    assert len(flag(factory, streams=None).tasks) == 1


@pytest.mark.parametrize(
    "audited", [{"group": "board 1"}, {"seed": 1}], ids=["same group", "same image"]
)
def test_what_the_audit_lane_holds_is_never_flagged(factory, audited):
    factory.keep(1, lane="drift", group="board 1")
    factory.keep(**({"seed": 2} | audited))
    assert flag(factory).tasks == []


def test_a_group_that_somebody_named_for_an_audited_image_is_never_flagged(factory):
    task = factory.audit_task(1)
    factory.submit(task.id, split_key="board 7")
    factory.keep(2, lane="drift", group="board 7")
    assert flag(factory).tasks == []


def test_an_image_like_one_with_a_task_is_not_flagged(factory):
    factory.audit_task(1, descriptor=[1.0, 0.0])
    factory.keep(2, lane="drift", descriptor=[0.9999, 0.0141])
    assert flag(factory).tasks == []


def test_a_training_task_is_withdrawn_when_its_group_is_audited(factory):
    factory.keep(1, lane="drift", group="board 1")
    factory.keep(2, lane="drift", group="board 2")
    first, second = sorted(flag(factory).tasks, key=lambda task: factory.task(task).group)
    factory.audit_task(3, group="board 1")
    assert [factory.task(task).state for task in (first, second)] == ["withdrawn", "flagged"]
    assert factory.told("tasks.withdrawn")[0].data["tasks"] == [first]


def test_images_of_unknown_group_are_not_withdrawn_by_an_audit(factory):
    factory.keep(1, lane="drift")
    (task,) = flag(factory).tasks
    factory.audit_task(3)
    assert factory.task(task).state == "flagged"


def test_a_withdrawn_task_gives_its_place_in_the_budget_to_another(factory):
    for seed in range(6):
        factory.keep(seed, lane="drift")
    gone = flag(factory).tasks[0]
    withdraw_tasks(factory.workspace, factory.loop, WithdrawTasks(tasks=[gone], reason="blurred"))
    assert (flag(factory).n_new, factory.task(gone).note) == (1, "blurred")


def test_withdrawing_is_all_or_nothing(factory):
    for seed in range(2):
        factory.keep(seed, lane="drift")
    first, second = flag(factory).tasks
    open_some(factory)
    factory.submit(second)
    request = WithdrawTasks(tasks=[first, second], reason="no longer wanted")
    with pytest.raises(TaskNotOpen, match=f"task {second} is done and cannot be withdrawn"):
        withdraw_tasks(factory.workspace, factory.loop, request)
    assert factory.task(first).state == "open"


def test_the_most_useful_flagged_images_are_opened_first(factory):
    for seed in range(4):
        factory.keep(seed, lane="drift", uncertainty=seed / 10)
    flagged = flag(factory).tasks
    opened = open_some(factory)
    assert (opened.tasks, opened.n_new) == (flagged[:2], 2)
    assert factory.told("tasks.opened")[0].data == {
        "purpose": "train",
        "incident": "inc_1",
        "tasks": flagged[:2],
    }


def test_opening_again_opens_no_more_than_the_budget(factory):
    for seed in range(4):
        factory.keep(seed, lane="drift")
    flag(factory)
    open_some(factory)
    assert open_some(factory).n_new == 0
    assert open_some(factory, budget=3).n_new == 1


def test_what_an_earlier_incident_flagged_on_a_stream_can_be_opened_for_another(factory):
    factory.keep(1, lane="drift")
    (task,) = flag(factory, incident="inc_input").tasks
    assert open_some(factory, incident="inc_loss").tasks == []
    opened = open_some(factory, incident="inc_loss", streams=[factory.camera])
    assert (opened.tasks, factory.task(task).opened_for) == ([task], "inc_loss")


@pytest.mark.parametrize(
    ("service", "request_"),
    [
        (open_audit_tasks, OpenAuditTasks(kept=[])),
        (flag_images, FlagImages(incident="i", budget=1)),
        (open_flagged, OpenFlagged(incident="i", budget=1)),
        (withdraw_tasks, WithdrawTasks(tasks=[], reason="")),
    ],
)
def test_an_annotator_cannot_decide_what_is_labelled(factory, service, request_):
    assert factory.ann.actor.role is Role.ANNOTATOR
    with pytest.raises(NotAllowed, match="run the loop"):
        service(factory.workspace, factory.ann, request_)


def test_there_is_no_latest_label_before_the_first(factory):
    with factory.workspace.db.read() as tx:
        assert latest_label(tx) == 0
