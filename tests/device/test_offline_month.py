"""Thirty days without a server: short, with small images; `bench/soak/offline.py` plays it long."""

import random
from collections import Counter

import pytest

from sightloop.contracts.telemetry import DroppedBody, KeptImageBody, ProfileBody
from sightloop.device.drop_order import shelf_of
from sightloop.device.errors import ServerAway
from sightloop.device.forwarder import Forwarder
from sightloop.device.log import Log
from sightloop.kernel.digests import digest_of
from sightloop.testing.offline import OfflineDevice

DAY_S = 86_400.0
LIMIT_BYTES = 3 << 20


@pytest.fixture
def device(tmp_path, clock):
    return OfflineDevice(
        tmp_path / "spool", clock=clock, limit_bytes=LIMIT_BYTES, image_bytes=6_000, seed=1
    )


def live_a_month(device, clock):
    """Power fails on every fifth day, the clock goes back a year once and ahead again."""
    for day in range(30):
        device.live(DAY_S, every_s=1800)
        if day % 5 == 4:
            device.boot()
        if day == 11:
            clock.set_back(365 * DAY_S)
        if day == 17:
            clock.advance(365 * DAY_S)
    return device.stop()


def forward(device, link, clock):
    forwarder = Forwarder(device.spool, link, every_s=5, log=Log(clock), rng=random.Random(1))
    return forwarder.forward_all()


def told_dropped(plane):
    told = Counter()
    for body in plane.bodies(DroppedBody):
        told.update(body.by_kind)
    return told


def test_after_a_month_offline_every_message_is_stored_once_or_told_as_given_up(
    device, plane, link, clock
):
    account = live_a_month(device, clock)
    forward(device, link, clock)
    arrived = Counter(
        shelf_of(one.body)
        for one in plane.envelopes.values()
        if not isinstance(one.body, DroppedBody)
    )
    assert arrived + told_dropped(plane) == account.spooled
    assert set(plane.n_received.values()) == {1}
    assert device.spool.facts.n_envelopes == 0


def test_a_month_offline_costs_no_image_of_the_audit_lane(device, plane, link, clock):
    live_a_month(device, clock)
    forward(device, link, clock)
    assert "uncertain" in told_dropped(plane)  # there was too little room
    kept = [body.image for body in plane.bodies(KeptImageBody) if body.lane == "audit"]
    assert kept == [digest_of(image) for image in device.audited]
    assert [plane.images[one] for one in kept] == device.audited
    assert len(kept) > 50


def test_a_month_offline_stays_within_the_disk_it_was_given(device, clock):
    assert live_a_month(device, clock).most_bytes <= LIMIT_BYTES


def test_profiles_of_the_month_count_every_image_but_those_of_windows_the_power_cut_open(
    device, plane, link, clock
):
    account = live_a_month(device, clock)
    forward(device, link, clock)
    assert "profile" not in told_dropped(plane)
    counted = sum(body.profile.n_images for body in plane.bodies(ProfileBody))
    assert counted == account.n_in_windows
    assert counted + account.n_lost_windows == account.n_images


def test_a_server_that_comes_and_goes_gets_every_message_once(device, plane, link, clock):
    live_a_month(device, clock)
    n_waiting = device.spool.facts.n_envelopes
    send, n_sent = link.send_batch, []

    def flaky(batch):
        n_sent.append(1)
        if len(n_sent) % 3 == 1:
            raise ServerAway(url="test", reason="away")
        reply = send(batch)
        if len(n_sent) % 3 == 2:  # stored, but the answer is lost
            raise ServerAway(url="test", reason="cut off")
        return reply

    link.send_batch = flaky
    forwarder = Forwarder(device.spool, link, every_s=5, log=Log(clock), rng=random.Random(1))
    for _ in range(500):
        forwarder.step()
        if not device.spool.facts.n_envelopes:
            break
    assert len(plane.envelopes) == n_waiting
    assert max(plane.n_received.values()) >= 2  # sent twice, stored once
