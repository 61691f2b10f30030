"""How unlike everything the model learned from an image looks. Pure.

A release carries descriptors of some of its training images, spread as widely as they go; an
image's novelty is its mean cosine distance to the nearest of them. A product line that the model
has never seen stands out at once, also where its brightness and contrast happen to be usual.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NOVELTY = "novelty"
"""The measure's name in references and profiles; 0 is a look the model knows, 2 its opposite."""
N_NEAREST = 5
N_LOOKS = 128
"""Of each stratum: 25 KB in a manifest, and enough to cover a line whose parts vary."""
DECIMALS = 3

Looks = NDArray[np.float64]
"""(n_looks, 32): descriptors of unit length."""


def novelty(vector: Sequence[float], looks: Looks) -> float:
    """Mean cosine distance of the descriptor to its nearest looks; looks must not be empty."""
    distances = 1.0 - looks @ np.asarray(vector)
    nearest = np.partition(distances, min(N_NEAREST, len(distances)) - 1)[:N_NEAREST]
    return float(nearest.mean())


def choose_looks(
    vectors: Sequence[Sequence[float]], *, n_looks: int = N_LOOKS
) -> list[list[float]]:
    """As many of the descriptors as are wanted, each as far as possible from those before it.

    Source: Gonzalez (1985), Clustering to minimize the maximum intercluster distance.
    """
    if not vectors:
        return []
    points = np.asarray(vectors, dtype=np.float64)
    chosen = [0]
    distances = 1.0 - points @ points[0]
    while len(chosen) < min(n_looks, len(points)):
        furthest = int(distances.argmax())
        chosen.append(furthest)
        distances = np.minimum(distances, 1.0 - points @ points[furthest])
    return [[round(float(number), DECIMALS) for number in points[index]] for index in chosen]
