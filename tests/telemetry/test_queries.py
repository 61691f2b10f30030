import math
import threading

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.telemetry import HealthBody
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotFound
from sightloop.telemetry import store
from sightloop.telemetry.latency import sum_health
from sightloop.telemetry.values import AuditedLoss, StreamKey

CAMERA = StreamKey("dev_1", "cam")


@pytest.fixture
def three_kept(sender, pictures):
    images = [sender.upload(content) for content in pictures[:3]]
    sender.send(
        [
            sender.kept(1, images[0], lane="audit"),
            sender.kept(2, images[1], lane="drift", group="board 2"),
            sender.kept(3, images[2], lane="drift", stream="door", group=""),
        ]
    )
    return images


def listed(workspace, **filters):
    with workspace.db.read() as tx:
        return [kept.captured_at_ms for kept in store.list_kept(tx, **filters)]


def loss(kept: str, value: float = 0.5) -> AuditedLoss:
    return AuditedLoss(
        id=f"loss of {kept}",
        kept=kept,
        device="dev_1",
        stream="cam",
        stratum_stream="line=a",
        strata=["", "line=b"],
        bundle=digest_of(b"a bundle"),
        loss=value,
        inclusion_probability=0.1,
        at_ms=77,
    )


def test_kept_images_are_listed_latest_first(workspace, three_kept):
    assert listed(workspace) == [300, 200, 100]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"lanes": ["drift"]}, [300, 200]),
        ({"streams": [CAMERA]}, [200, 100]),
        ({"streams": []}, []),
        ({"since_ms": 200}, [300, 200]),
        ({"bundle": digest_of(b"another")}, []),
        ({"limit": 1}, [300]),
    ],
)
def test_kept_images_can_be_filtered(workspace, three_kept, filters, expected):
    assert listed(workspace, **filters) == expected


def test_a_kept_image_nobody_sent_is_not_found(workspace):
    with workspace.db.read() as tx, pytest.raises(NotFound, match="kept image 'kept_x'"):
        store.find_kept(tx, "kept_x")


def test_kept_images_are_counted_by_lane(workspace, three_kept):
    with workspace.db.read() as tx:
        assert store.count_kept(tx) == {"audit": 1, "drift": 2}


def test_what_the_audit_lane_holds_is_found_among_other_images(
    workspace, sender, pictures, three_kept
):
    sender.send([sender.kept(4, three_kept[0], lane="uncertain", group="board 2")])
    with workspace.db.read() as tx:
        audited = store.audited_among(tx, store.list_kept(tx, lanes=["uncertain", "drift"]))
        assert audited == (set(), {three_kept[0]})
    sender.send([sender.kept(5, three_kept[1], lane="audit", group="board 2")])
    with workspace.db.read() as tx:
        audited = store.audited_among(tx, store.list_kept(tx, lanes=["drift"]))
    assert audited == ({"board 2"}, {three_kept[1]})


def test_profiles_are_read_on_from_the_last_number_seen(workspace, sender):
    sender.send([sender.profile(1), sender.profile(2)])
    with workspace.db.read() as tx:
        (first,) = store.profiles_after(tx, 0, limit=1)
        rest = store.profiles_after(tx, first.number)
    assert [each.profile.started_at_ms for each in (first, *rest)] == [100, 200]


def test_a_reader_of_numbers_misses_no_profile_while_writers_race(workspace, sender, other_sender):
    def write(device) -> None:
        for sequence in range(40):
            device.send([device.profile(sequence)])

    writers = [threading.Thread(target=write, args=(each,)) for each in (sender, other_sender)]
    for writer in writers:
        writer.start()
    seen = []
    while len(seen) < 80:
        with workspace.db.read() as tx:
            seen += store.profiles_after(tx, seen[-1].number if seen else 0)
    for writer in writers:
        writer.join()
    assert len({each.id for each in seen}) == 80


def test_the_stratum_of_a_stream_is_that_of_the_window_an_image_fell_in(workspace, sender):
    sender.send([sender.profile(5, stratum="line=a"), sender.profile(9, stratum="line=b")])
    with workspace.db.read() as tx:
        found = [store.stratum_of(tx, CAMERA, at_ms=at_ms) for at_ms in (0, 550, 900, 99_000)]
    assert found == ["line=a", "line=a", "line=b", "line=b"]


