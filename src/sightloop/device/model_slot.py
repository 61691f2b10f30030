"""A model's place on the device: one bundle serves at a time, and somebody always does.

Requests queue here. A worker that dies is replaced while they wait; a new bundle is started beside
the old one, takes over at one moment, and the old one finishes what it had. Lives on the event
loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import math
import sys
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
    WaitedTooLong,
    WorkerLost,
)
from sightloop.device.health import ServingHealth
from sightloop.device.image_request import ImageRequest, Prediction
from sightloop.device.log import Log
from sightloop.device.messages import NotAnswered, Observed, Start
from sightloop.device.recorder import Post, Recorder
from sightloop.device.serving_counts import Outcome, SlotCounts, Version
from sightloop.device.settings import AgentSettings
from sightloop.device.state import Installed
from sightloop.device.tuned import Choice, read_tuning
from sightloop.device.waiting import Waiting, next_batch, worth_waiting_s
from sightloop.device.worker import FreeBuffers, Worker, start_worker
from sightloop.kernel.clock import Clock
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import SightloopError

MOST_SENDS = 3
"""Workers that may be lost over one image before it is held to be the cause."""

MOST_LOST_IMAGES = 3
"""Different images over which workers may be lost, none answered between them, before it is the
version that is held to be the cause."""

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
        self.n_refreshed = 0
        """Workers that were replaced because they leaked."""
        self.counts = SlotCounts()
        self._settings = settings
        self._folder_of = folder_of
        self._recorder = recorder
        self._post = post
        self._clock = clock
        self._log = log
        self._fallback = fallback
        self._gated_for = gated_for
        self._is_background = any(one.challenger == name for one in settings.shadows)
        # Two batches at the worker, one whose bookkeeping is not done, and some to redact.
        self._n_buffers = 3 * settings.max_batch + 5
        self._free = FreeBuffers(Buffers(self._n_buffers, settings.max_body_bytes))
        self._waiting: Waiting = Waiting()
        self._company: asyncio.TimerHandle | None = None
        self._lost_over: set[int] = set()
        self._refreshing: asyncio.Task[None] | None = None
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

    @property
    def worker_resident_bytes(self) -> int:
        """Memory of that process now; 0 when there is none."""
        return self._worker.resident_bytes() if self._worker else 0

    async def ask(self, request: ImageRequest) -> Prediction:
        """What a worker finds in the image.

        Raises:
            NoModelYet, QueueFull, ShuttingDown: it was not accepted.
            WaitedTooLong: no worker was free in time.
            DeadlinePassed, WorkerLost, ModelBroken: it was looked at, and there is no answer.
            ImageUnreadable: the bytes are no image.
            UnknownModel: the version it was for was replaced while it waited.
        """
        try:
            self._refuse_what_cannot_wait()
        except SightloopError as error:
            self.counts.n_refused[error.code] += 1
            raise
        self._waiting.append(request)
        self._feed()
        timer = None
        if request.sent_s is None:
            patience_s = min(self._settings.queue_timeout_s, request.timeout_s or math.inf)
            timer = asyncio.get_running_loop().call_later(patience_s, self._out_of_time, request)
        outcome: Outcome = "left"
        by = self.running
        try:
            async with asyncio.timeout(self._settings.answer_deadline_s):
                prediction = await request.answer
            outcome, by = "answered", prediction.by
        except TimeoutError as error:
            outcome = "timed_out"
            raise DeadlinePassed(limit_s=self._settings.answer_deadline_s) from error
        except SightloopError as error:
            outcome = _outcome_of(error)
            raise
        else:
            return prediction
        finally:
            if timer is not None:
                timer.cancel()
            self._count(request, outcome, by=by)

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
        """Called regularly: ends a worker that hangs, and replaces one that leaks."""
        for worker in [*self._retiring, *([self._worker] if self._worker else [])]:
            if worker.silent_s() > self._settings.hang_deadline_s:
                self._log.event("worker.hangs", slot=self.name, pid=worker.pid)
                worker.kill()
        worker_now = self._worker
        if worker_now is not None and self._refreshing is None:
            grown_bytes = worker_now.private_bytes() - worker_now.private_bytes_when_ready
            if grown_bytes > self._settings.max_growth_bytes:
                self._log.event(
                    "worker.leaks", slot=self.name, pid=worker_now.pid, grown_bytes=grown_bytes
                )
                self._refreshing = self._keep_task(self._refresh(worker_now))

    def close_health_window(self) -> None:
        """Send what happened since the last time."""
        if self.health is not None:
            body = self.health.close_window(
                at_ms=self._clock.now_ms(), resident_bytes=self.worker_resident_bytes
            )
            if body is not None:
                self._post.put(body)

    async def stop(self) -> None:
        """Answer what waits, take nothing more, end every worker."""
        self._stopped = True
        for task in (self._replacing, self._refreshing):
            if task is not None:
                task.cancel()
        if self._worker is not None:
            self._retire(self._worker)
            self._worker = None
        while self._waiting:
            self._fail(self._waiting.popleft(), ShuttingDown())
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close_health()
        self._free.buffers.close()

    # --- what workers tell (see `worker.Owner`) -----------------------------------------------

    def answered(self, request: ImageRequest, prediction: Prediction) -> None:
        """The image was looked at."""
        self._lost_over.clear()
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

    def lost(
        self, worker: Worker, unanswered: list[ImageRequest], suspects: list[ImageRequest]
    ) -> None:
        """A worker ended: what it had goes to the next one, first come first served."""
        self.n_resent += len(unanswered)
        if len(suspects) == 1:
            suspects[0].n_sends += 1
            self._lost_over.add(hash(suspects[0].content))
        for request in suspects:
            request.alone = True  # Next time it is clear over which of them a worker is lost.
        for request in reversed(unanswered):
            request.sent_s = None
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
            n_most = self._settings.max_batch if worker.takes_several else 1
            now_s = self._clock.monotonic_s()
            delay_s = self._settings.batch_delay_s
            more_s = worth_waiting_s(self._waiting, n_most=n_most, delay_s=delay_s, now_s=now_s)
            if more_s > 0:
                self._feed_after(more_s)
                return
            running = worker.installed

            def overtaken(request: ImageRequest, running: Installed = running) -> None:
                assert request.pinned is not None, "only such requests are overtaken"
                self._fail(request, _overtaken(request.pinned, running))

            batch = next_batch(self._waiting, running=running, n_most=n_most, overtaken=overtaken)
            n_sent = worker.look(batch) if batch else 0
            self._note_sent(batch[:n_sent], running, now_s=now_s)
            if n_sent < len(batch):
                # No buffer is free; the next message of a worker frees one.
                self._waiting.extendleft(reversed(batch[n_sent:]))
                return

    def _feed_after(self, delay_s: float) -> None:
        if self._company is not None:
            self._company.cancel()
        self._company = asyncio.get_running_loop().call_later(delay_s, self._feed)

    def _note_sent(self, sent: list[ImageRequest], by: Installed, *, now_s: float) -> None:
        if not sent:
            return
        counts = self.counts.of(Version(by.model, by.version))
        counts.batch_sizes.add(len(sent))
        for request in sent:
            request.sent_s = now_s
            counts.waited_s.add(now_s - request.admitted_s)

    def _out_of_time(self, request: ImageRequest) -> None:
        if request.sent_s is None:
            limit_s = min(self._settings.queue_timeout_s, request.timeout_s or math.inf)
            self._fail(request, WaitedTooLong(limit_s=limit_s))
            if request in self._waiting:
                self._waiting.remove(request)

    def _count(self, request: ImageRequest, outcome: Outcome, *, by: Installed | None) -> None:
        spent_s = self._clock.monotonic_s() - request.admitted_s
        if by is not None:
            counts = self.counts.of(Version(by.model, by.version))
            counts.outcomes[outcome] += 1
            counts.duration_s.add(spent_s)
        if self.health is not None:
            # Who sets a time of his own says nothing of the bundle when it is too short.
            own_time = outcome == "timed_out" and request.timeout_s is not None
            failed = outcome in ("failed", "timed_out") and not own_time
            self.health.count(latency_ms=1000 * spent_s, failed=failed)

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
            max_batch=settings.max_batch,
            background=self._is_background,
            n_buffers=self._n_buffers,
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
        if self.running is not None and len(self._lost_over) >= MOST_LOST_IMAGES:
            await self._replace_what_keeps_ending(self.running)
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
                    self._run_instead(instead)
                    n_failures = 0
                else:
                    await asyncio.sleep(_pause_s(n_failures))
            else:
                self._log.event("worker.ready", slot=self.name, pid=worker.pid)
                self._put_to_work(worker)
                return

    async def _replace_what_keeps_ending(self, running: Installed) -> None:
        """A version that starts well but ends over whatever it is given is no better than none."""
        reason = f"workers ended over {len(self._lost_over)} different images and answered none"
        self._lost_over.clear()
        self._log.event("version.keeps_ending", slot=self.name, bundle=running.bundle)
        error = StartFailed(bundle=running.bundle, reason=reason, blame="crash")
        instead = await self._fallback(running, error, sys.maxsize)
        if instead is not None and instead != running:
            self._run_instead(instead)

    def _run_instead(self, instead: Installed) -> None:
        assert self.running is not None, "something ran that did not do"
        self._recorder.close_bundle(self.name, self.running.bundle)
        self._close_health()
        self._run_now(instead)

    async def _refresh(self, leaking: Worker) -> None:
        """Let a new worker of the same version take over from one that leaks."""
        try:
            candidate = await self._start(leaking.installed)
        except StartFailed as error:  # the one that leaks still answers, which is better than none
            self._log.event("worker.failed", slot=self.name, reason=error.message)
            await asyncio.sleep(LONGEST_PAUSE_S)
        else:
            if self._worker is not leaking:  # it was lost, or another version took over
                self._retire(candidate)
            else:
                self.n_refreshed += 1
                self._put_to_work(candidate)
                self._retire(leaking)
        finally:
            self._refreshing = None

    def _put_to_work(self, worker: Worker) -> None:
        self._proved = True
        worker.private_bytes_when_ready = worker.private_bytes()
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

    def _keep_task(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _fail(self, request: ImageRequest, error: SightloopError) -> None:
        if not request.answer.done():
            request.answer.set_exception(error)


def _outcome_of(error: SightloopError) -> Outcome:
    match error:
        case ImageUnreadable():
            return "unreadable"
        case WaitedTooLong():
            return "timed_out"
        case WorkerLost() | ModelBroken():
            return "failed"
        case _:
            return "overtaken"


def _overtaken(pinned: Installed, running: Installed) -> UnknownModel:
    return UnknownModel(
        model=pinned.model,
        version=str(pinned.version),
        running=[f"{running.model}@{running.version}"],
    )


def _pause_s(n_failures: int) -> float:
    return float(min(FIRST_PAUSE_S * 2 ** (n_failures - 1), LONGEST_PAUSE_S))
