"""A target of tracked runs that keeps them in memory and fails as a test wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from sightloop.client.errors import TargetAway, TargetRefused
from sightloop.contracts.numbers import from_wire
from sightloop.contracts.tracking import BeginTracking, EndTracking, TrackBatch

Fault = Literal["no answer", "answer lost", "none"]
"""Whether the next call is not taken, or taken without the caller hearing of it."""


class MemoryTarget:
    """Takes what a server would take, by the same rules. Calls fail by `faults`, in their order."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = iter(faults)
        self.is_away = False
        self.refused_keys: set[str] = set()
        self.n_calls = 0
        self.begun: dict[str, BeginTracking] = {}
        self.ends: dict[str, EndTracking] = {}
        self.points: dict[str, list[tuple[str, float, int, int]]] = defaultdict(list)
        """Of each run, in the order they were taken, twice if they were taken twice."""
        self.params: dict[str, dict[str, str]] = defaultdict(dict)
        self.tags: dict[str, dict[str, str]] = defaultdict(dict)
        self.files: dict[tuple[str, str], bytes] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def begin(self, request: BeginTracking) -> None:
        """See `Link.begin`."""
        self._answer(lambda: self.begun.setdefault(request.run, request))

    def log(self, request: TrackBatch) -> None:
        """See `Link.log`."""
        self._answer(lambda: self._take(request))

    def upload(self, run: str, name: str, file: Path) -> None:
        """See `Link.upload`."""
        self._answer(lambda: self.files.__setitem__((run, name), file.read_bytes()))

    def end(self, request: EndTracking) -> None:
        """See `Link.end`."""
        self._answer(lambda: self.ends.setdefault(request.run, request))

    def close(self) -> None:
        """See `Link.close`."""

    def _take(self, request: TrackBatch) -> None:
        if request.run not in self.begun:
            raise TargetAway(target="memory", problem="the run is not known")
        if self.refused_keys & {point[0] for point in request.points}:
            raise TargetRefused(target="memory", problem="a key is refused")
        place = request.run, request.part
        if request.number <= self._numbers.get(place, -1):
            return
        self._numbers[place] = request.number
        for key, value, step, at_ms in request.points:
            self.points[request.run].append((key, from_wire(value), step, at_ms))
        self.params[request.run] |= request.params
        self.tags[request.run] |= request.tags

    def _answer(self, take: Callable[[], object]) -> None:
        self.n_calls += 1
        fault = "no answer" if self.is_away else next(self._faults, "none")
        if fault != "no answer":
            take()
        if fault != "none":
            raise TargetAway(target="memory", problem=fault)
