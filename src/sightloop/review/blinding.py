"""Which audit tasks are labelled without the model's proposals. Pure.

People who see proposals tend to leave them and to miss what was not proposed. Some audited images
are therefore labelled blind, and the difference between the two kinds shows how large that effect
is. Which ones are blind follows from the task alone, so nobody can choose.
"""

from __future__ import annotations

import hashlib

BLIND_SHARE = 0.25


def is_blind(task: str) -> bool:
    """Whether this audit task carries no pre-labels: a fixed quarter of all possible ids.

    >>> sum(is_blind(f"task_{index}") for index in range(1000))
    255
    """
    first = int.from_bytes(hashlib.sha256(task.encode()).digest()[:4], "big")
    return first < BLIND_SHARE * 2**32
