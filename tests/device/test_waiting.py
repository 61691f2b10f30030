"""Which requests are looked at together: Triton's dynamic batching, without a worker or a clock."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.image_request import ImageRequest
from sightloop.device.lanes import NO_DRAWS
from sightloop.device.state import Installed
from sightloop.device.waiting import Waiting, next_batch, worth_waiting_s
from sightloop.kernel.digests import digest_of

RUNNING = Installed(bundle=digest_of(b"one"), model="pcb", version=1)
OTHER = Installed(bundle=digest_of(b"two"), model="pcb", version=2)


def waiting_requests(n: int, **changes: object) -> Waiting:
    async def make() -> Waiting:
        loop = asyncio.get_running_loop()
        common = {"content": b"", "stream": StreamDeclaration("cam", "main"), "group": ""}
        common |= {"pinned": None, "draws": NO_DRAWS, "admitted_at_ms": 0, "admitted_s": 100.0}
        return Waiting(
            ImageRequest(**{**common, "id": i, "answer": loop.create_future(), **changes})
            for i in range(n)
        )

    return asyncio.run(make())


def ids(batch: list[ImageRequest]) -> list[int]:
    return [request.id for request in batch]


def take(waiting: Waiting, n_most: int, overtaken: Callable = lambda _: None) -> list[int]:
    return ids(next_batch(waiting, running=RUNNING, n_most=n_most, overtaken=overtaken))


@given(st.integers(0, 40), st.integers(1, 16))
def test_every_request_is_in_exactly_one_batch_and_none_overtakes(n: int, n_most: int):
    waiting, seen = waiting_requests(n), []
    while batch := take(waiting, n_most):
        assert len(batch) <= n_most
        seen += batch
    assert seen == list(range(n))


def test_a_request_for_another_version_is_told_and_not_mixed_in():
    waiting, told = waiting_requests(3), []
    waiting[1].pinned = OTHER
    assert take(waiting, 8, told.append) == [0, 2]
    assert ids(told) == [1]


def test_a_request_that_a_worker_was_lost_over_is_looked_at_alone():
    waiting = waiting_requests(4)
    waiting[1].alone = True
    assert [take(waiting, 8) for _ in range(3)] == [[0], [1], [2, 3]]


def test_a_request_whose_client_left_takes_no_place():
    waiting = waiting_requests(3)
    waiting[0].answer.cancel()
    assert take(waiting, 2) == [1, 2]


@pytest.mark.parametrize(
    ("n", "n_most", "now_s", "wait_s"),
    [
        (1, 8, 100.0, 0.005),
        (1, 8, 100.004, 0.001),
        (1, 8, 100.006, 0.0),  # the oldest waited long enough
        (8, 8, 100.0, 0.0),  # the batch is full
        (1, 1, 100.0, 0.0),  # the model takes one
    ],
)
def test_a_batch_that_is_not_full_waits_for_company_but_not_for_long(n, n_most, now_s, wait_s):
    waiting = waiting_requests(n)
    left_s = worth_waiting_s(waiting, n_most=n_most, delay_s=0.005, now_s=now_s)
    assert left_s == pytest.approx(wait_s, abs=1e-9)
