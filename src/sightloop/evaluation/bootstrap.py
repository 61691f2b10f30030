"""How sure the difference between two models is: a paired bootstrap over groups of images.

A replicate draws as many groups as there are, with replacement, and takes the AP50 of both models
on their images; the spread of the differences over many replicates is the uncertainty of the
difference that was measured. Which detection finds which object does not depend on the draw, so it
is settled once and each replicate only weighs the images anew.

AP50 is COCO's own, to the last digit: an overlap of one half, 101 recall points, all areas, the
best 100 detections of a class per image, mean over the classes that have an object.

Images of one part or scene (one `group`) are drawn together: two crops of one board are less than
two boards' worth of evidence, and drawing them apart would make the interval too narrow.

Source: Field and Welsh (2007), Bootstrapping clustered data.

1,000 replicates of two models on 2,000 images with five detections each: 3 s on one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sightloop.evaluation.errors import ImagesDiffer, NoObjects
from sightloop.evaluation.matching import match
from sightloop.evaluation.values import ImageAnswer

CONFIDENCE = 0.95
N_REPLICATES = 1000

_MAX_DETECTIONS = 100
_RECALLS = np.linspace(0.0, 1.0, 101)
_CHUNK_NUMBERS = 2_000_000  # weights of so many detections at once, 16 MB each time they are copied

Weights = NDArray[np.float64]
"""(n_replicates, n_images): how often an image was drawn."""
Groups = NDArray[np.int64]
"""(n_images,): which group each image belongs to, from 0 without gaps."""


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """By how much AP50 rose from the first model to the second, on the same images."""

    first: float
    second: float
    gain: float
    low: float
    """Lower end of the 95 % interval of the gain."""
    high: float
    n_images: int


def paired_gain(
    first: Sequence[ImageAnswer],
    second: Sequence[ImageAnswer],
    *,
    n_replicates: int = N_REPLICATES,
    seed: int,
) -> Gain:
    """AP50 of `second` minus AP50 of `first`, with its 95 % percentile interval.

    Draws in which no object was drawn at all have no AP50 and are left out.

    Raises:
        ImagesDiffer: the two are not about the same images, in the same order, with equal labels.
        NoObjects: none of the images shows an object.
    """
    _check_paired(first, second)
    ranked = _rank(first), _rank(second)
    once = np.ones((1, len(first)))
    before, after = (float(_ap50(rows, once)[0]) for rows in ranked)
    if np.isnan(before):
        raise NoObjects(n_images=len(first))
    gains = np.concatenate(
        [
            _ap50(ranked[1], weights) - _ap50(ranked[0], weights)
            for weights in _draws(ranked, _groups(first), n_replicates=n_replicates, seed=seed)
        ]
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(gains[~np.isnan(gains)], [tail, 1 - tail])
    return Gain(
        first=before,
        second=after,
        gain=after - before,
        low=float(low),
        high=float(high),
        n_images=len(first),
    )


def ap50(answers: Sequence[ImageAnswer]) -> float | None:
    """COCO's AP50 of these answers; None where no image shows an object."""
    value = float(_ap50(_rank(answers), np.ones((1, len(answers))))[0])
    return None if np.isnan(value) else value


class _Ranked(NamedTuple):
    """The detections of one class over all images, best score first."""

    images: NDArray[np.int64]
    """(n_detections,): which image each is on."""
    hits: NDArray[np.int64]
    """(n_hits,): rows of those that found an object."""
    n_objects: NDArray[np.float64]
    """(n_images,): objects of the class on each image."""


def _rank(answers: Sequence[ImageAnswer]) -> list[_Ranked]:
    n_images = len(answers)
    objects: dict[int, NDArray[np.float64]] = {}
    for image, answer in enumerate(answers):
        for truth in answer.truths:
            objects.setdefault(truth.class_index, np.zeros(n_images))[image] += 1
    rows: dict[int, list[tuple[int, float, bool]]] = {one: [] for one in objects}
    for image, answer in enumerate(answers):
        for class_index, score, is_hit in _best_of_each_class(answer):
            if class_index in rows:  # without an object, a class has no precision
                rows[class_index].append((image, score, is_hit))
    return [_ranked(rows[one], n_objects) for one, n_objects in sorted(objects.items())]


