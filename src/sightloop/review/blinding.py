"""Which audit tasks are labelled without the model's proposals, and which tasks twice. Pure.

People who see proposals tend to leave them and to miss what was not proposed. Some audited images
are therefore labelled blind, and the difference between the two kinds shows how large that effect
is. People also disagree with one another, and how far shows what labels can be trusted with: some
tasks are therefore labelled a second time by somebody else. Which ones are blind, and which are
asked for twice, follows from the task alone, so nobody can choose.
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


def second_draw(task: str) -> float:
    """In [0, 1), as good as random: a task is asked for twice when it is below the share asked for.

    Drawn apart from `is_blind`, so that blind tasks are asked for twice as often as others.

    >>> sum(second_draw(f"task_{index}") < 0.1 for index in range(1000))
    97
    """
    first = int.from_bytes(hashlib.sha256(f"second opinion\x00{task}".encode()).digest()[:4], "big")
    return float(first / 2**32)
