"""How the permitted probability of a false alarm is divided, and the thresholds that follow.

The promise of a release: with probability at least 1 - alpha none of its monitors of a kind
alarms falsely while each stream sees at most `horizon` windows (or labels).

A monitor with threshold A alarms falsely within W windows with probability at most W / A (see
`detector`). A stream with n monitors and the share s of alpha gets A = n * W / (alpha * s) for
each, so all its monitors together alarm falsely with probability at most alpha * s, however they
depend on one another (union bound). Shares that sum to at most 1 over all streams, those yet to
come included, keep the promise for the fleet.

**A growing fleet.** A stream's share is fixed when it appears and never changes, so nothing that
happens later can break the promise of a monitor that runs. The `n_declared` streams the fleet had
when the release began share nine tenths of alpha equally: instead of ln(n) they pay ln(n) + 0.11
nats. The last tenth belongs to streams nobody declared, in generations: generation g = 1, 2, ...
doubles the fleet, so it holds n * 2^(g-1) streams, and they share 0.1 / (g * (g + 1)) equally. As
1 / (g * (g + 1)) = 1/g - 1/(g+1), the generations sum to 0.1, and everything to 1. A stream of
the first generation pays 3.0 nats more than a declared one, until the next release counts it in.
Rejected: dividing by the present number of streams for everyone. Running thresholds would have to
rise with each newcomer, and what was spent at the lower ones before is gone.
"""

from __future__ import annotations

import math

FOUNDERS_PART = 0.9
"""Of alpha, for the streams that were declared when the release began."""


def share_of(ordinal: int, *, n_declared: int) -> float:
    """The part of alpha for the stream that appeared as number `ordinal`, counted from 1.

    >>> [round(share_of(ordinal, n_declared=3), 4) for ordinal in (1, 3, 4, 6, 7, 12)]
    [0.3, 0.3, 0.0167, 0.0167, 0.0028, 0.0028]
    """
    if ordinal <= n_declared:
        return FOUNDERS_PART / n_declared
    generation = math.ceil(math.log2(ordinal / n_declared))
    n_streams = n_declared << (generation - 1)
    return (1 - FOUNDERS_PART) / (generation * (generation + 1) * n_streams)


def threshold_nats(*, alpha: float, horizon: int, n_monitors: int, share: float) -> float:
    """The ln of A = n_monitors * horizon / (alpha * share), for each monitor of one stream.

    >>> round(threshold_nats(alpha=0.01, horizon=720, n_monitors=1, share=1.0), 1)
    11.2
    """
    return math.log(n_monitors * horizon / (alpha * share))
