import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sightloop.contracts.telemetry import (
    Body,
    DroppedBody,
    HealthBody,
    KeptImageBody,
    Lane,
    SwapBody,
)
from sightloop.device import segments
from sightloop.device.spool import RESERVE, SEGMENT_BYTES, Spool
from sightloop.kernel.digests import digest_of

BUNDLE = digest_of(b"bundle")
MiB = 1 << 20


def health(n_requests: int = 1) -> HealthBody:
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


def kept(lane: Lane, image: bytes = b"") -> KeptImageBody:
    return KeptImageBody(
        stream="cam1",
        slot="main",
        bundle=BUNDLE,
        image=digest_of(image),
        group="",
        captured_at_ms=0,
        lane=lane,
        inclusion_probability=1.0,
        uncertainty=0.0,
        descriptor=[],
        detections=[],
    )


SWAP = SwapBody(
    slot="main",
    bundle=BUNDLE,
    previous=None,
    outcome="switched",
    reason="",
    started_at_ms=0,
    duration_ms=1.0,
)


@pytest.fixture
def open_spool(tmp_path: Path) -> Callable[..., Spool]:
    def open_it(limit_bytes: int = 100 * MiB) -> Spool:
        return Spool(tmp_path / "spool", device="device_1", limit_bytes=limit_bytes)

    return open_it


def numbers(spool: Spool) -> list[int]:
    batch = spool.next_batch(n_most=10_000, most_bytes=1 << 40)
    return [one.envelope.sequence for one in batch]


def bodies(spool: Spool) -> list[Body]:
    batch = spool.next_batch(n_most=10_000, most_bytes=1 << 40)
    return [one.envelope.body for one in batch]


def test_messages_come_out_in_order_over_all_shelves(open_spool):
    spool = open_spool()
    sent = [health(1), kept("audit"), SWAP, health(2), kept("uncertain")]
    for body in sent:
        spool.append(body, at_ms=7)
    assert bodies(spool) == sent
    assert numbers(spool) == [1, 2, 3, 4, 5]


def test_an_image_comes_out_with_its_message(open_spool):
    spool = open_spool()
    spool.append(kept("audit", b"jpeg"), at_ms=7, image=b"jpeg")
    (spooled,) = spool.next_batch(n_most=1, most_bytes=1)
    assert (spooled.image, spooled.envelope.at_ms) == (b"jpeg", 7)
    assert (spooled.envelope.device, spooled.envelope.sequence) == ("device_1", 1)


def test_messages_survive_a_restart_and_numbers_never_repeat(open_spool):
    first = open_spool()
    used = {first.append(health(), at_ms=1) for _ in range(3)}
    first.confirm(used)
    second = open_spool()
    used_later = {second.append(health(), at_ms=1) for _ in range(3)}
    assert not used & used_later
    assert min(used_later) == RESERVE + 1
    assert numbers(open_spool()) == sorted(used_later)


def test_numbers_go_on_when_a_block_is_used_up(open_spool):
    spool = open_spool()
    appended = [spool.append(health(), at_ms=1) for _ in range(RESERVE + 2)]
    assert appended == list(range(1, RESERVE + 3))
    assert open_spool().append(health(), at_ms=1) == 2 * RESERVE + 1


def test_what_the_server_stored_is_removed_from_the_disk(open_spool, tmp_path):
    spool = open_spool()
    for _ in range(4):
        spool.append(health(), at_ms=1)
    spool.confirm([1, 3])
    assert numbers(spool) == [2, 4]
    assert spool.facts.n_envelopes == 2
    spool.confirm([2, 4])
    assert (spool.facts.n_envelopes, spool.facts.size_bytes) == (0, 0)
    assert not list((tmp_path / "spool" / "health").iterdir())


def test_what_was_half_confirmed_before_a_restart_is_sent_again(open_spool):
    spool = open_spool()
    for _ in range(3):
        spool.append(health(), at_ms=1)
    spool.confirm([1])
    assert numbers(open_spool()) == [1, 2, 3]


def test_a_batch_is_bounded_by_count_and_by_bytes_but_never_empty(open_spool):
    spool = open_spool()
    for _ in range(3):
        spool.append(kept("audit", bytes(1000)), at_ms=1, image=bytes(1000))
    assert len(spool.next_batch(n_most=2, most_bytes=1 << 40)) == 2
    assert len(spool.next_batch(n_most=9, most_bytes=10)) == 1


def test_a_record_torn_by_a_power_cut_is_cut_off_and_the_ones_before_it_stay(open_spool, tmp_path):
    spool = open_spool()
    for n_requests in (1, 2):
        spool.append(health(n_requests), at_ms=1)
    (segment,) = (tmp_path / "spool" / "health").iterdir()
    os.truncate(segment, segment.stat().st_size - 5)
    assert bodies(open_spool()) == [health(1)]
    assert bodies(open_spool()) == [health(1)]


