"""Commits and what they follow: the order of a history, and where two histories parted.

Costs follow the commits that are looked at; each is read once. Times are those that commits carry,
so a clock that went back can change the order of a log, never what is found.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from sightloop.datasets.records import StoredCommit
from sightloop.datasets.samples import load_record
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest


class History:
    """Commit records, each read once. Lives as long as its transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._known: dict[Digest, StoredCommit] = {}

    def record(self, commit: Digest) -> StoredCommit:
        """What the commit says, without its classes.

        Raises:
            ObjectMissing: there is no such commit here.
        """
        if commit not in self._known:
            self._known[commit] = load_record(self._tx, commit)
        return self._known[commit]

    def newest_first(self, commits: Iterable[Digest]) -> Iterator[Digest]:
        """The commits and all their ancestors, each once, those made last first."""
        queue = _Queue(self)
        seen: set[Digest] = set()
        for one in commits:
            queue.put(one)
        while queue:
            commit = queue.take()
            if commit in seen:
                continue
            seen.add(commit)
            yield commit
            for parent in self.record(commit).parents:
                queue.put(parent)

    def is_ancestor(self, one: Digest, of: Digest) -> bool:
        """Whether `of` follows `one`, at whatever distance, or is it."""
        return one in self._common(one, of)

    def merge_base(self, ours: Digest, theirs: Digest) -> Digest | None:
        """The nearest commit that both follow; None when they have none in common.

        When histories crossed (each side merged the other) there are several that do not follow
        one another. The one made last is taken, of those made at once the one with the lowest
        digest: the same on every machine and from either side.
        """
        common = self._common(ours, theirs)
        best = [
            one
            for one in common
            if not any(other != one and self.is_ancestor(one, other) for other in common)
        ]
        return min(best, key=lambda one: (-self.record(one).committed_at_ms, one), default=None)

    def _common(self, first: Digest, second: Digest) -> set[Digest]:
        """Common ancestors, all of the nearest among them."""
        marks: dict[Digest, int] = {first: _FIRST}
        marks[second] = marks.get(second, 0) | _SECOND
        queue = _Queue(self)
        for one in marks:
            queue.put(one)
        found: set[Digest] = set()
        # What follows from a common ancestor alone is stale; nothing else left means the end.
        while any(marks[one] != _STALE for one in queue.waiting):
            commit = queue.take()
            mark = marks[commit]
            if mark == _BOTH:
                found.add(commit)
                mark = _STALE
            for parent in self.record(commit).parents:
                if marks.get(parent, 0) | mark != marks.get(parent, 0):
                    marks[parent] = marks.get(parent, 0) | mark
                    queue.put(parent)
        return found


_FIRST, _SECOND, _BOTH, _STALE = 1, 2, 3, 7


class _Queue:
    """Commits to look at, those made last first."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._heap: list[tuple[int, Digest]] = []
        self.waiting: set[Digest] = set()

    def __bool__(self) -> bool:
        return bool(self._heap)

    def put(self, commit: Digest) -> None:
        """Look at the commit later; one that waits already does not wait twice."""
        if commit not in self.waiting:
            self.waiting.add(commit)
            heapq.heappush(self._heap, (-self._history.record(commit).committed_at_ms, commit))

    def take(self) -> Digest:
        """The next commit."""
        _, commit = heapq.heappop(self._heap)
        self.waiting.remove(commit)
        return commit
