import random
from pathlib import Path

import pytest

from sightloop.contracts.telemetry import HealthBody, KeptImageBody
from sightloop.device.errors import ServerAway
from sightloop.device.forwarder import Forwarder
from sightloop.device.log import Log
from sightloop.device.spool import Spool
from sightloop.kernel.digests import digest_of
from sightloop.testing.clock import ManualClock

BUNDLE = digest_of(b"bundle")


def health(n_requests: int) -> HealthBody:
    return HealthBody(
        slot="main",
        bundle=BUNDLE,
        started_at_ms=0,
        ended_at_ms=1,
        n_requests=n_requests,
        n_failed=0,
        latency_bounds_ms=[],
        latency_counts=[n_requests],
        resident_bytes=0,
    )


def kept(image: bytes) -> KeptImageBody:
    return KeptImageBody(
        stream="cam1",
        slot="main",
        bundle=BUNDLE,
        image=digest_of(image),
        group="board 7",
        captured_at_ms=0,
        lane="audit",
        inclusion_probability=0.02,
        uncertainty=0.0,
        descriptor=[],
        detections=[],
    )


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", device="device_test", limit_bytes=1 << 30)


@pytest.fixture
def forwarder(spool, link) -> Forwarder:
    return Forwarder(spool, link, every_s=5, log=Log(ManualClock()), rng=random.Random(1))


def test_what_is_spooled_arrives_once_and_in_order(spool, forwarder, plane):
    for n_requests in range(1, 4):
        spool.append(health(n_requests), at_ms=1)
    assert forwarder.forward_all() == 3
    assert [body.n_requests for body in plane.bodies(HealthBody)] == [1, 2, 3]
    assert forwarder.forward_all() == 0
    assert set(plane.n_received.values()) == {1}


def test_an_image_is_there_before_the_message_that_speaks_of_it(spool, forwarder, plane):
    spool.append(kept(b"jpeg"), at_ms=1, image=b"jpeg")
    forwarder.forward_all()
    (body,) = plane.bodies(KeptImageBody)
    assert plane.images[body.image] == b"jpeg"


def test_what_the_server_has_yet_to_take_stays_in_the_spool(spool, forwarder, plane):
    spool.append(kept(b"jpeg"), at_ms=1)  # its bytes were lost: the server will ask for them
    spool.append(health(1), at_ms=1)
    assert forwarder.forward_all() == 1
    assert spool.facts.n_envelopes == 1


def test_nothing_is_lost_while_the_server_is_away(spool, forwarder, plane):
    spool.append(health(1), at_ms=1)
    plane.away, plane.retry_after_s = True, "40"
    with pytest.raises(ServerAway):
        forwarder.forward_all()
    assert 40 <= forwarder.step() <= 48
    plane.away = False
    assert forwarder.step() == 5
    assert (spool.facts.n_envelopes, len(plane.bodies(HealthBody))) == (0, 1)


def test_an_answer_that_got_lost_makes_the_batch_come_twice_and_be_stored_once(
    spool, forwarder, plane, tmp_path, link
):
    spool.append(health(1), at_ms=1)
    batch = spool.next_batch(n_most=9, most_bytes=1 << 20)
    forwarder._send(batch)
    forwarder._send(batch)
    assert plane.n_received == {1: 2}
    assert len(plane.bodies(HealthBody)) == 1


def test_a_message_the_server_refuses_does_not_hold_up_the_others(spool, forwarder, plane):
    for n_requests in range(1, 8):
        spool.append(health(n_requests), at_ms=1)
    plane.refused_sequences = {5}
    forwarder.forward_all()
    assert [body.n_requests for body in plane.bodies(HealthBody)] == [1, 2, 3, 4, 6, 7]
    assert (spool.facts.n_envelopes, spool.facts.n_dropped) == (0, 1)


def test_a_device_that_is_not_known_any_more_throws_nothing_away(spool, plane, link):
    spool.append(health(1), at_ms=1)
    link._token = "revoked"
    forwarder = Forwarder(spool, link, every_s=5, log=Log(ManualClock()), rng=random.Random(1))
    forwarder.step()
    assert spool.facts.n_envelopes == 1
