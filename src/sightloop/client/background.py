"""The threads of a run: one writes, one forwards, one watches the machine."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sightloop.client.errors import SpoolDamaged, TargetAway
from sightloop.client.forwarder import Forwarder
from sightloop.client.queueing import Queue
from sightloop.client.spool import End, RunSpool
from sightloop.client.syncing import LinkTo, sync_spools
from sightloop.client.texts import writable
from sightloop.client.troubles import Troubles
from sightloop.contracts.tracking import TrackedEnd

FLUSH_EVERY_S = 0.25
FORWARD_EVERY_S = 1.0
LONGEST_PAUSE_S = 30.0
CAPTURE_PATIENCE_S = 60.0

AWAY = "attempts to forward in vain"
BUGS = "failures of the tracking itself"


class Background:
    """Starts the threads and ends them in order, so that the end is the last that is written."""

    def __init__(
        self,
        spool: RunSpool,
        queue: Queue,
        link_to: LinkTo,
        troubles: Troubles,
    ) -> None:
        self._spool = spool
        self._queue = queue
        self._link_to = link_to
        self._troubles = troubles
        self._watch: Callable[[threading.Event], None] = lambda _: None
        self._target = spool.head().target
        self._stop_watching = threading.Event()
        self._stop_writing = threading.Event()
        self._closing = threading.Event()
        self._is_done = False
        self._end: End | None = None
        self._threads = {
            name: threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (
                ("sightloop-watch", self._watch_machine),
                ("sightloop-write", self._write),
                ("sightloop-forward", self._forward),
            )
        }

    def start(self, watch: Callable[[threading.Event], None]) -> None:
        """Begin to work; `watch` has a thread of its own until the event is set."""
        self._watch = watch
        for thread in self._threads.values():
            thread.start()

    def threads(self) -> list[threading.Thread]:
        """The threads at work, for measurements."""
        return list(self._threads.values())

    def end(self, state: TrackedEnd, reason: str) -> None:
        """Everything is written; it is forwarded, or the target is away. Then tell what was wrong.

        Whatever interrupts it, what was written stays and can be forwarded later.
        """
        now_ms = max(0, int(time.time() * 1000))  # a clock may stand before 1970
        self._end = End(state=state, ended_at_ms=now_ms, reason=writable(reason)[:2000])
        try:
            self._stop_watching.set()
            self._threads["sightloop-watch"].join(CAPTURE_PATIENCE_S)
            self._stop_writing.set()
            self._threads["sightloop-write"].join()
            self._closing.set()
            self._threads["sightloop-forward"].join()
        finally:
            self._stop_writing.set()
            self._closing.set()
            self._leave()

    def _leave(self) -> None:
        if self._is_done:
            self._troubles.forget(AWAY)  # it was, but has everything now
        else:
            self._spool.disown()
        lines = self._troubles.lines()
        if not self._is_done:
            lines.append(
                f"it waits in {self._spool.folder} until {self._target} can take it: "
                "`sightloop runs sync`, or the next run sent there, forwards it"
            )
        for line in lines:
            sys.stderr.write(f"sightloop: {self._spool.folder.name}: {line}\n")

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - outermost in its thread; training must go on
            self._troubles.add(BUGS, f"{type(error).__name__}: {error}")

    def _watch_machine(self) -> None:
        self._watch(self._stop_watching)

    def _write(self) -> None:
        while not self._stop_writing.wait(FLUSH_EVERY_S):
            self._guarded(self._queue.flush)  # a bug in one flush must not cost those after it
        self._guarded(self._queue.flush)
        assert self._end is not None, "only `end` stops the writing"
        self._queue.add(self._end)
        self._queue.flush()
        self._queue.close()

    def _forward(self) -> None:
        link = self._link_to(self._target)
        try:
            self._forward_all(Forwarder(self._spool, link, self._troubles))
        except (OSError, SpoolDamaged) as error:
            self._troubles.add("failures to read the spool", error)
        finally:
            link.close()
        if self._is_done:
            self._spool.remove()

    def _forward_all(self, forwarder: Forwarder) -> None:
        pause_s, has_looked_back = FORWARD_EVERY_S, False
        while True:
            is_last_try = self._closing.is_set()
            try:
                forwarder.forward()
                pause_s = FORWARD_EVERY_S
                if not (has_looked_back or is_last_try):
                    has_looked_back = True
                    self._look_back()
            except TargetAway as error:
                self._troubles.add(AWAY, error.message)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._is_done = forwarder.is_ended and not forwarder.has_more()
            if self._is_done or is_last_try:
                return
            self._closing.wait(pause_s)

    def _look_back(self) -> None:
        """Forward what earlier runs left here for the same target."""
        root: Path = self._spool.folder.parent
        now_ms = int(time.time() * 1000)
        for done in sync_spools(
            root,
            self._link_to,
            now_ms=now_ms,
            only=self._target,
            should_stop=self._closing.is_set,
        ):
            for problem in done.problems:
                self._troubles.add("problems of earlier runs", f"{done.run}: {problem}")
