"""One worker process as the supervisor sees it: started, fed, watched, drained, killed.

Everything here happens on the supervisor's event loop. What the worker says is told to its owner; a
worker that ends for any reason hands back the images it had not answered.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

from sightloop.device.buffers import Buffers
from sightloop.device.errors import StartFailed
from sightloop.device.framing import Frames
from sightloop.device.image_request import Drawing, ImageRequest, Prediction
from sightloop.device.messages import (
    Answer,
    CannotStart,
    Drawn,
    Look,
    LookTogether,
    NotAnswered,
    Observed,
    Ready,
    Redact,
    Redacted,
    RedactionFailed,
    Start,
    Stop,
    ToWorker,
    frame,
    read_from_worker,
)
from sightloop.device.state import Installed

DEPTH = 2
"""Batches given to a worker at once: the next one lies ready while one is looked at."""

Redacting = Callable[[bytes | None, str], None]
"""Told the redacted image, or None and why there is none."""


class Owner(Protocol):
    """Who is told what a worker does; called on the event loop, must return at once."""

    def answered(self, request: ImageRequest, prediction: Prediction) -> None:
        """The image was looked at."""
        ...

    def not_answered(self, request: ImageRequest, message: NotAnswered) -> None:
        """The image cannot be looked at."""
        ...

    def observed(self, worker: Worker, request: ImageRequest, message: Observed) -> None:
        """The bookkeeping of an answered image is complete."""
        ...

    def has_room(self) -> None:
        """The worker could take another image."""
        ...

    def lost(
        self, worker: Worker, unanswered: list[ImageRequest], suspects: list[ImageRequest]
    ) -> None:
        """A worker that was ready ended without being asked to; it was looking at the suspects."""
        ...


class FreeBuffers:
    """Which buffers of a slot nobody uses; the lowest are used first, so few are ever touched."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self._free = list(range(buffers.n))[::-1]

    def take(self, content: bytes) -> int | None:
        """A buffer that now holds the content; None when all are in use."""
        if not self._free:
            return None
        index = self._free.pop()
        self.buffers.write(index, content)
        return index

    def give_back(self, index: int, n_bytes: int) -> None:
        """The buffer, which held so many bytes, is free again."""
        self.buffers.trim(index, n_bytes)
        self._free.append(index)


