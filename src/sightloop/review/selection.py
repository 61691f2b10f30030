"""Which kept images are worth a person's time: uncertain ones, unlike each other. Pure.

The most uncertain images of a camera are mostly one scene seen again and again. So images that
nearly repeat another are left out first, the most uncertain of the rest form a pool of
`POOL_FACTOR` times the budget, and from the pool one image after another is taken, always the one
with the largest

    value = (UNCERTAINTY_FLOOR + uncertainty) * distance,

where distance is to the nearest image that is taken already or known from before. An uncertainty
of zero still counts a little, so that a look the model is wrongly sure of is reached once the
uncertain ones are covered.

Source: greedy k-centre, Gonzalez (1985); for choosing images to label, Sener and Savarese (2018);
an uncertain pool before the diverse choice, as in PPAL, Yang et al. (2024). The weight by score is
ours; `tests/review/test_selection.py` compares it with taking the most uncertain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POOL_FACTOR = 5
UNCERTAINTY_FLOOR = 0.1
NEAR_DUPLICATE = 0.05
"""Images whose descriptors are closer than this show the same; unit vectors are 0 to 2 apart.

Measured with `inference.descriptor`: of copies with slight noise, another JPEG quality or a shift
of a pixel or two, nine in ten lie within 0.05; different blood smears of one microscope (BCCD),
as alike as images get, are 0.08 apart in the median, different crops of circuit boards 0.24.
"""

_FARTHEST = 2.0


class Candidate(NamedTuple):
    """An image that may be chosen. `group` is empty when nobody knows its group."""

    id: str
    group: str
    uncertainty: float
    descriptor: Sequence[float]


def select_candidates(
    candidates: Iterable[Candidate],
    *,
    known: Sequence[Sequence[float]],
    budget: int,
    max_per_group: int,
    near_duplicate: float = NEAR_DUPLICATE,
) -> list[Candidate]:
    """At most `budget` candidates, the most useful first.

    No two of them, and none of them and a known image, are closer than `near_duplicate`; no group
    but the unknown one is chosen from more than `max_per_group` times. The order in which
    candidates come in does not matter. Time grows with candidates * budget * `POOL_FACTOR`.

    Args:
        candidates: each id once.
        known: descriptors of images that people label already or have labelled.
    """
    # Uncertainty first, then the id: the choice may not depend on the order of arrival.
    ranked = sorted(candidates, key=lambda candidate: (-candidate.uncertainty, candidate.id))
    vectors, known_vectors = _vectors([candidate.descriptor for candidate in ranked], known)
    pool = _pool(
        ranked,
        vectors,
        known_vectors,
        size=POOL_FACTOR * budget,
        max_per_group=POOL_FACTOR * max_per_group,
        near_duplicate=near_duplicate,
    )
    chosen = _spread(
        [ranked[index] for index in pool],
        vectors[pool],
        known_vectors,
        budget=budget,
        max_per_group=max_per_group,
    )
    return [ranked[pool[index]] for index in chosen]


def _pool(
    ranked: list[Candidate],
    vectors: NDArray[np.float64],
    known: NDArray[np.float64],
    *,
    size: int,
    max_per_group: int,
    near_duplicate: float,
) -> list[int]:
    """The best candidates that repeat nothing known and nothing better, as indices."""
    seen = np.concatenate([known, np.empty((min(size, len(ranked)), vectors.shape[1]))])
    pool: list[int] = []
    per_group: Counter[str] = Counter()
    for index, candidate in enumerate(ranked):
        if len(pool) == size:
            break
        if candidate.group and per_group[candidate.group] == max_per_group:
            continue
        n_seen = len(known) + len(pool)
        if _distances(seen[:n_seen], vectors[index]).min(initial=_FARTHEST) < near_duplicate:
            continue
        seen[n_seen] = vectors[index]
        per_group[candidate.group] += 1
        pool.append(index)
    return pool


def _spread(
    pool: list[Candidate],
    vectors: NDArray[np.float64],
    known: NDArray[np.float64],
    *,
    budget: int,
    max_per_group: int,
) -> list[int]:
    """Greedy k-centre on the pool, weighted by uncertainty; indices in the order taken."""
    weights = UNCERTAINTY_FLOOR + np.array([candidate.uncertainty for candidate in pool])
    nearest = np.full(len(pool), _FARTHEST)
    for vector in known:
        nearest = np.minimum(nearest, _distances(vectors, vector))
    groups = np.array([candidate.group for candidate in pool])
    free = np.ones(len(pool), dtype=np.bool_)
    per_group: Counter[str] = Counter()
    chosen: list[int] = []
    while free.any() and len(chosen) < budget:
        index = int(np.argmax(np.where(free, weights * nearest, -1.0)))
        chosen.append(index)
        free[index] = False
        nearest = np.minimum(nearest, _distances(vectors, vectors[index]))
        group = pool[index].group
        per_group[group] += 1
        if group and per_group[group] == max_per_group:
            free &= groups != group
    return chosen


def _distances(vectors: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors - vector, axis=1), dtype=np.float64)


def _vectors(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both lists as rows of one length; agents of different age may send shorter descriptors."""
    length = max((len(values) for values in (*first, *second)), default=0)
    rows = np.zeros((len(first) + len(second), length))
    for index, values in enumerate((*first, *second)):
        rows[index, : len(values)] = values
    return rows[: len(first)], rows[len(first) :]
