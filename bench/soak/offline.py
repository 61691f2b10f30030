"""A month without a server, a busy camera.

Thirty days of an image every ten seconds, 50 kB each, into a spool of 256 MB on a real disk, with a
power failure each day and a clock that goes back a year; then a server that takes everything.
Asserts what the short test in tests/device does.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from sightloop.contracts.telemetry import DroppedBody, KeptImageBody
from sightloop.device.drop_order import shelf_of
from sightloop.device.forwarder import Forwarder
from sightloop.device.log import Log
from sightloop.device.server_link import ServerLink
from sightloop.testing.clock import ManualClock
from sightloop.testing.control_plane import DEVICE_TOKEN, ControlPlane, running_control_plane
from sightloop.testing.offline import Account, OfflineDevice

N_DAYS, DAY_S, EVERY_S = 30, 86_400.0, 10.0
LIMIT_BYTES, IMAGE_BYTES = 256 << 20, 50_000


def soak(scratch: Path) -> str:
    """What came of the month, as a paragraph; see `bench.soak`."""
    clock = ManualClock()
    device = OfflineDevice(
        scratch, clock=clock, limit_bytes=LIMIT_BYTES, image_bytes=IMAGE_BYTES, seed=1
    )
    start = time.perf_counter()
    account = lived(device, clock)
    lived_s = time.perf_counter() - start
    with running_control_plane() as plane:
        start = time.perf_counter()
        link = ServerLink(plane.url, token=DEVICE_TOKEN)
        log, rng = Log(clock), random.Random(1)
        Forwarder(device.spool, link, every_s=5, log=log, rng=rng).forward_all()
        link.close()
        forwarded_s = time.perf_counter() - start
        told = checked(device, account, plane)
    return f"{told} Lived in {lived_s:.0f} s, forwarded in {forwarded_s:.0f} s."


def lived(device: OfflineDevice, clock: ManualClock) -> Account:
    for day in range(N_DAYS):
        device.live(DAY_S, every_s=EVERY_S)
        device.boot()
        if day == 11:
            clock.set_back(365 * DAY_S)
        print(f"day {day + 1}: {device.spool.facts}", flush=True)
    return device.stop()


def checked(device: OfflineDevice, account: Account, plane: ControlPlane) -> str:
    """The account in words.

    Raises:
        AssertionError: it does not add up.
    """
    dropped: Counter[str] = Counter()
    for body in plane.bodies(DroppedBody):
        dropped.update(body.by_kind)
    stored = [one.body for one in plane.envelopes.values()]
    arrived = Counter(str(shelf_of(one)) for one in stored if not isinstance(one, DroppedBody))
    spooled = Counter({str(shelf): n for shelf, n in account.spooled.items()})
    assert arrived + dropped == spooled, "every message arrived or was told as given up"
    assert set(plane.n_received.values()) == {1}, "each arrived once"
    n_audited = sum(isinstance(one, KeptImageBody) and one.lane == "audit" for one in stored)
    is_full_of_audits = n_audited * IMAGE_BYTES > LIMIT_BYTES // 2
    assert "audit" not in dropped or is_full_of_audits, "audit images go last"
    assert account.most_bytes <= LIMIT_BYTES, "the spool stayed within its limit"
    assert device.spool.facts.n_envelopes == 0, "nothing waits any more"
    return (
        f"{account.n_images:,} images in {N_DAYS} days, {N_DAYS} power failures, a clock that went "
        f"back a year. Messages: {dict(spooled)}; given up and told: {dict(dropped)}; stored once "
        f"each: {dict(arrived)}. Largest spool {account.most_bytes / 1e6:.1f} MB of "
        f"{LIMIT_BYTES / 1e6:.1f} MB."
    )
