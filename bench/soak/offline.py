"""`python -m bench.soak.offline`: a month without a server, a busy camera.

Thirty days of an image every ten seconds, 50 kB each, into a spool of 256 MB on a real disk, with a
power failure each day and a clock that goes back a year; then a server that takes everything.
Prints what the short test in tests/device asserts, and how long it took.
"""

from __future__ import annotations

import random
import tempfile
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


def main() -> int:
    clock = ManualClock()
    with tempfile.TemporaryDirectory(prefix="sightloop-soak-") as folder:
        device = OfflineDevice(
            Path(folder), clock=clock, limit_bytes=LIMIT_BYTES, image_bytes=IMAGE_BYTES, seed=1
        )
        start = time.perf_counter()
        account = lived(device, clock)
        lived_s = time.perf_counter() - start
        with running_control_plane() as plane:
            start = time.perf_counter()
            link = ServerLink(plane.url, token=DEVICE_TOKEN)
            Forwarder(
                device.spool, link, every_s=5, log=Log(clock), rng=random.Random(1)
            ).forward_all()
            link.close()
            forwarded_s = time.perf_counter() - start
            return told(device, account, plane, lived_s=lived_s, forwarded_s=forwarded_s)


def lived(device: OfflineDevice, clock: ManualClock) -> Account:
    for day in range(N_DAYS):
        device.live(DAY_S, every_s=EVERY_S)
        device.boot()
        if day == 11:
            clock.set_back(365 * DAY_S)
        print(f"day {day + 1}: {device.spool.facts}", flush=True)
    return device.stop()


def told(
    device: OfflineDevice,
    account: Account,
    plane: ControlPlane,
    *,
    lived_s: float,
    forwarded_s: float,
) -> int:
    """Print the account; 1 when it does not add up."""
    dropped: Counter[str] = Counter()
    for body in plane.bodies(DroppedBody):
        dropped.update(body.by_kind)
    stored = [one.body for one in plane.envelopes.values()]
    arrived = Counter(shelf_of(body) for body in stored if not isinstance(body, DroppedBody))
    n_audited = sum(isinstance(one, KeptImageBody) and one.lane == "audit" for one in stored)
    promises = {
        "every message arrived once or was told as given up": (
            Counter({str(shelf): n for shelf, n in arrived.items()}) + dropped
            == Counter({str(shelf): n for shelf, n in account.spooled.items()})
            and set(plane.n_received.values()) == {1}
        ),
        "no image of the audit lane was given up before all else": (
            "audit" not in dropped or n_audited * IMAGE_BYTES > LIMIT_BYTES // 2
        ),
        "the spool stayed within its limit": account.most_bytes <= LIMIT_BYTES,
        "nothing waits any more": device.spool.facts.n_envelopes == 0,
    }
    print(f"{account.n_images:,} images; spooled {dict(account.spooled)}; given up {dict(dropped)}")
    print(f"largest spool {account.most_bytes / 1e6:.1f} MB of {LIMIT_BYTES / 1e6:.1f} MB")
    print(f"lived in {lived_s:.0f} s, forwarded {len(stored):,} messages in {forwarded_s:.0f} s")
    for promise, is_kept in promises.items():
        print(f"{'kept' if is_kept else 'BROKEN'}: {promise}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
