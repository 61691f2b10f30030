"""The worker: takes due steps, runs their handlers, keeps their leases alive.

One `StepWorker` serves one lane; a process may run several, each in its own thread, and any
number of processes may share a database. Whatever kills a worker, its step is taken over when the
lease runs out.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from sightloop.kernel import steps
from sightloop.kernel.actors import step_actor
from sightloop.kernel.errors import BadInput, NotFound, Refused, SightloopError, Unavailable
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.steps import Lane, LeaseLost, Outcome, Step, StepState
from sightloop.kernel.workspace import Workspace

STEP_FAILED = EventKind("step.failed")


@dataclass(slots=True)
class StepControl:
    """What a running handler is told: whether to stop, and whom to tell how far it is."""

    stopping: threading.Event
    """Set when the process shuts down: return soon, the step will be taken up again."""
    lost: threading.Event = field(default_factory=threading.Event)
    """Set when another worker holds the step: what is done from now on is discarded."""
    progress: Progress = silent

    @property
    def should_stop(self) -> bool:
        """Whether going on is of no use."""
        return self.stopping.is_set() or self.lost.is_set()

    def progress_of(self, step: Step) -> Progress:
        """Tells how far the step is, for services that are asked to stop through their progress.

        Calling it raises `Interrupted` once the worker was told to stop.
        """

        def told(what: str, done: int, total: int) -> None:
            if self.should_stop:
                raise Interrupted(key=step.key)
            self.progress(what, done, total)

        return told


class Interrupted(Unavailable):
    """A handler stopped early because its worker was told to; the step goes on later."""

    code = "SL-530"

    def __init__(self, *, key: str) -> None:
        super().__init__(f"step {key} was interrupted and will be taken up again", key=key)


StepHandler = Callable[[Workspace, Step, StepControl], Outcome]
Handlers = Mapping[str, StepHandler]


class StepWorker:
    """Runs the due steps of one lane, one after another."""

    def __init__(
        self,
        workspace: Workspace,
        handlers: Handlers,
        *,
        owner: str,
        lane: Lane,
        stopping: threading.Event,
    ) -> None:
        self._workspace = workspace
        self._handlers = handlers
        self._owner = owner
        self._lane = lane
        self._stopping = stopping
        self._lease_ms = int(workspace.config.worker.lease_s * 1000)
        self.last_ended_s: float | None = None
        """When the latest step ended, on the monotonic clock; None before the first and while one
        runs."""

    def run_next(self) -> Step | None:
        """Run one due step to its end; None when none is due."""
        now_ms = self._workspace.clock.now_ms()
        with self._workspace.db.write() as tx:
            step = steps.lease_next(
                tx, owner=self._owner, lane=self._lane, now_ms=now_ms, lease_ms=self._lease_ms
            )
        if step is not None:
            self.last_ended_s = None
            self._run(step)
            self.last_ended_s = time.monotonic()
        return step

    def _run(self, step: Step) -> None:
        control = StepControl(self._stopping)
        try:
            with self._lease_kept(step, control):
                outcome = self._handler_of(step)(self._workspace, step, control)
            with self._workspace.db.write() as tx:
                steps.finish(tx, step.key, outcome, owner=self._owner, now_ms=self._now_ms())
        except LeaseLost:
            return
        except Interrupted:
            self._give_back(step)
        except SightloopError as error:
            hopeless = isinstance(error, BadInput | NotFound | Refused)
            self._note_failure(step, f"{error.code} {error.message}", retry=not hopeless)
        except Exception:  # noqa: BLE001 - a handler's bug must not take the other steps' worker with it
            self._note_failure(step, traceback.format_exc(limit=-6), retry=True)

    def _handler_of(self, step: Step) -> StepHandler:
        if step.name not in self._handlers:
            raise NotFound(what="handler for step", name=step.name, hint="update this worker")
        return self._handlers[step.name]

    @contextmanager
    def _lease_kept(self, step: Step, control: StepControl) -> Iterator[None]:
        finished = threading.Event()

        def renew() -> None:
            while not finished.wait(self._lease_ms / 3000):
                try:
                    with self._workspace.db.write() as tx:
                        steps.renew(
                            tx,
                            step.key,
                            owner=self._owner,
                            now_ms=self._now_ms(),
                            lease_ms=self._lease_ms,
                        )
                except LeaseLost:
                    control.lost.set()
                    return
                except Unavailable:
                    continue  # a busy database: the lease outlives two missed renewals

        thread = threading.Thread(target=renew, name=f"lease {step.key}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()

    def _note_failure(self, step: Step, error: str, *, retry: bool) -> None:
        now_ms = self._now_ms()
        with self._workspace.db.write() as tx:
            state = steps.fail(
                tx, step.key, owner=self._owner, error=error, retry=retry, now_ms=now_ms
            )
            if state is StepState.FAILED:
                tell(
                    tx,
                    STEP_FAILED,
                    step.key,
                    by=step_actor(step.name),
                    at_ms=now_ms,
                    data={"step": step.name, "inputs": step.inputs, "error": error},
                )

    def _give_back(self, step: Step) -> None:
        with self._workspace.db.write() as tx:
            steps.give_back(tx, step.key, owner=self._owner)

    def _now_ms(self) -> int:
        return self._workspace.clock.now_ms()