def _best_of_each_class(answer: ImageAnswer) -> Iterator[tuple[int, float, bool]]:
    found = match(answer.detections, answer.truths)
    n_of_class: dict[int, int] = {}
    for row in sorted(range(len(found)), key=lambda row: -answer.detections[row].score):
        one = answer.detections[row]
        n_of_class[one.class_index] = n_of_class.get(one.class_index, 0) + 1
        if n_of_class[one.class_index] <= _MAX_DETECTIONS:
            yield one.class_index, one.score, found[row] is not None


def _ranked(rows: list[tuple[int, float, bool]], n_objects: NDArray[np.float64]) -> _Ranked:
    # Stable, as in COCO: of equal scores the earlier image comes first.
    order = np.argsort([-score for _, score, _ in rows], kind="stable")
    images = np.array([image for image, _, _ in rows], dtype=np.int64)
    hits = np.array([is_hit for _, _, is_hit in rows], dtype=bool)
    return _Ranked(images[order], np.flatnonzero(hits[order]), n_objects)


def _ap50(classes: list[_Ranked], weights: Weights) -> NDArray[np.float64]:
    """(n_replicates,): AP50 under each row of weights; NaN where no object was drawn."""
    total, n_classes = np.zeros(len(weights)), np.zeros(len(weights))
    for ranked in classes:
        n_objects = weights @ ranked.n_objects
        is_there = n_objects > 0
        total[is_there] += _precision(ranked, weights[is_there], n_objects[is_there])
        n_classes += is_there
    mean: NDArray[np.float64] = np.divide(
        total, n_classes, out=np.full(len(weights), np.nan), where=n_classes > 0
    )
    return mean


def _precision(
    ranked: _Ranked, weights: Weights, n_objects: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n_replicates,): mean precision of a class over the recall points.

    Looks at the rows that are hits alone: recall rises only there, and the best precision from
    any row on is reached at a hit.
    """
    drawn = weights[:, ranked.images]
    n_hits = drawn[:, ranked.hits].cumsum(axis=1)
    n_answers = drawn.cumsum(axis=1)[:, ranked.hits]
    # The smallest number keeps 0 / 0 at 0 where nothing was drawn yet; pycocotools adds it too.
    precision = n_hits / (n_answers + np.spacing(1))
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    beyond = np.zeros((len(weights), 1))  # recall that is never reached has precision 0
    padded = np.concatenate([best_from_here, beyond], axis=1)
    recalls = n_hits / n_objects[:, np.newaxis]
    return np.array(
        [
            row[np.searchsorted(recall, _RECALLS, side="left")].mean()
            for row, recall in zip(padded, recalls, strict=True)
        ]
    )


def _draws(
    ranked: Sequence[list[_Ranked]], groups: Groups, *, n_replicates: int, seed: int
) -> Iterator[Weights]:
    """Weights of all replicates, in pieces that fit into the memory."""
    rng = np.random.default_rng(seed)
    n_images, n_groups = len(groups), int(groups.max()) + 1
    widest = max((len(one.images) for model in ranked for one in model), default=1)
    per_piece = max(_CHUNK_NUMBERS // max(widest, n_images), 1)
    shares = np.full(n_groups, 1 / n_groups)
    for start in range(0, n_replicates, per_piece):
        size = min(per_piece, n_replicates - start)
        yield rng.multinomial(n_groups, shares, size=size)[:, groups].astype(np.float64)


def _groups(answers: Sequence[ImageAnswer]) -> Groups:
    names = [answer.group or f"alone {answer.sample}" for answer in answers]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _check_paired(first: Sequence[ImageAnswer], second: Sequence[ImageAnswer]) -> None:
    if len(first) != len(second):
        longer = max(first, second, key=len)
        raise ImagesDiffer(
            image=longer[min(len(first), len(second))].sample, difference="was answered by one only"
        )
    for one, other in zip(first, second, strict=True):
        if one.sample != other.sample:
            raise ImagesDiffer(image=one.sample, difference=f"faces image {other.sample}")
        if one.truths != other.truths:
            raise ImagesDiffer(image=one.sample, difference="has other labels in each")
