"""All sources of an agent: begun, looked after, stopped."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sightloop.device.home import Home
from sightloop.device.log import Log
from sightloop.device.settings import AgentSettings
from sightloop.device.sources.declared import SourceDeclaration, without_secrets
from sightloop.device.sources.results import ResultLimits, ResultLog
from sightloop.device.sources.source import Asks, Source
from sightloop.device.sources.status import SourceStatus
from sightloop.kernel.clock import Clock
from sightloop.kernel.errors import DiskFull

AFTER_A_BUG_S = 30.0
TIDY_EVERY_S = 1.0


class Sources:
    """For the event loop; `start` once, `stop` once."""

    def __init__(
        self,
        settings: AgentSettings,
        front: Asks,
        *,
        home: Home,
        clock: Clock,
        log: Log,
        new_rng: Callable[[], random.Random],
    ) -> None:
        self._settings = settings
        self._home = home
        self._clock = clock
        self._log = log
        # One thread: a stalled disk holds up sources, and neither clients nor the event loop.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="results")
        self._logs: dict[str, ResultLog] = {}
        streams = {stream.name: stream for stream in settings.streams}
        self._sources = [
            Source(
                one,
                front,
                stream=streams[one.name],
                ledger=home.sources / f"{one.name}.jsonl",
                write=partial(self._write, one.name),
                max_pixels=settings.max_pixels,
                max_bytes=settings.max_body_bytes,
                clock=clock,
                log=log,
                rng=new_rng(),
            )
            for one in settings.sources
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read every source."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_running(source)) for source in self._sources]
        if self._sources:
            self._tasks.append(loop.create_task(self._keep_tidy()))

    async def stop(self) -> None:
        """Read no more; what was written is durable."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._on_thread(self._close_logs)
        self._writing.shutdown(wait=False)

    def status(self) -> list[SourceStatus]:
        """How each of them does, in the order they were declared."""
        return [
            source.counts.status(
                name=source.declared.name,
                url=without_secrets(source.declared.url),
                n_results_dropped=self._n_dropped(source.declared),
            )
            for source in self._sources
        ]

    async def _keep_running(self, source: Source) -> None:
        """A bug over one picture must not end a source for ever."""
        while True:
            try:
                await source.run()
            except Exception:  # noqa: BLE001 - recorded, and begun again
                name = source.declared.name
                self._log.event("agent.bug", source=name, trace=traceback.format_exc())
                await asyncio.sleep(AFTER_A_BUG_S)
            else:
                return

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            try:
                await self._on_thread(self._tidy)
            except OSError as error:  # the next line tells of it, if it lasts
                self._log.event("results.not_tidied", reason=str(error))

    async def _write(self, name: str, line: bytes) -> None:
        await self._on_thread(partial(self._append, name, line))

    async def _on_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, work)

    # --- on the thread that writes ---------------------------------------------------------------

    def _append(self, name: str, line: bytes) -> None:
        log = self._logs.get(name)
        try:
            if log is None:
                log = self._logs[name] = ResultLog(self._home.results / name, self._limits())
            log.append(line, at_s=self._clock.monotonic_s(), at_ms=self._clock.now_ms())
        except DiskFull:
            raise
        except OSError as error:  # a disk that fails is as good as a full one: serving goes on
            raise DiskFull(path=str(self._home.results / name)) from error

    def _tidy(self) -> None:
        for log in self._logs.values():
            log.tidy(at_s=self._clock.monotonic_s(), at_ms=self._clock.now_ms())

    def _close_logs(self) -> None:
        for log in self._logs.values():
            log.close()

    def _limits(self) -> ResultLimits:
        settings = self._settings
        return ResultLimits(
            total_bytes=settings.results_bytes,
            file_bytes=settings.results_file_bytes,
            file_age_s=settings.results_file_s,
        )

    def _n_dropped(self, declared: SourceDeclaration) -> int:
        log = self._logs.get(declared.name)
        return log.n_dropped if log is not None else 0
