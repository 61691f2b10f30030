import pytest

from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call
from sightloop.review.claiming import ClaimTask, claim_task
from sightloop.review.errors import NoSuchTask
from sightloop.review.queue import ListQueue, list_queue
from sightloop.review.values import TaskFilter
from sightloop.telemetry.values import StreamKey
from tests.review.conftest import box


def queue(factory, *, by=None, after=None, limit=48, **wanted):
    request = ListQueue(wanted=TaskFilter(**wanted), after=after, limit=limit)
    return list_queue(factory.workspace, by or factory.ann, request)


def ids(page):
    return [one.task.id for one in page.tasks]


def test_pages_follow_one_another_without_gap_or_repetition(factory):
    tasks = {factory.audit_task(seed).id for seed in range(1, 8)}
    seen, after = [], None
    while True:
        page = queue(factory, after=after, limit=3)
        seen += ids(page)
        if (after := page.after) is None:
            break
    assert sorted(seen) == sorted(tasks)


def test_what_is_over_comes_the_latest_first(factory, clock):
    tasks = [factory.audit_task(seed).id for seed in (1, 2, 3)]
    for task in tasks:
        clock.advance(1)
        factory.submit(task)
    assert ids(queue(factory, state="done")) == tasks[::-1]
    first = queue(factory, state="done", limit=1)
    assert ids(queue(factory, state="done", after=first.after)) == tasks[1::-1]


def test_a_row_tells_who_holds_the_task_and_how_unsure_the_model_was(factory):
    task = factory.audit_task().id
    claim_task(factory.workspace, factory.ben, ClaimTask())
    (row,) = queue(factory).tasks
    assert row.task.id == task
    assert row.claim.held_by == "ben"
    assert row.uncertainty is None


def test_filters_narrow_the_queue(factory):
    task = factory.audit_task().id
    assert ids(queue(factory, purpose="audit", lane="audit", device="dev_1", stream="cam")) == [
        task
    ]
    for other in ({"purpose": "train"}, {"lane": "drift"}, {"stream": "x"}, {"incident": "i"}):
        assert ids(queue(factory, **other)) == []


def test_progress_and_streams_are_told_with_every_page(factory):
    factory.submit(factory.audit_task(1).id, box())
    factory.audit_task(2)
    page = queue(factory)
    assert [(one.purpose, one.state, one.n_tasks) for one in page.progress] == [
        ("audit", "done", 1),
        ("audit", "open", 1),
    ]
    assert page.streams == [StreamKey("dev_1", "cam")]


def test_a_device_sees_no_queue(factory):
    with pytest.raises(NotAllowed):
        queue(factory, by=Call(Actor(ActorId("dev_1"), "device", Role.DEVICE)))


def test_an_unknown_place_in_the_queue_is_refused(factory):
    with pytest.raises(NoSuchTask):
        queue(factory, after="task_x")
