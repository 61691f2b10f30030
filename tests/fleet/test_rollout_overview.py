"""A rollout is watched ring by ring in numbers, and slot by slot in pages."""

import pytest

from sightloop.fleet.health import HealthCriteria
from sightloop.fleet.rollout_overview import (
    PageRollouts,
    WatchRollout,
    page_rollouts,
    watch_rollout,
)
from sightloop.fleet.rollouts import (
    AbortRollout,
    StartRollout,
    abort_rollout,
    advance_rollouts,
    start_rollout,
)
from sightloop.testing.workspaces import LOCAL_CALL

CRITERIA = HealthCriteria(bake_s=10, min_requests=5)


def start(workspace, version):
    request = StartRollout(
        model="pcb", number=version.number, rings=["canary", "fleet"], criteria=CRITERIA
    )
    return start_rollout(workspace, LOCAL_CALL, request)


def watch(workspace, rollout, **more):
    return watch_rollout(workspace, LOCAL_CALL, WatchRollout(rollout=rollout.id, **more))


@pytest.fixture
def under_way(workspace, enrol, release, clock):
    """Version 2 has reached the canary, which switched; the two of ring fleet wait."""
    release(champion=True)
    canary = enrol("canary-box")
    boxes = [canary, enrol("box-1", ring="fleet"), enrol("box-2", ring="fleet")]
    for box in boxes:
        box.obey()
    rollout = start(workspace, release())
    advance_rollouts(workspace, LOCAL_CALL)
    canary.obey(n_requests=20)
    advance_rollouts(workspace, LOCAL_CALL)
    return rollout


def test_a_ring_says_how_many_of_its_slots_have_come_how_far(workspace, under_way):
    canary, fleet = watch(workspace, under_way).rings
    assert (canary.n_slots, canary.n_assigned, canary.n_switched) == (1, 1, 1)
    assert canary.n_healthy == 0
    assert (fleet.n_slots, fleet.n_assigned) == (2, 0)


def test_a_slot_shows_the_values_that_its_criteria_are_held_against(workspace, under_way):
    (slot,) = watch(workspace, under_way).slots
    assert (slot.name, slot.state) == ("canary-box", "baking")
    assert (slot.n_requests, slot.n_failed, slot.p95_ms, slot.served_s) == (20, 0, 10.0, 0.0)
    assert slot.placement.previous_p95_ms == 10.0
    assert slot.reason == "has served it for 0 of 10 s"


def test_slots_come_in_pages(workspace, enrol, release):
    release(champion=True)
    boxes = [enrol(f"box-{n}") for n in range(5)]
    for box in boxes:
        box.obey()
    rollout = start(workspace, release())
    advance_rollouts(workspace, LOCAL_CALL)
    first = watch(workspace, rollout, limit=3)
    second = watch(workspace, rollout, limit=3, after=first.after)
    assert second.after is None
    assert {one.name for one in first.slots + second.slots} == {f"box-{n}" for n in range(5)}
    assert watch(workspace, rollout, ring="fleet").slots == []


def test_a_rollout_that_is_over_counts_what_it_reached(workspace, under_way):
    abort_rollout(workspace, LOCAL_CALL, AbortRollout(rollout=under_way.id, reason="wrong labels"))
    canary, fleet = watch(workspace, under_way).rings
    assert (canary.n_slots, canary.n_assigned) == (None, 1)
    assert (fleet.n_slots, fleet.n_assigned) == (None, 0)


def test_rollouts_are_listed_newest_first_with_those_under_way(
    workspace, under_way, release, clock
):
    abort_rollout(workspace, LOCAL_CALL, AbortRollout(rollout=under_way.id, reason="x"))
    clock.advance(5)
    second = start(workspace, release())
    first_page = page_rollouts(workspace, LOCAL_CALL, PageRollouts(limit=1))
    assert [one.id for one in first_page.rollouts] == [second.id]
    assert [one.rollout.id for one in first_page.active] == [second.id]
    rest = PageRollouts(limit=1, after=first_page.after)
    assert [one.id for one in page_rollouts(workspace, LOCAL_CALL, rest).rollouts] == [under_way.id]