def test_a_segment_is_sealed_when_it_is_full(open_spool, tmp_path):
    spool = open_spool()
    image = bytes(SEGMENT_BYTES // 2)
    for _ in range(3):
        spool.append(kept("audit", image), at_ms=1, image=image)
    names = sorted(path.suffix for path in (tmp_path / "spool" / "audit").iterdir())
    assert names == [".open", ".sealed"]
    assert numbers(open_spool()) == [1, 2, 3]


def test_a_full_spool_gives_up_uncertain_images_first_and_says_so(open_spool):
    spool = open_spool(limit_bytes=3 * MiB)
    image = bytes(SEGMENT_BYTES)
    for lane in ("uncertain", "audit", "audit"):
        spool.append(kept(lane, image), at_ms=1, image=image)
    lanes = [body.lane for body in bodies(spool) if isinstance(body, KeptImageBody)]
    assert lanes == ["audit", "audit"]
    told = [body for body in bodies(spool) if isinstance(body, DroppedBody)]
    assert told == [DroppedBody(n_envelopes=1, by_kind={"uncertain": 1})]
    assert spool.facts.n_dropped == 1


def test_a_message_that_is_worth_less_than_all_others_is_given_up_itself(open_spool):
    spool = open_spool(limit_bytes=2 * MiB)
    image = bytes(SEGMENT_BYTES)
    spool.append(kept("audit", image), at_ms=1, image=image)
    assert spool.append(kept("uncertain", image), at_ms=1, image=image) is None
    audited, notice = bodies(spool)
    assert audited == kept("audit", image)
    assert notice == DroppedBody(n_envelopes=1, by_kind={"uncertain": 1})


def test_what_was_given_up_is_still_told_after_a_power_cut(open_spool):
    spool = open_spool(limit_bytes=3 * MiB)
    image = bytes(SEGMENT_BYTES)
    for lane in ("uncertain", "audit", "audit"):
        spool.append(kept(lane, image), at_ms=1, image=image)
    told = [body for body in bodies(open_spool()) if isinstance(body, DroppedBody)]
    assert told == [DroppedBody(n_envelopes=1, by_kind={"uncertain": 1})]


def test_a_spool_full_of_audit_images_still_tells_what_it_gave_up(open_spool):
    spool = open_spool(limit_bytes=3 * MiB)
    image = bytes(MiB // 3)
    for _ in range(40):
        spool.append(kept("audit", image), at_ms=1, image=image)
    reopened = bodies(open_spool())
    told = sum(one.by_kind["audit"] for one in reopened if isinstance(one, DroppedBody))
    assert told + sum(isinstance(one, KeptImageBody) for one in reopened) == 40


def test_what_a_notice_told_is_not_lost_with_the_notice(open_spool, monkeypatch):
    monkeypatch.setattr("sightloop.device.spool.SEGMENT_BYTES", 1000)
    monkeypatch.setattr("sightloop.device.spool.RESERVED_FOR_NOTICES_BYTES", 600)
    spool = open_spool(limit_bytes=6000)
    image = bytes(500)
    for _ in range(200):
        spool.append(kept("audit", image), at_ms=1, image=image)
    found = bodies(spool)
    told = sum(one.by_kind.get("audit", 0) for one in found if isinstance(one, DroppedBody))
    assert told + sum(isinstance(one, KeptImageBody) for one in found) == 200
    assert not any("notice" in one.by_kind for one in found if isinstance(one, DroppedBody))


def test_the_spool_never_outgrows_its_limit(open_spool, tmp_path):
    spool = open_spool(limit_bytes=4 * MiB)
    image = bytes(MiB // 3)
    for index in range(40):
        lane: Lane = ("audit", "uncertain", "drift")[index % 3]
        spool.append(kept(lane, image), at_ms=1, image=image)
        on_disk = sum(path.stat().st_size for path in (tmp_path / "spool").rglob("*.*"))
        assert on_disk <= 4 * MiB + 200  # the sequence file


def test_a_full_disk_costs_the_least_worth_and_nothing_else(open_spool, monkeypatch):
    spool = open_spool()
    spool.append(kept("uncertain", bytes(1000)), at_ms=1, image=bytes(1000))
    spool.append(kept("audit"), at_ms=1)
    failures = iter([True])
    real_fsync = os.fsync

    def full_once(descriptor: int) -> None:
        if next(failures, False):
            raise OSError(errno.ENOSPC, "no space left on device")
        real_fsync(descriptor)

    monkeypatch.setattr(segments.os, "fsync", full_once)
    spool.append(kept("audit"), at_ms=1)
    monkeypatch.undo()
    for found in (bodies(spool), bodies(open_spool())):
        lanes = [body.lane for body in found if isinstance(body, KeptImageBody)]
        assert lanes == ["audit", "audit"]
        assert found[2] == DroppedBody(n_envelopes=1, by_kind={"uncertain": 1})


def test_a_message_the_server_never_takes_is_given_up_and_told(open_spool):
    spool = open_spool()
    spool.append(health(), at_ms=1)
    spool.give_up(1, shelf="health")
    spool.append(SWAP, at_ms=2)
    assert bodies(spool) == [DroppedBody(n_envelopes=1, by_kind={"health": 1}), SWAP]
