"""A model's place on the device: one bundle serves at a time, and somebody always does.

Requests queue here. A worker that dies is replaced while they wait; a new bundle is started beside
the old one, takes over at one moment, and the old one finishes what it had. Lives on the event
loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path

from sightloop.contracts.bundle import Task
from sightloop.contracts.gated_builds import GatedBuild
from sightloop.contracts.telemetry import SwapBody
from sightloop.device.buffers import Buffers
from sightloop.device.errors import (
    DeadlinePassed,
    ImageUnreadable,
    ModelBroken,
    NoModelYet,
    QueueFull,
    ShuttingDown,
    StartFailed,
    UnknownModel,
    WorkerLost,
)
from sightloop.device.health import ServingHealth
from sightloop.device.image_request import ImageRequest, Prediction
from sightloop.device.log import Log
from sightloop.device.messages import NotAnswered, Observed, Start
from sightloop.device.recorder import Post, Recorder
from sightloop.device.settings import AgentSettings
from sightloop.device.state import Installed
from sightloop.device.tuned import Choice, read_tuning
from sightloop.device.worker import FreeBuffers, Worker, start_worker
from sightloop.kernel.clock import Clock
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import SightloopError

N_BUFFERS = 8
MOST_SENDS = 3
"""Workers that may be lost over one image before it is held to be the cause."""

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
"""Between starts of a worker that keeps ending."""

DRAIN_S = 30.0

Fallback = Callable[[Installed, StartFailed, int], Awaitable[Installed | None]]
"""Asked after a failed replacement, the n-th in a row: what to serve instead; None gives up."""


class ModelSlot:
    """One slot of the device; see the module."""

    def __init__(
        self,
        name: str,
        *,
        settings: AgentSettings,
        folder_of: Callable[[Digest], str],
        recorder: Recorder,
        post: Post,
        clock: Clock,
        log: Log,
        fallback: Fallback,
        gated_for: Callable[[Installed], Sequence[GatedBuild]] = lambda _: (),
    ) -> None:
        self.name = name
        self.running: Installed | None = None
        """What answers, or will as soon as its worker is back."""
        self.health: ServingHealth | None = None
        self.task: Task = "detect"
        """Of the bundle that answers; what ran before counts until the first one is ready."""
        self.runtime = ""
        """What runs the model, in words; empty until a worker was ready."""
        self.choice_problem = ""
        """Why the way the device was tuned to is not used."""
        self.n_replaced = 0
        self.n_resent = 0
        self._settings = settings
        self._folder_of = folder_of
        self._recorder = recorder
        self._post = post
        self._clock = clock
        self._log = log
        self._fallback = fallback
        self._gated_for = gated_for
        self._free = FreeBuffers(Buffers(N_BUFFERS, settings.max_body_bytes))
        self._waiting: deque[ImageRequest] = deque()
        self._worker: Worker | None = None
        self._retiring: set[Worker] = set()
        self._replacing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._proved = False
        self._stopped = False

    # --- answering -------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether requests are answered; those that come while a worker is replaced only wait."""
        return self.running is not None and self._proved

    @property
    def n_waiting(self) -> int:
        """Requests that no worker has yet."""
        return len(self._waiting)

    @property
    def worker_pid(self) -> int:
        """Process that answers; 0 when there is none."""
        return self._worker.pid if self._worker else 0

    async def ask(self, request: ImageRequest) -> Prediction:
        """What a worker finds in the image.

        Raises:
            NoModelYet, QueueFull, ShuttingDown: it was not accepted.
            DeadlinePassed, WorkerLost, ModelBroken: it was, and there is no answer.
            ImageUnreadable: the bytes are no image.
            UnknownModel: the version it was for was replaced while it waited.
        """
        self._refuse_what_cannot_wait()
        self._waiting.append(request)
        self._feed()
        failed = False
        try:
            async with asyncio.timeout(self._settings.answer_deadline_s):
                return await request.answer
        except TimeoutError as error:
            failed = True
            raise DeadlinePassed(limit_s=self._settings.answer_deadline_s) from error
        except (WorkerLost, ModelBroken):
            failed = True
            raise
        finally:
            if self.health is not None:
                spent_ms = 1000 * (self._clock.monotonic_s() - request.admitted_s)
                self.health.count(latency_ms=spent_ms, failed=failed)

    # --- what runs -------------------------------------------------------------------------------

    def begin(self, installed: Installed) -> None:
        """Serve this bundle as soon as its worker is ready; requests wait from now on."""
        self._run_now(installed)
        self._begin_replacing()

    def is_outdated(self) -> bool:
        """Whether a worker that starts now might run the same bundle otherwise.

        The device was tuned since, or its owner vouches for other builds than when it was started.
        """
        start = self._worker.start if self._worker else None
        if start is None or self.running is None or start.bundle != self.running.bundle:
            return False
        choice = self._choice_for(start.bundle)
        regated = choice is not None and start.gated != [*self._gated_for(self.running)]
        return regated or start.choice != choice

    async def switch_to(self, installed: Installed, *, remember: Callable[[], None]) -> None:
        """Start the bundle beside what runs, let it take over, drain what ran.

        `remember` makes the choice durable; it is called in another thread, after the new worker
        proved itself and before it gets its first request.

        Raises:
            StartFailed: the bundle does not start here; what ran goes on.
            DiskFull: the choice could not be written down; what ran goes on.
        """
        started_at_ms, started_s = self._clock.now_ms(), self._clock.monotonic_s()
        candidate = await self._start(installed)
        try:
            await asyncio.to_thread(remember)
        except BaseException:
            self._retire(candidate)
            raise
        before, worker_before = self.running, self._worker
        if self._replacing is not None:
            self._replacing.cancel()
        self._close_health()
        self._run_now(installed)
        self._put_to_work(candidate)
        if worker_before is not None:
            self._retire(worker_before)
        elif before is not None:
            self._recorder.close_bundle(self.name, before.bundle)
        duration_ms = 1000 * (self._clock.monotonic_s() - started_s)
        self._post.put(
            SwapBody(
                slot=self.name,
                bundle=installed.bundle,
                previous=before.bundle if before else None,
                outcome="switched",
                reason="",
                started_at_ms=started_at_ms,
                duration_ms=duration_ms,
            )
        )
        self._log.event(
            "slot.switched",
            slot=self.name,
            model=installed.model,
            version=installed.version,
            bundle=installed.bundle,
            duration_ms=round(duration_ms),
        )

    async def clear(self) -> None:
        """Serve nothing any more: what runs finishes what it has, what waits is told so."""
        if self._replacing is not None:
            self._replacing.cancel()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._retire(worker)
        elif self.running is not None:
            self._recorder.close_bundle(self.name, self.running.bundle)
        self._give_up()

    def refuse(self, installed: Installed, reason: str) -> None:
        """Tell the server that a bundle was not put to work."""
        self._log.event("slot.refused", slot=self.name, bundle=installed.bundle, reason=reason)
        self._post.put(
            SwapBody(
                slot=self.name,
                bundle=installed.bundle,
                previous=self.running.bundle if self.running else None,
                outcome="refused",
                reason=reason,
                started_at_ms=self._clock.now_ms(),
                duration_ms=0.0,
            )
        )

    def watch(self) -> None:
        """Called regularly: ends a worker that hangs."""
        for worker in [*self._retiring, *([self._worker] if self._worker else [])]:
            if worker.silent_s() > self._settings.hang_deadline_s:
                self._log.event("worker.hangs", slot=self.name, pid=worker.pid)
                worker.kill()

    def close_health_window(self) -> None:
        """Send what happened since the last time."""
        if self.health is not None:
            resident_bytes = self._worker.resident_bytes() if self._worker else 0
            body = self.health.close_window(
                at_ms=self._clock.now_ms(), resident_bytes=resident_bytes
            )
            if body is not None:
                self._post.put(body)

    async def stop(self) -> None:
        """Answer what waits, take nothing more, end every worker."""
        self._stopped = True
        if self._replacing is not None:
            self._replacing.cancel()
        if self._worker is not None:
            self._retire(self._worker)
            self._worker = None
        while self._waiting:
            self._fail(self._waiting.popleft(), ShuttingDown())
        await asyncio.gather(*self._tasks)
        self._close_health()
        self._free.buffers.close()

    # --- what workers tell (see `worker.Owner`) -----------------------------------------------

    def answered(self, request: ImageRequest, prediction: Prediction) -> None:
        """The image was looked at."""
        if not request.answer.done():
            request.answer.set_result(prediction)

    def not_answered(self, request: ImageRequest, message: NotAnswered) -> None:
        """The image cannot be looked at."""
        kind = ImageUnreadable if message.unreadable else ModelBroken
        self._fail(request, kind(problem=message.problem))

    def observed(self, worker: Worker, request: ImageRequest, message: Observed) -> None:
        """The bookkeeping of an answered image is complete."""
        assert worker.facts is not None, "only a worker that is ready observes"

        def redact(image: bytes, done: Callable[[bytes | None, str], None]) -> None:
            worker.redact(request.id, image, done)

        self._recorder.observe(
            request,
            message,
            by=worker.installed,
            facts=worker.facts.reference,
            redact=redact if self._settings.redaction else None,
        )

    def has_room(self) -> None:
        """A worker could take another image."""
        self._feed()

    def lost(self, worker: Worker, unanswered: list[ImageRequest]) -> None:
        """A worker ended: what it had goes to the next one, first come first served."""
        if unanswered:
            unanswered[0].n_sends += 1  # Only the first was being looked at.
            self.n_resent += len(unanswered)
        for request in reversed(unanswered):
            if request.n_sends >= MOST_SENDS:
                self._fail(request, WorkerLost(n_sends=request.n_sends))
            else:
                self._waiting.appendleft(request)
        if worker is self._worker:
            self._log.event("worker.lost", slot=self.name, pid=worker.pid)
            self._worker = None
            self.n_replaced += 1
            self._begin_replacing()
        self._feed()

    # --- inside ----------------------------------------------------------------------------------

    def _refuse_what_cannot_wait(self) -> None:
        if self._stopped:
            raise ShuttingDown
        if self.running is None:
            raise NoModelYet(slot=self.name)
        if len(self._waiting) >= self._settings.max_waiting:
            raise QueueFull(n_waiting=len(self._waiting))

    def _feed(self) -> None:
        worker = self._worker
        while worker is not None and self._waiting and worker.takes_more:
            request = self._waiting[0]
            if request.answer.done():  # its deadline passed while it waited
                self._waiting.popleft()
            elif request.pinned is not None and request.pinned != worker.installed:
                self._waiting.popleft()
                self._fail(request, _overtaken(request.pinned, worker.installed))
            elif worker.look(request):
                self._waiting.popleft()
            else:
                return  # No buffer is free; the next message of a worker frees one.

    def _run_now(self, installed: Installed) -> None:
        self.running = installed
        self._proved = False
        self.health = ServingHealth(
            slot=self.name, bundle=installed.bundle, at_ms=self._clock.now_ms()
        )

    def _close_health(self) -> None:
        self.close_health_window()
        self.health = None

    async def _start(self, installed: Installed) -> Worker:
        settings = self._settings
        start = Start(
            folder=self._folder_of(installed.bundle),
            bundle=installed.bundle,
            threads=settings.threads,
            max_pixels=settings.max_pixels,
            strata=[one.stratum for one in settings.streams if one.slot == self.name],
            redaction=settings.redaction,
            n_buffers=N_BUFFERS,
            buffer_bytes=settings.max_body_bytes,
            choice=self._choice_for(installed.bundle),
            device_class=settings.device_class,
            gated=[*self._gated_for(installed)],
        )
        return await start_worker(
            installed,
            start,
            free=self._free,
            owner=self,
            deadline_s=settings.start_deadline_s,
        )

    def _choice_for(self, bundle: Digest) -> Choice | None:
        """How the device was tuned to run it; read at each start, for tuning is another process."""
        tuned = read_tuning(Path(self._settings.home)).bundles.get(bundle)
        return tuned.choice if tuned else None

    async def _replace(self) -> None:
        """Bring a worker back for what runs, or for what the fallback says instead."""
        n_failures = 0
        while self.running is not None:
            try:
                worker = await self._start(self.running)
            except StartFailed as error:
                n_failures += 1
                self._log.event("worker.failed", slot=self.name, reason=error.message)
                instead = await self._fallback(self.running, error, n_failures)
                if instead is None:
                    self._give_up()
                elif instead != self.running:
                    self._recorder.close_bundle(self.name, self.running.bundle)
                    self._close_health()
                    self._run_now(instead)
                    n_failures = 0
                else:
                    await asyncio.sleep(_pause_s(n_failures))
            else:
                self._log.event("worker.ready", slot=self.name, pid=worker.pid)
                self._put_to_work(worker)
                return

    def _put_to_work(self, worker: Worker) -> None:
        self._proved = True
        if worker.is_gone:  # it ended between its readiness and this moment
            self._begin_replacing()
        else:
            assert worker.facts is not None, "only a worker that is ready is put to work"
            self.task = worker.facts.task
            self.runtime = worker.facts.runtime
            self.choice_problem = worker.facts.choice_problem
            if self.choice_problem:
                reason = self.choice_problem
                self._log.event("worker.choice_not_used", slot=self.name, reason=reason)
            self._worker = worker
            self._feed()

    def _begin_replacing(self) -> None:
        self._replacing = asyncio.get_running_loop().create_task(self._replace())
        self._replacing.add_done_callback(self._replacing_ended)

    def _replacing_ended(self, task: asyncio.Task[None]) -> None:
        """A bug on the way must not leave the slot without a worker for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._stopped:
            self._log.event("agent.bug", slot=self.name, error=repr(error))
            asyncio.get_running_loop().call_later(LONGEST_PAUSE_S, self._begin_replacing)

    def _give_up(self) -> None:
        self._close_health()
        self.running = None
        while self._waiting:
            self._fail(self._waiting.popleft(), NoModelYet(slot=self.name))

    def _retire(self, worker: Worker) -> None:
        async def retire() -> None:
            await worker.retire(deadline_s=DRAIN_S)
            self._retiring.discard(worker)
            self._recorder.close_bundle(self.name, worker.installed.bundle)

        self._retiring.add(worker)
        self._keep_task(retire())

    def _keep_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, request: ImageRequest, error: SightloopError) -> None:
        if not request.answer.done():
            request.answer.set_exception(error)


def _overtaken(pinned: Installed, running: Installed) -> UnknownModel:
    return UnknownModel(
        model=pinned.model,
        version=str(pinned.version),
        running=[f"{running.model}@{running.version}"],
    )


def _pause_s(n_failures: int) -> float:
    return float(min(FIRST_PAUSE_S * 2 ** (n_failures - 1), LONGEST_PAUSE_S))
