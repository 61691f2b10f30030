"""Pausing Python's search for reference cycles while work piles up objects that all stay.

The collector looks at everything alive again whenever much was added. An import of 10,000 images
spends 0.3 s of 1.2 s in it and finds nothing. What is not part of a cycle is freed as ever.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_USERS = [0]


@contextmanager
def collector_paused() -> Iterator[None]:
    """No search for cycles in this process while any thread is in such a block.

    One that somebody else has switched off stays off.
    """
    with _LOCK:
        is_first = _USERS[0] == 0 and gc.isenabled()
        if is_first or _USERS[0]:
            _USERS[0] += 1
        gc.disable()
    try:
        yield
    finally:
        with _LOCK:
            if _USERS[0]:
                _USERS[0] -= 1
                if not _USERS[0]:
                    gc.enable()