class Worker(asyncio.Protocol):
    """A process with one bundle. Made by `start_worker`."""

    def __init__(self, installed: Installed, free: FreeBuffers, owner: Owner) -> None:
        loop = asyncio.get_running_loop()
        self.installed = installed
        self.outcome: asyncio.Future[Ready | CannotStart | None] = loop.create_future()
        """How the start went; None when the process ended without a word."""
        self.facts: Ready | None = None
        self.start: Start | None = None
        """What it was told to be for."""
        self.private_bytes_when_ready = 0
        self._loop = loop
        self._free = free
        self._owner = owner
        self._frames = Frames()
        self._process: asyncio.subprocess.Process | None = None
        self._transport: asyncio.Transport | None = None
        self._looking: dict[int, tuple[ImageRequest, int]] = {}
        self._batches: deque[set[int]] = deque()
        """Ids of what is being looked at, and of what lies ready, oldest first."""
        self._observing: dict[int, tuple[ImageRequest, int]] = {}
        self._redacting: dict[int, tuple[Redacting, int, int]] = {}
        self._heard_s = loop.time()
        self._leaving = False
        self._idle = asyncio.Event()
        self._gone = asyncio.Event()

    # --- what the slot asks ----------------------------------------------------------------------

    @property
    def takes_more(self) -> bool:
        """Whether an image may be sent now."""
        return self.facts is not None and not self._leaving and len(self._batches) < DEPTH

    @property
    def takes_several(self) -> bool:
        """Whether one run may look at several images."""
        return self.facts is not None and self.facts.takes_several

    @property
    def is_gone(self) -> bool:
        """Whether the process ended; it is never heard of again."""
        return self._gone.is_set()

    def look(self, batch: Sequence[ImageRequest]) -> int:
        """Send the images, to be looked at together; how many were, for whom buffers were free."""
        looks = []
        for request in batch:
            buffer = self._free.take(request.content)
            if buffer is None:
                break
            self._looking[request.id] = (request, buffer)
            looks.append(
                Look(
                    id=request.id,
                    buffer=buffer,
                    n_bytes=len(request.content),
                    stratum=request.stream.stratum,
                    draws_answer=request.drawn is not None,
                )
            )
        if looks:
            self._set_busy()
            self._batches.append({look.id for look in looks})
            self._send(looks[0] if len(looks) == 1 else LookTogether(looks))
        return len(looks)

    def redact(self, request_id: int, content: bytes, done: Redacting) -> None:
        """Have the image redacted; `done` is called once, whatever happens to this worker."""
        buffer = None if self._leaving else self._free.take(content)
        if buffer is None:
            done(None, "no worker was free to redact it")
            return
        self._set_busy()
        self._redacting[request_id] = (done, buffer, len(content))
        self._send(Redact(request_id, buffer, len(content)))

    def silent_s(self) -> float:
        """How long it has owed an answer without saying anything."""
        return 0.0 if self._idle.is_set() else self._loop.time() - self._heard_s

    def resident_bytes(self) -> int:
        """Memory of the process now; 0 where the system does not say."""
        try:
            statm = Path(f"/proc/{self.pid}/statm").read_text()
        except OSError:
            return 0
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def private_bytes(self) -> int:
        """Memory that is the process's own, buffers and libraries left out; 0 as above."""
        try:
            statm = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        return (int(statm[1]) - int(statm[2])) * os.sysconf("SC_PAGE_SIZE")

    @property
    def pid(self) -> int:
        """Of the process; 0 before there is one."""
        return self._process.pid if self._process else 0

    def kill(self) -> None:
        """End it now; what it had is handed back."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def retire(self, *, deadline_s: float) -> None:
        """Give it nothing more, let it finish, and end it: by asking, else by force."""
        self._leaving = True
        try:
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()
                self._send(Stop())
                await self._gone.wait()
        except TimeoutError:
            self.kill()
            await self._gone.wait()

    # --- how it starts and ends ------------------------------------------------------------------

    async def run(self, start: Start) -> None:
        """Start the process and say what it is for."""
        ours, theirs = socket.socketpair()
        with theirs:
            memory = self._free.buffers.descriptor
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sightloop.device.model_worker",
                str(theirs.fileno()),
                str(memory),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory),
            )
        await self._loop.create_unix_connection(lambda: self, sock=ours)
        self._send(start)

    async def exit_words(self) -> str:
        """How the process ended, in words; waits until it has."""
        assert self._process is not None, "asked only of a started worker"
        status = await self._process.wait()
        return f"it was ended by signal {-status}" if status < 0 else f"it ended with {status}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket pair is connected; see `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in deed
        self._idle.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """The process ended, or is about to: nothing more is heard of it."""
        self.kill()
        self._gone.set()
        self._idle.set()
        unanswered = [request for request, _ in self._looking.values()]
        looked_at = self._batches[0] if self._batches else set()
        suspects = [request for request in unanswered if request.id in looked_at]
        for request, buffer in [*self._looking.values(), *self._observing.values()]:
            self._free.give_back(buffer, len(request.content))
        for request, _ in self._observing.values():
            _tell_drawn(request, Drawing(b"", "the worker ended while it drew"))
        for done, buffer, n_bytes in self._redacting.values():
            self._free.give_back(buffer, n_bytes)
            done(None, "the worker ended while it redacted the image")
        self._looking, self._observing, self._redacting = {}, {}, {}
        self._batches.clear()
        if not self.outcome.done():
            self.outcome.set_result(None)
        if self.facts is not None:
            self._owner.lost(self, unanswered, suspects)

    # --- what it says ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from the worker; see `asyncio.Protocol`."""
        self._heard_s = self._loop.time()
        for content in self._frames.feed(data):
            self._take(read_from_worker(content))

    def _take(self, message: object) -> None:
        match message:
            case Answer():
                request, _ = self._observing[message.id] = self._looked(message.id)
                self._owner.answered(request, self._prediction(message))
            case Drawn():
                request, buffer = self._observing[message.id]
                jpeg = self._free.buffers.read(buffer, message.n_bytes)
                _tell_drawn(request, Drawing(jpeg, message.problem))
            case NotAnswered():
                request, buffer = self._looked(message.id)
                self._free.give_back(buffer, len(request.content))
                self._owner.not_answered(request, message)
            case Observed():
                request, buffer = self._observing.pop(message.id)
                drawn = request.drawn.result() if request.drawn and request.drawn.done() else None
                n_bytes = max(len(request.content), len(drawn.jpeg) if drawn else 0)
                self._free.give_back(buffer, n_bytes)
                self._owner.observed(self, request, message)
            case Redacted() | RedactionFailed():
                self._redacted(message)
            case Ready():
                self.facts = message
                self.outcome.set_result(message)
            case CannotStart():
                self.outcome.set_result(message)
        if not (self._looking or self._observing or self._redacting):
            self._idle.set()
        self._owner.has_room()

    def _looked(self, request_id: int) -> tuple[ImageRequest, int]:
        self._batches[0].discard(request_id)  # batches are answered in order
        if not self._batches[0]:
            self._batches.popleft()
        return self._looking.pop(request_id)

    def _prediction(self, answer: Answer) -> Prediction:
        assert self.facts is not None, "only a worker that is ready is asked"
        return Prediction(
            self.installed,
            self.facts.task,
            self.facts.class_names,
            answer.width_px,
            answer.height_px,
            answer.detections,
            answer.shapes,
            answer.probabilities,
        )

    def _redacted(self, message: Redacted | RedactionFailed) -> None:
        done, buffer, n_bytes = self._redacting.pop(message.id)
        if isinstance(message, Redacted):
            done(self._free.buffers.read(buffer, message.n_bytes), "")
        else:
            done(None, message.problem)
        self._free.give_back(buffer, n_bytes)

    def _set_busy(self) -> None:
        if self._idle.is_set():
            self._idle.clear()
            self._heard_s = self._loop.time()

    def _send(self, message: ToWorker) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))


