"""The queue of a slot and what it does with requests whose worker was lost."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.contracts.telemetry import Body
from sightloop.device.errors import DeadlinePassed, NoModelYet, QueueFull, WorkerLost
from sightloop.device.image_request import ImageRequest
from sightloop.device.lanes import Draws
from sightloop.device.log import Log
from sightloop.device.model_slot import MOST_SENDS, ModelSlot
from sightloop.device.recorder import Recorder
from sightloop.device.settings import AgentSettings
from sightloop.device.state import Installed
from sightloop.device.worker import FreeBuffers, Worker
from sightloop.kernel.digests import digest_of
from sightloop.testing.clock import ManualClock

STREAM = StreamDeclaration("cam1", "main")
RUNNING = Installed(bundle=digest_of(b"bundle"), model="pcb", version=1)


class Posted:
    """Keeps what would be spooled."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []

    def put(self, body: Body, *, image: bytes = b"") -> None:  # noqa: ARG002 - the protocol's
        self.bodies.append(body)


def on_a_slot(test: Callable[[ModelSlot], Awaitable[None]], **settings: float) -> None:
    """Run the test on an event loop with a slot that has a bundle but no worker."""

    async def run() -> None:
        clock, post = ManualClock(), Posted()
        slot = ModelSlot(
            "main",
            settings=AgentSettings(home="/nowhere", **settings),
            folder_of=str,
            recorder=Recorder("device_1", [STREAM], policies=[], post=post, clock=clock, seed=""),
            post=post,
            clock=clock,
            log=Log(clock),
            fallback=lambda *_: None,
        )
        await test(slot)

    asyncio.run(run())


def request(number: int) -> ImageRequest:
    return ImageRequest(
        id=number,
        content=b"image",
        stream=STREAM,
        group="",
        pinned=None,
        draws=Draws(None, None),
        admitted_at_ms=0,
        admitted_s=0.0,
        answer=asyncio.get_running_loop().create_future(),
    )


def test_a_slot_without_a_bundle_says_so():
    async def test(slot: ModelSlot) -> None:
        with pytest.raises(NoModelYet, match="slot 'main' has no model yet") as caught:
            await slot.ask(request(1))
        assert (caught.value.code, caught.value.http_status) == ("DEV-062", 503)

    on_a_slot(test)


def test_a_full_queue_refuses_the_next_request():
    async def test(slot: ModelSlot) -> None:
        slot.running = RUNNING
        waiting = [asyncio.create_task(slot.ask(request(number))) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 requests wait already") as caught:
            await slot.ask(request(3))
        assert (caught.value.code, caught.value.http_status) == ("DEV-060", 503)
        for task in waiting:
            task.cancel()

    on_a_slot(test, max_waiting=2)


def test_a_request_that_nobody_answers_in_time_is_given_up():
    async def test(slot: ModelSlot) -> None:
        slot.running = RUNNING
        with pytest.raises(DeadlinePassed, match=r"no answer within 0\.01 s") as caught:
            await slot.ask(request(1))
        assert (caught.value.code, caught.value.http_status) == ("DEV-061", 504)

    on_a_slot(test, answer_deadline_s=0.01)


def test_only_the_image_that_was_looked_at_is_held_against_a_lost_worker():
    async def test(slot: ModelSlot) -> None:
        poison, innocent = request(1), request(2)
        for _ in range(MOST_SENDS):
            slot.lost(a_worker(slot), [poison, innocent], [poison])
            slot._waiting.clear()
        with pytest.raises(WorkerLost, match=f"{MOST_SENDS} workers ended") as caught:
            await poison.answer
        assert (caught.value.code, caught.value.http_status) == ("DEV-063", 500)
        assert not innocent.answer.done()
        assert innocent.n_sends == 0

    on_a_slot(test)


def test_requests_of_a_lost_worker_come_before_those_that_came_later():
    async def test(slot: ModelSlot) -> None:
        first, second, later = request(1), request(2), request(3)
        slot._waiting.append(later)
        slot.lost(a_worker(slot), [first, second], [first])
        assert [one.id for one in slot._waiting] == [1, 2, 3]
        assert slot.n_resent == 2

    on_a_slot(test)


def a_worker(slot: ModelSlot) -> Worker:
    return Worker(RUNNING, FreeBuffers(slot._free.buffers), slot)
