import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.contracts.check_in import SlotReport
from sightloop.fleet.health import HealthCriteria, Member, health_of
from sightloop.fleet.rollout import Ring, Rollout, RolloutId, advance, pause, resume, to_turn_back
from sightloop.fleet.values import DeviceId
from sightloop.kernel.digests import digest_of

OLD, NEW = digest_of(b"old"), digest_of(b"new")
CRITERIA = HealthCriteria(
    bake_s=10.0, min_requests=10, offline_after_s=60.0, deadline_s=1000.0, latency_slack_ms=1.0
)
HEALTHY = SlotReport(
    slot="main",
    state="serving",
    running=NEW,
    assigned=NEW,
    counter=2,
    golden_passed=True,
    n_requests=100,
    n_failed=0,
    latency_p95_ms=10.0,
    problem="",
)
BEFORE = msgspec.structs.replace(HEALTHY, running=OLD, assigned=OLD, counter=1)


def rollout_over(*rings: str, criteria: HealthCriteria = CRITERIA) -> Rollout:
    return Rollout(
        id=RolloutId("rollout_1"),
        model="pcb",
        number=2,
        bundle=NEW,
        criteria=criteria,
        rings=[Ring(name=ring) for ring in rings],
        started_at_ms=0,
    )


def member(name: str, ring: str = "canary", **changes: object) -> Member:
    found = Member(
        device=DeviceId(name),
        slot="main",
        ring=ring,
        counter=1,
        number=1,
        bundle=OLD,
        seen_at_ms=0,
        boot="boot_1",
        report=BEFORE,
    )
    return msgspec.structs.replace(found, **changes)


class Play:
    """A rollout and its devices, moved step by step; assignments are obeyed by nobody."""

    def __init__(self, rollout: Rollout, *members: Member) -> None:
        self.rollout, self.placements = rollout, []
        self.members = {found.device: found for found in members}
        self.now_ms = 0

    def tick(self, seconds: float = 0.0) -> Rollout:
        self.now_ms += round(seconds * 1000)
        move = advance(
            self.rollout,
            placements=self.placements,
            members=list(self.members.values()),
            now_ms=self.now_ms,
        )
        self.rollout, self.placements = move.rollout, move.placements
        for placement in move.assign:
            self.change(placement.device, bundle=NEW, number=2, counter=placement.counter)
        return self.rollout

    def change(self, name: str, **changes: object) -> None:
        self.members[name] = msgspec.structs.replace(self.members[name], **changes)

    def report(self, name: str, report: SlotReport = HEALTHY, **changes: object) -> None:
        self.change(name, report=msgspec.structs.replace(report, **changes), seen_at_ms=self.now_ms)

    def assigned(self) -> set[str]:
        return {name for name, found in self.members.items() if found.bundle == NEW}

    def bake(self, *names: str, **changes: object) -> None:
        """These devices serve the bundle now and still after the baking time."""
        for _ in range(2):
            for name in names:
                self.report(name, **changes)
            self.tick(CRITERIA.bake_s)


def two_rings() -> Play:
    return Play(rollout_over("canary", "fleet"), member("a"), member("b", "fleet"))


def test_only_the_first_ring_is_assigned_at_the_start():
    play = two_rings()
    play.tick()
    assert play.assigned() == {"a"}


def test_the_next_ring_opens_when_the_first_has_baked():
    play = two_rings()
    play.tick()
    play.bake("a")
    assert play.assigned() == {"a", "b"}
    assert play.rollout.state == "running"


def test_the_rollout_finishes_when_the_last_ring_has_baked():
    play = two_rings()
    play.tick()
    play.bake("a")
    play.bake("a", "b")
    assert play.rollout.state == "finished"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n_requests": 9}, "answered 9 of 10 requests"),
        ({"counter": 1}, "has not seen its assignment"),
        ({"state": "starting"}, "is starting"),
        ({"running": OLD}, "is serving, running bundle"),
        ({"running": None, "state": "empty"}, "is empty, running nothing"),
    ],
)
def test_a_device_that_has_not_proved_itself_holds_its_ring_back(changes, reason):
    play = two_rings()
    play.tick()
    play.bake("a", **changes)
    assert play.rollout.state == "running"
    assert play.assigned() == {"a"}
    found = health_of(play.placements[0], play.members["a"], bundle=NEW, criteria=CRITERIA)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "failed", "running": OLD, "problem": "no memory"}, "put the bundle to work: no"),
        ({"running": OLD, "quarantined": [NEW], "problem": "crashed"}, "into quarantine: crashed"),
        ({"golden_passed": False}, "without having reproduced its golden images"),
        ({"n_failed": 2}, "failed 2 of 100 requests"),
        ({"latency_p95_ms": 20.1}, r"answers in 20.1 ms .*10.0 ms with the bundle before"),
    ],
)
def test_harm_on_one_device_turns_the_whole_rollout_back(changes, reason):
    play = two_rings()
    play.tick()
    play.bake("a", **changes)
    assert play.rollout.state == "rolled_back"
    assert play.rollout.reason.startswith("a/main ")
    assert re.search(reason, play.rollout.reason)
    assert [found.device for found in to_turn_back(play.rollout, play.placements)] == ["a"]