def _tell_drawn(request: ImageRequest, drawing: Drawing) -> None:
    if request.drawn is not None and not request.drawn.done():
        request.drawn.set_result(drawing)


async def start_worker(
    installed: Installed,
    start: Start,
    *,
    free: FreeBuffers,
    owner: Owner,
    deadline_s: float,
) -> Worker:
    """A worker that is ready: verified, loaded, warm, true to its golden images.

    Raises:
        StartFailed: it refused the bundle, ended, or was not ready in time.
    """
    worker = Worker(installed, free, owner)
    worker.start = start
    try:
        async with asyncio.timeout(deadline_s):
            await worker.run(start)
            outcome = await worker.outcome
    except TimeoutError as error:
        worker.kill()
        reason = f"it was not ready within {deadline_s:g} s"
        raise StartFailed(bundle=installed.bundle, reason=reason, blame="crash") from error
    except OSError as error:  # no memory or no descriptors for another process
        raise StartFailed(bundle=installed.bundle, reason=str(error), blame="crash") from error
    except asyncio.CancelledError:  # another version was switched in meanwhile
        worker.kill()
        raise
    if isinstance(outcome, CannotStart):
        raise StartFailed(
            bundle=installed.bundle,
            reason=f"{outcome.code} {outcome.message}",
            blame=outcome.blame,
        )
    if outcome is None or worker.is_gone:
        reason = await worker.exit_words()
        raise StartFailed(bundle=installed.bundle, reason=reason, blame="crash")
    return worker
