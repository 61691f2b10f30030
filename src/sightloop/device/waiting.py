"""Which of the requests that wait are looked at next, and together. Pure.

Dynamic batching after Triton's model: a batch takes what waits, up to the largest size; one that is
not full may wait a little for more; a request has a longest time to wait, and there is a longest
queue. All requests of a batch go to the same version, and each gets its own rows of the answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sightloop.device.image_request import ImageRequest
from sightloop.device.state import Installed

Waiting = deque[ImageRequest]
"""First come, first served."""


def next_batch(
    waiting: Waiting,
    *,
    running: Installed,
    n_most: int,
    overtaken: Callable[[ImageRequest], None],
) -> list[ImageRequest]:
    """Take the next requests off the queue; empty when none is left that wants an answer.

    Args:
        waiting: loses the requests that are returned, and those nobody waits for any more.
        running: the version that will look at them.
        n_most: largest batch.
        overtaken: told of a request that insists on another version than `running`.
    """
    batch: list[ImageRequest] = []
    while waiting and len(batch) < n_most:
        request = waiting[0]
        if request.alone and batch:
            break
        waiting.popleft()
        if request.answer.done():  # its time was up, or its client left
            continue
        if request.pinned is not None and request.pinned != running:
            overtaken(request)
            continue
        batch.append(request)
        if request.alone:
            break
    return batch


def worth_waiting_s(waiting: Waiting, *, n_most: int, delay_s: float, now_s: float) -> float:
    """How long the next batch should still wait for company; 0.0 when it is due.

    The delay counts from the arrival of the oldest, so nobody waits longer for company.
    """
    if n_most == 1 or len(waiting) >= n_most or not waiting or waiting[0].alone:
        return 0.0
    return max(0.0, waiting[0].admitted_s + delay_s - now_s)
