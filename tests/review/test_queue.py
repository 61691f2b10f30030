import time

import msgspec
import pytest

from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call
from sightloop.review.claiming import ClaimTask, claim_task
from sightloop.review.errors import NoSuchTask
from sightloop.review.queue import ListQueue, list_queue
from sightloop.review.tasks import add_tasks
from sightloop.review.values import TaskFilter
from sightloop.telemetry.values import StreamKey
from tests.review.conftest import box, person


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


def test_at_100_000_tasks_a_page_and_a_claim_take_less_than_200_ms(factory, capsys):
    task = factory.audit_task()
    states = ("open",) * 6 + ("done", "skipped", "flagged", "withdrawn")
    many = [
        msgspec.structs.replace(
            task,
            id=f"task_{n:06}",
            kept=f"kept_{n:06}",
            state=states[n % 10],
            purpose="train" if n % 3 else "audit",
            lane="drift" if n == 77_777 else task.lane,
            priority=2.0 if n % 3 == 0 else 1 - n / 100_000,
            device=f"dev_{n % 300}",
            created_at_ms=n // 50,
            changed_at_ms=n // 7,
        )
        for n in range(100_000)
    ]
    with factory.workspace.db.write() as tx:
        for start in range(0, len(many), 500):
            add_tasks(tx, many[start : start + 500])
    asked = {
        "first page": lambda: queue(factory),
        "deep page": lambda: queue(factory, after="task_090000"),
        "done": lambda: queue(factory, state="done"),
        "done, deep": lambda: queue(factory, state="done", after="task_000006"),
        "one of a rare lane": lambda: queue(factory, lane="drift"),
        "done of a lane that is none": lambda: queue(factory, state="done", lane="novel"),
        "one stream": lambda: queue(factory, device="dev_7", stream="cam"),
        "purpose": lambda: queue(factory, purpose="train"),
        "claim": lambda: claim_task(factory.workspace, person("ann"), ClaimTask()),
        "claim to learn": lambda: claim_task(
            factory.workspace, person("ann"), ClaimTask(purpose="train")
        ),
    }
    took_ms = {}
    for name, ask in asked.items():
        started = time.perf_counter()
        ask()
        took_ms[name] = (time.perf_counter() - started) * 1000
    with capsys.disabled():
        print("\n100,000 tasks:", ", ".join(f"{k} {v:.0f} ms" for k, v in took_ms.items()))
    assert max(took_ms.values()) < 200
