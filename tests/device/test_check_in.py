import random

import pytest

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.check_in import CheckIn, StreamDeclaration, StreamPolicy
from sightloop.device.check_in import CheckIns, describe_device
from sightloop.device.enrolment import identity_of
from sightloop.device.errors import NotEnrolled, ServerRefused
from sightloop.device.home import open_home
from sightloop.device.log import Log
from sightloop.device.settings import AgentSettings
from sightloop.testing.clock import ManualClock
from sightloop.testing.control_plane import DEVICE, ENROL_TOKEN

SETTINGS = AgentSettings(home="/nowhere", streams=[StreamDeclaration("cam1", "main", "line=A")])


class Heard:
    """What a check-in brought."""

    def __init__(self) -> None:
        self.assignments: list[SignedAssignment] = []
        self.policies: list[StreamPolicy] = []

    def assign(self, assignments: list[SignedAssignment]) -> None:
        self.assignments = assignments

    def published(self, version: int, *, server_time_ms: int) -> None:
        self.news = (version, server_time_ms)

    def assign_agent(self, signed: SignedAssignment | None) -> None:
        self.agent = signed

    def follow(self, policies: list[StreamPolicy]) -> None:
        self.policies = policies


def describe() -> CheckIn:
    return describe_device(SETTINGS, device=DEVICE, boot="boot_1", at_ms=5, slots=[], n_spooled=3)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def check_ins(link, heard: Heard, clock: ManualClock) -> CheckIns:
    return CheckIns(
        link, heard, describe=describe, clock=clock, log=Log(clock), rng=random.Random(1)
    )


def test_a_check_in_tells_what_the_device_is_and_brings_what_it_should_do(
    check_ins, heard, plane, bundles, clock
):
    plane.assign(bundles[0], version=1)
    plane.policies = [StreamPolicy(stream="cam1", audit_rate=0.5)]
    plane.next_check_in_s = 60
    assert 48 <= check_ins.step() <= 72
    (told,) = plane.check_ins
    assert (told.boot, told.n_spooled, told.streams) == ("boot_1", 3, SETTINGS.streams)
    assert heard.assignments == list(plane.assignments.values())
    assert heard.policies == plane.policies
    assert check_ins.facts.last_at_ms == clock.now_ms()
    assert check_ins.facts.server_ahead_ms == 5 - clock.now_ms()


def test_a_server_that_asks_for_patience_gets_it(check_ins, plane):
    plane.away, plane.retry_after_s = True, "120"
    assert 120 <= check_ins.step() <= 144
    assert "status 503" in check_ins.facts.problem


def test_the_wait_grows_while_nobody_answers_and_is_forgotten_afterwards(check_ins, plane):
    plane.stop()
    delays = [check_ins.step() for _ in range(12)]
    assert max(delays) > 20
    plane.start()
    check_ins.step()
    assert check_ins.facts.problem == ""


def test_a_device_enrols_once_and_keeps_what_it_was_given(plane, tmp_path, clock):
    settings = AgentSettings(home=str(tmp_path), server=plane.url, enrol_token=ENROL_TOKEN)
    with open_home(tmp_path) as home:
        identity = identity_of(home, settings, clock)
        assert identity.device == DEVICE
        assert home.root_file.read_bytes() == plane.repository.root
        assert identity_of(home, settings, clock) == identity


def test_a_token_that_was_used_does_not_enrol_again(plane, tmp_path, clock):
    for name, outcome in (("first", None), ("second", ServerRefused)):
        settings = AgentSettings(home=name, server=plane.url, enrol_token=ENROL_TOKEN)
        with open_home(tmp_path / name) as home:
            if outcome is None:
                identity_of(home, settings, clock)
            else:
                with pytest.raises(outcome, match="status 401: TEST the token was used before"):
                    identity_of(home, settings, clock)
                assert home.read_identity() is None


def test_a_new_home_needs_a_server_and_a_token(tmp_path, clock):
    with open_home(tmp_path) as home, pytest.raises(NotEnrolled, match="--enrol-token") as caught:
        identity_of(home, SETTINGS, clock)
    assert caught.value.code == "DEV-002"