def test_an_error_rate_over_few_requests_is_not_judged():
    play = two_rings()
    play.tick()
    play.bake("a", n_requests=9, n_failed=9)
    assert play.rollout.state == "running"


def test_latency_is_judged_only_after_baking_because_warming_up_is_slow():
    play = two_rings()
    play.tick()
    play.report("a", latency_p95_ms=500.0)
    assert play.tick(1.0).state == "running"


def test_a_small_difference_in_latency_is_no_breach_whatever_the_ratio():
    play = Play(rollout_over("canary"), member("a"))
    play.change("a", report=msgspec.structs.replace(BEFORE, latency_p95_ms=0.3))
    play.tick()
    play.bake("a", latency_p95_ms=1.0)
    assert play.rollout.state == "finished"


def test_without_a_bundle_before_there_is_no_latency_to_compare_with():
    play = Play(rollout_over("canary"), member("a", bundle=None, number=None, report=None))
    play.tick()
    play.bake("a", latency_p95_ms=5000.0)
    assert play.rollout.state == "finished"


def test_silence_is_not_taken_for_baking():
    play = two_rings()
    play.tick()
    play.report("a")
    play.tick()
    play.tick(CRITERIA.bake_s + 1)
    assert play.assigned() == {"a"}


def test_a_restart_of_the_agent_begins_the_baking_anew():
    play = two_rings()
    play.tick()
    play.report("a")
    play.tick(CRITERIA.bake_s)
    play.report("a")
    play.change("a", boot="boot_2")
    play.tick(CRITERIA.bake_s - 1)
    play.report("a")
    play.tick()
    assert play.assigned() == {"a"}


def test_an_offline_device_is_assigned_and_blocks_nobody():
    play = Play(rollout_over("canary", "fleet"), member("a"), member("off", seen_at_ms=None))
    play.tick()
    assert play.assigned() == {"a", "off"}
    play.bake("a")
    assert play.rollout.state == "finished"


def test_a_ring_of_which_nobody_can_be_reached_proves_nothing():
    play = Play(
        rollout_over("canary", "fleet"), member("off", seen_at_ms=None), member("b", "fleet")
    )
    play.tick()
    play.report("b", BEFORE)
    play.tick(CRITERIA.offline_after_s)
    assert play.assigned() == {"off"}


def test_a_later_ring_that_is_offline_is_assigned_and_passed_on_the_proof_of_earlier_ones():
    offline = member("off", "night", seen_at_ms=None)
    play = Play(
        rollout_over("canary", "night", "fleet"), member("a"), offline, member("b", "fleet")
    )
    play.tick()
    play.bake("a")
    assert play.assigned() == {"a", "off", "b"}


def test_a_quorum_counts_offline_devices_as_not_healthy():
    criteria = msgspec.structs.replace(CRITERIA, quorum=0.6)
    play = Play(
        rollout_over("canary", criteria=criteria), member("a"), member("off", seen_at_ms=None)
    )
    play.tick()
    play.bake("a")
    assert play.rollout.state == "running"


def test_a_device_of_an_earlier_ring_that_comes_back_holds_the_later_ones_back():
    play = Play(rollout_over("canary", "fleet"), member("a"), member("off", seen_at_ms=None))
    play.change("off", ring="canary")
    play.members["b"] = member("b", "fleet")
    play.tick()
    play.bake("a")
    play.report("off", BEFORE)
    play.bake("a", "b")
    assert play.rollout.state == "running"
    play.bake("a", "b", "off")
    assert play.rollout.state == "finished"


def test_a_device_in_a_ring_nobody_named_follows_with_the_last_ring():
    play = Play(rollout_over("canary", "fleet"), member("a"), member("x", "unheard of"))
    play.tick()
    assert play.assigned() == {"a"}
    play.bake("a")
    assert play.assigned() == {"a", "x"}


def test_a_fleet_without_a_device_finishes_at_once():
    assert Play(rollout_over("canary", "fleet")).tick().state == "finished"


def test_a_device_that_has_the_bundle_already_is_not_assigned_it_again():
    play = Play(rollout_over("canary"), member("a", bundle=NEW, number=2, counter=5))
    play.tick()
    assert play.members["a"].counter == 5
    play.bake("a", counter=5)
    assert play.rollout.state == "finished"


