import threading

import pytest

from sightloop.kernel.actors import Role
from sightloop.kernel.errors import NotAllowed
from sightloop.review.claiming import (
    LEASE_S,
    ClaimTask,
    ReleaseTask,
    claim_task,
    release_task,
)
from sightloop.review.errors import NoSuchTask
from sightloop.review.flagging import FlagImages, OpenFlagged, flag_images, open_flagged
from sightloop.review.labelling import SkipTask, skip_task
from tests.review.conftest import person


def claim(factory, by=None, **wanted):
    return claim_task(factory.workspace, by or factory.ann, ClaimTask(**wanted))


def release(factory, task, lease, by=None):
    return release_task(factory.workspace, by or factory.ann, ReleaseTask(task=task, lease=lease))


@pytest.fixture
def tasks(factory):
    return [factory.audit_task(seed).id for seed in range(1, 9)]


def test_two_people_are_given_different_tasks_the_most_urgent_first(factory, tasks):
    first, second = claim(factory), claim(factory, by=factory.ben)
    assert [first.claim.task, second.claim.task] == sorted(tasks)[:2]
    assert (first.claim.held_by, first.work, first.is_yours) == ("ann", "label", True)


def test_of_many_people_at_once_no_two_get_the_same_task_and_each_gets_one(factory, tasks):
    given = []

    def take(name: str) -> None:
        while (got := claim(factory, by=person(name))).claim is not None:
            given.append(got.claim.task)

    threads = [threading.Thread(target=take, args=(f"person {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == sorted(tasks)


def test_people_who_share_a_token_are_given_different_tasks(factory, tasks):
    assert claim(factory).claim.task != claim(factory).claim.task


def test_a_task_somebody_else_holds_is_told_with_who_and_until_when(factory, tasks, clock):
    held = claim(factory).claim
    got = claim(factory, by=factory.ben, task=held.task)
    assert (got.claim, got.is_yours) == (held, False)
    assert held.until_ms == clock.now_ms() + LEASE_S * 1000


def test_a_claim_ends_with_its_time(factory, clock):
    task = factory.audit_task().id
    claim(factory)
    clock.advance(LEASE_S - 1)
    assert claim(factory, by=factory.ben).claim is None
    clock.advance(1)
    assert claim(factory, by=factory.ben).claim.task == task


def test_claiming_again_renews_the_claim(factory, clock):
    task = factory.audit_task().id
    claim(factory)
    clock.advance(LEASE_S - 1)
    assert claim(factory, task=task).is_yours
    clock.advance(LEASE_S - 1)
    assert claim(factory, by=factory.ben).claim is None


def test_a_task_given_back_is_free_at_once(factory):
    task = factory.audit_task().id
    assert release(factory, task, claim(factory).claim.lease).was_held
    assert claim(factory, by=factory.ben).claim.task == task


def test_a_page_that_is_left_late_does_not_free_what_another_took_since(factory):
    task = factory.audit_task().id
    old = claim(factory).claim
    claim(factory, task=task)
    assert not release(factory, task, old.lease).was_held
    assert claim(factory, by=factory.ben).claim is None


@pytest.mark.parametrize("end", ["labels", "skip"])
def test_a_task_that_is_over_is_held_by_nobody(factory, end):
    task = factory.audit_task().id
    claim(factory)
    if end == "labels":
        factory.submit(task)
    else:
        skip_task(factory.workspace, factory.ann, SkipTask(task=task, reason="too dark"))
    assert claim(factory, by=factory.ben).claim is None


def test_whoever_does_not_hold_a_task_may_save_first_all_the_same(factory):
    task = factory.audit_task().id
    claim(factory)
    assert factory.submit(task, by=factory.ben).is_new


def test_what_is_next_can_be_narrowed_to_a_purpose_and_an_incident(factory, tasks):
    factory.keep(54, lane="drift")
    flagged = flag_images(factory.workspace, factory.loop, FlagImages(incident="inc_1", budget=1))
    open_flagged(factory.workspace, factory.loop, OpenFlagged(incident="inc_1", budget=1))
    assert claim(factory, incident="inc_1").claim.task == flagged.tasks[0]
    assert claim(factory, purpose="train").claim is None
    assert claim(factory, purpose="audit").claim.task in tasks


def test_a_viewer_holds_nothing(factory, tasks):
    with pytest.raises(NotAllowed):
        claim(factory, by=person("vic", Role.VIEWER))
    with pytest.raises(NotAllowed):
        release(factory, tasks[0], "lease", by=person("vic", Role.VIEWER))


def test_an_unknown_task_cannot_be_held(factory):
    with pytest.raises(NoSuchTask):
        claim(factory, task="task_x")
