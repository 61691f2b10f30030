"""Values that take a while to work out: each once, by a thread, the latest kept in memory.

Whoever asks says how long to wait. Those who will not wait learn how far the work is and ask
again; the work goes on meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from sightloop.kernel.progress import Progress, silent

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_LOOK_EVERY_S = 0.05


class Pending(msgspec.Struct, frozen=True):
    """The value is being worked out: `done` of `total` units of `what`; `total` 0 if unknown."""

    what: str
    done: int
    total: int


@dataclass(slots=True)
class _Work(Generic[_Value]):
    future: Future[_Value]
    state: Pending

    def note(self, what: str, done: int, total: int) -> None:
        self.state = Pending(what, done, total)


class Prepared(Generic[_Key, _Value]):
    """The `keep` values that were asked for last. May be shared by threads."""

    def __init__(self, *, keep: int) -> None:
        self._keep = keep
        self._kept: OrderedDict[_Key, _Value] = OrderedDict()
        self._under_way: dict[_Key, _Work[_Value]] = {}
        self._lock = threading.Lock()
        # One at a time: two at once would each take twice as long, and pages share the processor.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")

    def get(
        self,
        key: _Key,
        make: Callable[[Progress], _Value],
        *,
        patience_s: float | None = None,
        progress: Progress = silent,
    ) -> _Value | Pending:
        """The value of that key, or how far it is when patience runs out; None waits to the end.

        What `make` raises is raised here, and forgotten: the next one who asks starts anew.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            work = self._under_way.get(key) or self._begin(key, make)
        waited_s = 0.0
        while not work.future.done():
            if patience_s is not None and waited_s >= patience_s:
                return work.state
            progress(work.state.what, work.state.done, work.state.total)
            left_s = _LOOK_EVERY_S if patience_s is None else patience_s - waited_s
            _wait(work.future, min(left_s, _LOOK_EVERY_S))
            waited_s += _LOOK_EVERY_S
        return work.future.result()

    def forget(self) -> None:
        """Keep nothing; what is under way is finished for those who wait."""
        with self._lock:
            self._kept.clear()

    def _begin(self, key: _Key, make: Callable[[Progress], _Value]) -> _Work[_Value]:
        work: _Work[_Value] = _Work(Future(), Pending("waiting", 0, 0))

        def run() -> _Value:
            try:
                value = make(work.note)
                with self._lock:
                    self._kept[key] = value
                    while len(self._kept) > self._keep:
                        self._kept.popitem(last=False)
                return value
            finally:
                with self._lock:
                    del self._under_way[key]

        self._under_way[key] = work
        work.future = self._pool.submit(run)
        return work


def _wait(future: Future[_Value], seconds: float) -> None:
    futures.wait([future], timeout=seconds)
