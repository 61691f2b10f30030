from sightloop.device.health import LATENCY_BOUNDS_MS, ServingHealth
from sightloop.kernel.digests import digest_of


def health_of(*latencies_ms: float) -> ServingHealth:
    health = ServingHealth(slot="main", bundle=digest_of(b"b"), at_ms=100)
    for latency_ms in latencies_ms:
        health.count(latency_ms=latency_ms, failed=False)
    return health


def test_a_window_counts_requests_failures_and_latencies():
    health = health_of(0.5, 1.0, 7.0, 60_000.0)
    health.count(latency_ms=3.0, failed=True)
    body = health.close_window(at_ms=200, resident_bytes=5)
    assert body is not None
    assert (body.n_requests, body.n_failed, body.resident_bytes) == (5, 1, 5)
    assert (body.started_at_ms, body.ended_at_ms) == (100, 200)
    assert body.latency_counts == [2, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert len(body.latency_counts) == len(LATENCY_BOUNDS_MS) + 1


def test_a_window_without_requests_is_not_sent():
    assert health_of().close_window(at_ms=200, resident_bytes=0) is None


def test_a_closed_window_begins_anew_and_the_totals_go_on():
    health = health_of(1.0, 2.0)
    health.close_window(at_ms=200, resident_bytes=0)
    health.count(latency_ms=3.0, failed=False)
    body = health.close_window(at_ms=300, resident_bytes=0)
    assert body is not None
    assert (body.n_requests, body.started_at_ms, health.n_requests) == (1, 200, 3)


def test_the_percentile_is_that_of_the_slowest_twentieth():
    assert health_of(*range(1, 101)).latency_p95_ms() == 96
    assert health_of().latency_p95_ms() == 0.0
