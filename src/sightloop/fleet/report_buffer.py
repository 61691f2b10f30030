"""Uneventful check-ins of the last moment, written to the database together.

A fleet of ten thousand devices that are all well would otherwise have the database commit a
hundred times a second to say so. What a crash takes with it is a second of "seen just now", which
every device says again at its next check-in; whatever an auditor would ask about never waits here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sightloop.fleet import store
from sightloop.fleet.values import Device, Report
from sightloop.kernel.database import Database
from sightloop.kernel.errors import SightloopError

WINDOW_S = 1.0
"""One transaction in so many seconds, however many devices check in."""

log = logging.getLogger(__name__)


class ReportBuffer:
    """Used by any number of threads; the first report of a window has it written at its end."""

    def __init__(self, db: Database, *, window_s: float = WINDOW_S) -> None:
        self._db = db
        self._window_s = window_s
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Device, Report]] = {}
        self._writing: dict[str, tuple[Device, Report]] = {}
        self._timer: threading.Timer | None = None
        self._one_writer = threading.Lock()

    def keep(self, device: Device, report: Report) -> None:
        """Have the report written soon, in the place of an earlier one."""
        with self._lock:
            self._waiting[device.id] = (device, report)
            if self._timer is None:
                self._timer = threading.Timer(self._window_s, self._write_at_the_end)
                self._timer.daemon = True
                self._timer.start()

    def latest(self, device: str) -> Report | None:
        """The newest report of the device that the database does not have yet."""
        with self._lock:
            found = self._waiting.get(device) or self._writing.get(device)
        return None if found is None else found[1]

    @contextmanager
    def passed_by(self, device: str) -> Iterator[None]:
        """While a report of the device is written directly, no older one is written after it."""
        with self._one_writer:
            with self._lock:
                self._waiting.pop(device, None)
            yield

    def write(self) -> int:
        """Write what waits, in one transaction; how many reports that were.

        Raises:
            SightloopError: the database cannot be written; the reports wait on.
        """
        with self._one_writer:
            with self._lock:
                self._writing, self._waiting = self._waiting, {}
            try:
                with self._db.write() as tx:
                    store.put_reports(tx, list(self._writing.values()))
            except BaseException:
                with self._lock:
                    self._waiting = {**self._writing, **self._waiting}
                raise
            finally:
                with self._lock:
                    written, self._writing = self._writing, {}
        return len(written)

    def close(self) -> None:
        """Write what waits and start nothing more by itself."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            waits = bool(self._waiting)
        if waits:
            self._write_or_say()

    def _write_at_the_end(self) -> None:
        with self._lock:
            self._timer = None
        self._write_or_say()

    def _write_or_say(self) -> None:
        try:
            self.write()
        except SightloopError as error:
            # The next check-in of any device starts another window, which takes these along.
            log.warning("reports of devices could not be written yet: %s", error.message)
