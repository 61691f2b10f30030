"""One source at work: opened, asked for its newest picture, opened again when it is lost.

The next picture is asked for when the answer to the last is written down, so at most one waits here
and it is never older than the model's last answer took. A camera's picture nobody can answer is
gone; a file's is asked about again until somebody can.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.backoff import retry_delay_s
from sightloop.device.errors import (
    ImageUnreadable,
    ModelBroken,
    SourceLost,
    WorkerLost,
)
from sightloop.device.image_request import Prediction
from sightloop.device.log import Log
from sightloop.device.predict import PredictReply, reply_of
from sightloop.device.sources.capture_process import CaptureProcess, start_capture
from sightloop.device.sources.declared import SourceDeclaration, scrubbed, without_secrets
from sightloop.device.sources.messages import Ended, Opened, Picture
from sightloop.device.sources.result_lines import ResultLine, ResultProblem, encode_line
from sightloop.device.sources.status import SourceCounts
from sightloop.kernel.clock import Clock
from sightloop.kernel.errors import DiskFull, SightloopError

LONGEST_RECONNECT_S = 30.0
OPENING_S = 10.0
"""Beyond `hang_s`, for the process to start and the camera to answer."""

PAUSE_S = 0.5
"""After a picture nobody could answer for now."""

FINAL = (ImageUnreadable, ModelBroken, WorkerLost)
"""Of these the picture is the cause: asking again is of no use."""


class Answered(Protocol):
    """What the front answers."""

    @property
    def prediction(self) -> Prediction:
        """What was found."""
        ...

    @property
    def duration_ms(self) -> float:
        """How long it took."""
        ...


class Asks(Protocol):
    """Who answers pictures: the front that clients ask too."""

    async def answer(self, content: bytes, stream: StreamDeclaration, *, group: str) -> Answered:
        """What the stream's slot finds in the picture."""
        ...


Write = Callable[[bytes], Awaitable[None]]
"""Writes one line of results, off the event loop; raises `DiskFull`."""


class Source:
    """Reads one source until its task is cancelled, or a film came to its end."""

    def __init__(
        self,
        declared: SourceDeclaration,
        front: Asks,
        *,
        stream: StreamDeclaration,
        ledger: Path,
        write: Write,
        max_pixels: int,
        max_bytes: int,
        clock: Clock,
        log: Log,
        rng: random.Random,
    ) -> None:
        self.declared = declared
        self.counts = SourceCounts()
        self._front = front
        self._stream = stream
        self._ledger = ledger
        self._write = write
        self._max_pixels = max_pixels
        self._max_bytes = max_bytes
        self._clock = clock
        self._log = log
        self._rng = rng
        self._n_failures = 0
        self._period_s = 1 / declared.max_fps if declared.max_fps else 0.0
        self._due_s = 0.0
        """When the next picture may be asked for, at a rate."""

    async def run(self) -> None:
        """See the class. Whatever a source does, this goes on."""
        while self.counts.state != "ended":
            try:
                await self._read_once()
            except SourceLost as error:
                await self._wait_for_it(error.message)

    async def _read_once(self) -> None:
        """From the start of a capture process to its end.

        Raises:
            SourceLost: the source ended, hangs, or cannot be opened.
        """
        declared, counts = self.declared, self.counts
        counts.state = "opening"
        counts.begin_process()
        process = await start_capture(
            declared, self._ledger, max_pixels=self._max_pixels, max_bytes=self._max_bytes
        )
        counts.pid = process.pid
        try:
            await self._follow(process)
        finally:
            counts.pid = 0
            # Shielded: an agent that stops must not leave the process behind.
            await asyncio.shield(process.close())

    async def _follow(self, process: CaptureProcess) -> None:
        counts, declared = self.counts, self.declared
        process.ask()
        timeout_s: float | None = declared.hang_s + OPENING_S
        while True:
            message = await process.receive(timeout_s=timeout_s)
            match message:
                case Opened():
                    counts.kind = message.kind
                    counts.state = "reading"
                    self._due_s = self._clock.monotonic_s() + self._period_s
                    self._log.event("source.opened", stream=declared.name, kind=message.kind)
                    # A folder may stay as it is for days.
                    timeout_s = None if message.kind == "folder" else declared.hang_s
                case Picture():
                    self._n_failures, counts.problem = 0, ""
                    counts.follow(message.counts)
                    await self._look_at(message)
                    await self._keep_to_rate(message)
                    process.ask()
                case Ended():
                    counts.follow(message.counts)
                    if not message.is_done:
                        raise SourceLost(reason=message.reason)
                    counts.state = "ended"
                    self._log.event("source.ended", stream=declared.name, n=counts.n_answered)
                    return

    async def _look_at(self, picture: Picture) -> None:
        """Have the picture answered and the answer written down."""
        is_live = not picture.name and picture.position_ms < 0
        while True:
            try:
                answered = await self._front.answer(
                    picture.content, self._stream, group=self._group_of(picture)
                )
            except FINAL as error:
                self.counts.n_failed += 1
                await self._write_line(picture, problem=error)
            except SightloopError as error:  # nobody can answer it just now
                self._tell(error.message)
                await asyncio.sleep(PAUSE_S)
                if not is_live:
                    continue
                self.counts.n_failed += 1
            else:
                age_s = max(0.0, self._clock.monotonic_s() - picture.at_s)
                self.counts.answered(age_s=age_s, at_ms=self._clock.now_ms())
                await self._write_line(picture, answered=answered)
            return

    async def _write_line(
        self,
        picture: Picture,
        *,
        answered: Answered | None = None,
        problem: SightloopError | None = None,
    ) -> None:
        line = ResultLine(
            format="sightloop.result/1",
            stream=self.declared.name,
            captured_at_ms=picture.at_ms,
            age_ms=round(1000 * max(0.0, self._clock.monotonic_s() - picture.at_s), 3),
            file=picture.name,
            position_ms=picture.position_ms,
            prediction=None if answered is None else self._reply(answered),
            problem=None if problem is None else ResultProblem(problem.code, problem.message),
        )
        try:
            await self._write(encode_line(line))
        except DiskFull as error:
            self.counts.n_results_lost += 1
            self._tell(error.message)

    def _reply(self, answered: Answered) -> PredictReply:
        return reply_of(
            answered.prediction, stream=self.declared.name, duration_ms=answered.duration_ms
        )

    async def _keep_to_rate(self, picture: Picture) -> None:
        """Wait until the next picture may be asked for; a film's rate is kept where it is read."""
        if picture.position_ms < 0:
            now_s = self._clock.monotonic_s()
            await asyncio.sleep(max(0.0, self._due_s - now_s))
            self._due_s = max(self._due_s, now_s) + self._period_s

    async def _wait_for_it(self, reason: str) -> None:
        self._n_failures += 1
        self.counts.n_reconnects += 1
        self.counts.state = "waiting"
        self._tell(scrubbed(reason, self.declared.url))
        delay_s = retry_delay_s(self._n_failures, rng=self._rng, retry_after_s=None)
        await asyncio.sleep(min(delay_s, LONGEST_RECONNECT_S))

    def _tell(self, problem: str) -> None:
        """Log a problem when it is another than the last."""
        if problem != self.counts.problem:
            url = without_secrets(self.declared.url)
            self._log.event("source.problem", stream=self.declared.name, url=url, reason=problem)
        self.counts.problem = problem

    def _group_of(self, picture: Picture) -> str:
        """The pictures of a film belong together; neighbours are nearly the same picture."""
        return Path(self.declared.url).name[:128] if picture.position_ms >= 0 else ""
