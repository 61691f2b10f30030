"""A challenger looks at a sample of a slot's requests; what it says is compared and counted.

It can never affect an answer: it is asked after the client's answer is known, its worker gives way
to everything else on the machine, no request waits for it, and what goes wrong with it is a number.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.image_request import ImageRequest, Prediction
from sightloop.device.lanes import NO_DRAWS
from sightloop.device.model_slot import ModelSlot
from sightloop.device.settings import NO_STREAM, AgentSettings, Shadow
from sightloop.device.state import Installed
from sightloop.kernel.clock import Clock
from sightloop.kernel.errors import SightloopError

MOST_AT_ONCE = 2
"""Images a challenger may have at a time; what comes meanwhile is not shown to it."""

MOST_COMPARED = 50
"""Objects of an answer, the best ones: comparing more would keep clients waiting."""

OVERLAP = 0.5
"""Intersection over union from which two boxes of a class are the same object."""


class ShadowStatus(msgspec.Struct, kw_only=True):
    """How a challenger compares with what answers, since this pair of versions runs."""

    slot: str
    challenger: str
    share: float
    champion_model: str = ""
    champion_version: int = 0
    challenger_model: str = ""
    challenger_version: int = 0
    n_compared: int = 0
    n_same: int = 0
    """Images in which both found the same objects."""
    n_objects_both: int = 0
    n_objects_champion_only: int = 0
    n_objects_challenger_only: int = 0
    n_failed: int = 0
    """Images the challenger gave no answer to."""
    n_skipped: int = 0
    """Images of the sample it was too slow for, or had no model for."""
    duration_s: float = 0.0
    """The challenger's, of all compared images together."""


class Shadows:
    """All challengers of a device. For the event loop only."""

    def __init__(
        self,
        settings: AgentSettings,
        slots: Mapping[str, ModelSlot],
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._slots = slots
        self._clock = clock
        self._rng = rng
        self._asking: set[asyncio.Task[None]] = set()
        self._by_slot: dict[str, list[_Shadow]] = {}
        for shadow in settings.shadows:
            self._by_slot.setdefault(shadow.slot, []).append(_Shadow(shadow))

    def status(self) -> list[ShadowStatus]:
        """Of each, as the settings order them."""
        return [one.status for shadows in self._by_slot.values() for one in shadows]

    def offer(self, request: ImageRequest, prediction: Prediction, *, number: int) -> None:
        """Show an image that was answered to the challengers whose sample it falls into.

        `number` identifies it to the challenger's worker. Returns at once.
        """
        for shadow in self._by_slot.get(request.stream.slot, ()):
            if self._rng.random() >= shadow.settings.share:
                continue
            slot = self._slots[shadow.settings.challenger]
            if slot.running is None or shadow.n_asked >= MOST_AT_ONCE:
                shadow.status.n_skipped += 1
                continue
            shadow.n_asked += 1
            copy = self._copy(request, slot=slot.name, number=number)
            task = asyncio.get_running_loop().create_task(self._ask(shadow, slot, copy, prediction))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def _copy(self, request: ImageRequest, *, slot: str, number: int) -> ImageRequest:
        return ImageRequest(
            id=number,
            content=request.content,
            stream=StreamDeclaration(NO_STREAM, slot, request.stream.stratum),
            group="",
            pinned=None,
            draws=NO_DRAWS,
            admitted_at_ms=self._clock.now_ms(),
            admitted_s=self._clock.monotonic_s(),
            answer=asyncio.get_running_loop().create_future(),
        )

    async def _ask(
        self, shadow: _Shadow, slot: ModelSlot, copy: ImageRequest, champion: Prediction
    ) -> None:
        try:
            challenger = await slot.ask(copy)
        except SightloopError:
            shadow.status.n_failed += 1
        else:
            duration_s = self._clock.monotonic_s() - copy.admitted_s
            shadow.compare(champion, challenger, duration_s=duration_s)
        finally:
            shadow.n_asked -= 1


class _Shadow:
    def __init__(self, settings: Shadow) -> None:
        self.settings = settings
        self.n_asked = 0
        self._pair: tuple[Installed, Installed] | None = None
        self.status = self._fresh()

    def compare(self, champion: Prediction, challenger: Prediction, *, duration_s: float) -> None:
        """Count how the two answers differ; another pair of versions counts from zero."""
        if self._pair != (champion.by, challenger.by):
            self._pair = (champion.by, challenger.by)
            self.status = self._fresh()
            self.status.champion_model = champion.by.model
            self.status.champion_version = champion.by.version
            self.status.challenger_model = challenger.by.model
            self.status.challenger_version = challenger.by.version
        first, second = champion.detections[:MOST_COMPARED], challenger.detections[:MOST_COMPARED]
        n_both = count_same(first, second, names=(champion.class_names, challenger.class_names))
        n_champion, n_challenger = len(first), len(second)
        status = self.status
        status.n_compared += 1
        status.n_same += n_both == n_champion == n_challenger
        status.n_objects_both += n_both
        status.n_objects_champion_only += n_champion - n_both
        status.n_objects_challenger_only += n_challenger - n_both
        status.duration_s += duration_s

    def _fresh(self) -> ShadowStatus:
        one = self.settings
        return ShadowStatus(slot=one.slot, challenger=one.challenger, share=one.share)


def count_same(
    first: list[Detection], second: list[Detection], *, names: tuple[list[str], list[str]]
) -> int:
    """Objects that both found: same class by name, boxes that overlap by half; each counts once."""
    left = list(second)
    n_same = 0
    for one in first:
        name = names[0][one.class_index]
        fitting = [other for other in left if names[1][other.class_index] == name]
        best = max(fitting, key=lambda other: _overlap(one, other), default=None)
        if best is not None and _overlap(one, best) >= OVERLAP:
            left.remove(best)
            n_same += 1
    return n_same


def _overlap(first: Detection, second: Detection) -> float:
    """Intersection over union."""
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = sum((one.x2 - one.x1) * (one.y2 - one.y1) for one in (first, second))
    return both / (areas - both)