def test_a_stream_without_profiles_has_no_stratum(workspace):
    with workspace.db.read() as tx:
        assert store.stratum_of(tx, CAMERA, at_ms=5) == ""


def test_a_loss_is_recorded_once_per_kept_image(workspace):
    with workspace.db.write() as tx:
        answers = [store.record_loss(tx, loss("kept_1", value)) for value in (0.5, 0.9)]
    with workspace.db.read() as tx:
        (stored,) = store.losses_after(tx, 0)
    assert answers == [True, False]
    assert msgspec.structs.replace(stored, number=0) == loss("kept_1", 0.5)


def test_losses_are_read_on_from_the_last_number_seen(workspace):
    for name in "abc":
        with workspace.db.write() as tx:
            store.record_loss(tx, loss(name))
    with workspace.db.read() as tx:
        first, second = store.losses_after(tx, 0, limit=2)
        assert [each.kept for each in store.losses_after(tx, second.number)] == ["c"]
        assert store.find_loss(tx, kept="a") == first
        assert store.find_loss(tx, kept="z") is None


def test_health_adds_up_over_the_windows_asked_for(workspace, sender, other_sender):
    sender.send([sender.health(1), sender.health(2)])
    other_sender.send([other_sender.health(3)])
    bundle = digest_of(b"a bundle")
    with workspace.db.read() as tx:
        assert store.health_of(tx, bundle).n_requests == 30
        assert store.health_of(tx, bundle, device="dev_1").n_windows == 2
        assert store.health_of(tx, bundle, device="dev_1", since_ms=200).n_failed == 1
        assert store.health_of(tx, digest_of(b"another")).failed_share is None


def test_swaps_and_drops_are_listed_latest_first(workspace, sender):
    sender.send([sender.swap(1), sender.swap(2), sender.dropped(3), sender.dropped(4)])
    with workspace.db.read() as tx:
        swaps = [each.swap.started_at_ms for each in store.list_swaps(tx, device="dev_1")]
        drops = [each.at_ms for each in store.list_dropped(tx, device="dev_1")]
        assert store.count_dropped(tx) == 8
        assert store.list_swaps(tx, bundle=digest_of(b"another")) == []
    assert (swaps, drops) == ([200, 100], [4, 3])


def test_envelopes_are_counted_by_kind(workspace, sender, other_sender):
    sender.send([sender.swap(1), sender.profile(2), sender.profile(3)])
    other_sender.send([other_sender.swap(1)])
    with workspace.db.read() as tx:
        assert store.count_envelopes(tx) == {"profile": 2, "swap": 2}
        assert store.count_envelopes(tx, device="dev_2") == {"swap": 1}


def window(latencies_ms: list[float], bounds_ms: list[float]) -> HealthBody:
    counts = [0] * (len(bounds_ms) + 1)
    for latency_ms in latencies_ms:
        counts[sum(latency_ms > bound_ms for bound_ms in bounds_ms)] += 1
    return HealthBody(
        slot="main",
        bundle=digest_of(b"a bundle"),
        started_at_ms=0,
        ended_at_ms=1,
        n_requests=len(latencies_ms),
        n_failed=0,
        latency_bounds_ms=bounds_ms,
        latency_counts=counts,
        resident_bytes=0,
    )


LATENCIES = st.lists(st.floats(0, 200), max_size=20)
BOUNDS = st.lists(st.integers(1, 150).map(float), max_size=6, unique=True).map(sorted)


@given(st.lists(st.tuples(LATENCIES, BOUNDS), max_size=5), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_latency_quantile_never_comes_out_too_low(windows, share):
    latencies = sorted(latency for window_of, _ in windows for latency in window_of)
    sums = sum_health(window(latency, bounds) for latency, bounds in windows)
    bound_ms = sums.latency_quantile_ms(share)
    if not latencies:
        assert bound_ms is None
    else:
        assert bound_ms >= latencies[math.ceil(share * len(latencies)) - 1]


@given(st.lists(st.tuples(LATENCIES, BOUNDS), max_size=5), st.randoms())
def test_health_sums_do_not_depend_on_the_order_of_windows(windows, rng):
    bodies = [window(latency, bounds) for latency, bounds in windows]
    assert sum_health(rng.sample(bodies, k=len(bodies))) == sum_health(bodies)