def test_a_ring_over_its_deadline_turns_the_rollout_back_and_says_who_was_missing():
    play = two_rings()
    play.tick()
    play.report("a", BEFORE)
    play.tick(CRITERIA.deadline_s)
    play.report("a", BEFORE)
    play.tick(1)
    assert play.rollout.state == "rolled_back"
    assert "ring canary took longer than 1000 s: a/main has not seen" in play.rollout.reason


def test_a_pause_opens_no_ring_and_is_not_held_against_the_deadline():
    play = two_rings()
    play.tick()
    play.rollout = pause(play.rollout, now_ms=play.now_ms)
    play.bake("a")
    play.tick(CRITERIA.deadline_s * 5)
    assert play.rollout.state == "paused"
    assert play.assigned() == {"a"}
    play.rollout = resume(play.rollout, now_ms=play.now_ms)
    play.report("a")
    play.report("b", BEFORE)
    assert play.tick().state == "running"
    assert play.assigned() == {"a", "b"}


def test_a_paused_rollout_still_turns_back_at_a_breach():
    play = two_rings()
    play.tick()
    play.rollout = pause(play.rollout, now_ms=play.now_ms)
    play.report("a", state="failed", problem="no memory")
    assert play.tick().state == "rolled_back"


def test_an_ended_rollout_moves_no_more():
    play = two_rings()
    play.tick()
    play.report("a", n_failed=50)
    ended = play.tick()
    play.bake("a", "b")
    assert play.rollout == ended


RINGS = ("canary", "middle", "fleet")
REPORTS = st.sampled_from(
    [
        None,
        HEALTHY,
        HEALTHY,
        HEALTHY,
        BEFORE,
        msgspec.structs.replace(HEALTHY, n_requests=1),
        msgspec.structs.replace(HEALTHY, state="starting", running=OLD),
    ]
)
HARM = st.sampled_from(
    [
        msgspec.structs.replace(HEALTHY, state="failed", running=OLD, problem="no memory"),
        msgspec.structs.replace(HEALTHY, golden_passed=False),
        msgspec.structs.replace(HEALTHY, n_failed=90),
    ]
)
MOVES = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcde"), REPORTS | REPORTS | REPORTS | HARM, max_size=5),
        st.sampled_from([0.0, 1.0, 11.0, 61.0]),
        st.booleans(),
    ),
    max_size=25,
)
FLEETS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(RINGS), max_size=5)


def played(fleet: dict[str, str], moves) -> Play:
    """A play after its moves, or at its end; what must hold is checked at each of them."""
    play = Play(rollout_over(*RINGS), *(member(name, ring) for name, ring in fleet.items()))
    for reports, seconds, reboots in moves:
        for name in reports.keys() & play.members.keys():
            if reports[name] is not None:
                # A device reports the new bundle only after it was told of it.
                told = name in play.assigned()
                play.report(name, reports[name] if told else BEFORE)
                if reboots:
                    play.change(name, boot=f"boot_{play.now_ms}")
        play.tick(seconds)
        check(play)
        if play.rollout.state != "running":
            break
    return play


def check(play: Play) -> None:
    opened = [ring.opened_at_ms is not None for ring in play.rollout.rings]
    done = [ring.done_at_ms is not None for ring in play.rollout.rings]
    assert opened == sorted(opened, reverse=True), "rings open in order"
    for before, after in zip(done, opened[1:], strict=False):
        assert before or not after, "no ring opens before the one before it is done"
    for name in play.assigned():
        index = RINGS.index(play.members[name].ring)
        assert opened[index], "nobody is assigned before their ring opens"
    if play.rollout.state == "finished":
        for found in play.members.values():
            is_reachable = play.now_ms - found.seen_at_ms <= CRITERIA.offline_after_s * 1000
            assert not is_reachable or found.report.running == NEW
    if play.rollout.state == "rolled_back":
        turned = {p.device for p in to_turn_back(play.rollout, play.placements)}
        assert play.assigned() <= turned, "everyone who got the bundle is turned back"


@given(FLEETS, MOVES)
@settings(max_examples=300, deadline=None)
def test_no_sequence_of_reports_skips_a_ring_or_leaves_a_reachable_device_behind(fleet, moves):
    played(fleet, moves)


@given(FLEETS, MOVES)
@settings(max_examples=100, deadline=None)
def test_every_rollout_ends_within_the_deadlines_of_its_rings(fleet, moves):
    play = played(fleet, moves)
    for _ in RINGS:
        play.tick(CRITERIA.deadline_s + 1)
    assert play.rollout.state in ("finished", "rolled_back")
