"""Remote stores for tests and measurements: counted, and made to fail or to crash as planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

from sightloop.datasets.remotes.backend import Held, Listed, RemoteStore, Tag
from sightloop.testing.faults import CrashPlan

READS = ("get", "get_range", "list", "size_bytes")
WRITES = ("put_new", "compare_and_swap", "delete")


class WatchedStore:
    """A store that counts what is asked of it and lets a test step in before each request.

    `list` counts once however many pages it has; a store of more than 1,000 objects has more.
    """

    def __init__(
        self, store: RemoteStore, before: Callable[[str, str], None] | None = None
    ) -> None:
        """`before(method, name)` may raise."""
        self._store = store
        self._before = before
        self._lock = Lock()
        self.n_requests: Counter[str] = Counter()
        self.bytes_read = 0
        self.bytes_written = 0

    @property
    def label(self) -> str:
        """The store's own."""
        return self._store.label

    def get(self, name: str) -> Held | None:
        """See `RemoteStore.get`."""
        self._note("get", name)
        held = self._store.get(name)
        self._add(n_read=len(held.content) if held else 0)
        return held

    def get_range(self, name: str, start: int, length: int) -> memoryview | None:
        """See `RemoteStore.get_range`."""
        self._note("get_range", name)
        content = self._store.get_range(name, start, length)
        self._add(n_read=len(content) if content else 0)
        return content

    def put_new(self, name: str, content: bytes | Path) -> bool:
        """See `RemoteStore.put_new`."""
        self._note("put_new", name)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        self._add(n_written=size)
        return self._store.put_new(name, content)

    def compare_and_swap(self, name: str, content: bytes, *, expected: Tag | None) -> Tag:
        """See `RemoteStore.compare_and_swap`."""
        self._note("compare_and_swap", name)
        self._add(n_written=len(content))
        return self._store.compare_and_swap(name, content, expected=expected)

    def list(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteStore.list`."""
        self._note("list", prefix)
        return self._store.list(prefix)

    def size_bytes(self, name: str) -> int | None:
        """See `RemoteStore.size_bytes`."""
        self._note("size_bytes", name)
        return self._store.size_bytes(name)

    def delete(self, name: str) -> None:
        """See `RemoteStore.delete`."""
        self._note("delete", name)
        self._store.delete(name)

    def _note(self, method: str, name: str) -> None:
        if self._before is not None:
            self._before(method, name)
        with self._lock:
            self.n_requests[method] += 1

    def _add(self, *, n_read: int = 0, n_written: int = 0) -> None:
        with self._lock:
            self.bytes_read += n_read
            self.bytes_written += n_written


def crashing_store(store: RemoteStore, plan: CrashPlan) -> WatchedStore:
    """The store as a process sees it that dies before a planned write."""

    def before(method: str, name: str) -> None:
        del name
        if method in WRITES:
            plan.about_to_write()

    return WatchedStore(store, before)
