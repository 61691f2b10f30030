"""Counting values into the bins of a reference.

The inner edges are quantiles of the reference, so each bin holds about the same share of it and a
window's counts add up over time and over devices. Bin i holds `edges[i - 1] < x <= edges[i]`; the
first and the last bin are open to their sides.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sightloop.inference.errors import NoValues


def quantile_edges(values: Sequence[float], *, n_bins: int = 64) -> list[float]:
    """Inner edges that cut `values` into at most `n_bins` bins of about equal counts.

    Strictly ascending; where many values are equal several quantiles are one edge, so there are
    fewer bins. Every edge is one of the values, so a value that repeats stays within one bin.

    Raises:
        NoValues: there is no finite value.

    >>> quantile_edges([1, 2, 3, 4, 5, 6, 7, 8], n_bins=4)
    [2.0, 4.0, 6.0]
    >>> quantile_edges([0, 0, 0, 0, 5, 7], n_bins=4)
    [0.0, 5.0]
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        raise NoValues(what="bins of a reference")
    ranks = np.arange(1, n_bins) / n_bins
    return [float(edge) for edge in np.unique(np.quantile(finite, ranks, method="inverted_cdf"))]


def bin_of(edges: Sequence[float], value: float) -> int:
    """The bin `value` falls into, 0 to `len(edges)`.

    >>> [bin_of([2.0, 4.0], value) for value in (1, 2, 3, 4, 5)]
    [0, 0, 1, 1, 2]
    """
    return bisect_left(edges, value)


def count_bins(edges: Sequence[float], values: Iterable[float]) -> list[int]:
    """How many of the values fall into each of the `len(edges) + 1` bins."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bin_of(edges, value)] += 1
    return counts


def mid_ranks(counts: Sequence[int]) -> NDArray[np.float64]:
    """The rank in [0, 1] that each bin's middle has in the reference of these counts.

    The share of the reference below the bin plus half of its own share, so that the mean over the
    reference itself is 0.5 whatever the ties.

    Raises:
        NoValues: the reference counted nothing.

    >>> mid_ranks([1, 2, 1]).tolist()
    [0.125, 0.5, 0.875]
    """
    held = np.asarray(counts, dtype=np.float64)
    if held.sum() <= 0:
        raise NoValues(what="ranks of a reference")
    ranks: NDArray[np.float64] = (np.cumsum(held) - held / 2) / held.sum()
    return ranks
