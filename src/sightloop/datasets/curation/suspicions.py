"""Rules by which a label deserves a second look, over the columns of a commit. Pure.

Each rule says what it compares with: sizes and shapes with the verified boxes **of the same class
in the same commit** (median and median absolute deviation of logarithms, so that a few wrong boxes
hardly move what they are measured by), positions with the image's own border, boxes with the other
boxes on their image. A suspicion is no error: error rates are in docs/results/curation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from sightloop.datasets.curation.columns import Columns, Numbers
from sightloop.datasets.curation.near import spread

Rule = Literal[
    "two classes",
    "double",
    "size",
    "shape",
    "sliver",
    "unlike its copy",
    "model differs",
    "model sees more",
]
RULES: Sequence[Rule] = get_args(Rule)

SAME_PLACE_IOU = 0.9
"""From here on two boxes are one object, drawn twice or called two things."""

OVERLAP_IOU = 0.5
"""From here on a model's box and a person's are about the same object. Source: Pascal VOC."""

MAX_DEVIATION = 6.0
"""Robust standard deviations; of a million normal ones none lies beyond."""

MIN_PEERS = 30
"""Boxes of a class below which it has no usual size."""

MIN_SPREAD = 0.1
"""Where all boxes of a class are alike, a tenth more or less is still usual (natural logarithm)."""

BORDER_PX = 1.0
SLIVER_SHARE = 0.2
"""A box at the border that is thinner than this share of its class's usual short side."""

SURE = 0.5
"""A proposal that says how sure it is counts from here on."""

_NORMAL = 1.4826
"""Median absolute deviation times this is the standard deviation, of normal numbers."""


class Suspicions(NamedTuple):
    """Suspicions of one rule, as columns."""

    rule: Rule
    samples: Numbers
    """(k,) on which sample."""
    first: Numbers
    """(k,) positions of the annotation in the columns; -1 if it is the whole sample."""
    second: Numbers
    """(k,) the other annotation, or the other sample for `unlike its copy`; -1 for none."""
    scores: Numbers
    """(k,) in (0, 1]: how far beyond the rule's limit; orders the list."""
    values: Numbers
    """(k,) what was measured: IoU, deviations, share, boxes, or the model's score."""


def all_suspicions(columns: Columns) -> list[Suspicions]:
    """What every rule that needs only rows has to say."""
    return [*_same_place(columns), *_odd_sizes(columns), _slivers(columns), *_proposals(columns)]


def iou_between(some: Numbers, others: Numbers) -> Numbers:
    """Intersection over union of (n, 4) boxes in pairs, (n,)."""
    low, high = np.maximum(some[:, :2], others[:, :2]), np.minimum(some[:, 2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (some, others)]
    share: Numbers = shared / (areas[0] + areas[1] - shared)
    return share


def overlapping(
    columns: Columns, chosen: Numbers, least: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Pairs among the chosen annotations of one sample with at least that IoU, and the IoU.

    Boxes of a sample are taken from left to right. One that begins further right than `reach`
    cannot overlap that much: of two boxes with IoU t, the left edges are at most (1 - t) / t of
    the left one's width apart.
    """
    boxes = columns.corners_px[chosen]
    samples = columns.samples[chosen]
    order = np.lexsort((boxes[:, 0], samples))
    boxes, chosen, samples = boxes[order], chosen[order], samples[order]
    # One number per box that grows along the order: sample first, then the left edge.
    step = float(boxes[:, 2].max(initial=0.0)) + 1.0
    along = samples * step + np.maximum(boxes[:, 0], 0.0)
    reach = (boxes[:, 2] - boxes[:, 0]) * (1 - least) / least
    limit = np.minimum(along + reach, samples * step + step)
    ends = np.searchsorted(along, limit + 1e-3, side="right")
    places = np.arange(len(chosen))
    found = []
    for one, other in spread(places, places + 1, ends - places - 1):
        iou = iou_between(boxes[one], boxes[other])
        near = (iou >= least) & (samples[one] == samples[other])
        found.append((chosen[one[near]], chosen[other[near]], iou[near]))
    if not found:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0)
    first, second, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, iou


def _same_place(columns: Columns) -> list[Suspicions]:
    chosen = np.flatnonzero(_placed(columns) & columns.vouched)
    first, second, iou = overlapping(columns, chosen, SAME_PLACE_IOU)
    is_double = columns.classes[first] == columns.classes[second]
    cases: list[tuple[Rule, Numbers]] = [("two classes", ~is_double), ("double", is_double)]
    return [
        Suspicions(rule, columns.samples[first[on]], first[on], second[on], iou[on], iou[on])
        for rule, on in cases
    ]


def _odd_sizes(columns: Columns) -> list[Suspicions]:
    chosen = np.flatnonzero(_placed(columns) & columns.vouched)
    wide, high = _sides(columns, chosen)
    classes = columns.classes[chosen]
    found = []
    cases: list[tuple[Rule, Numbers]] = [
        ("size", np.log(wide * high) / 2),
        ("shape", np.log(wide / high)),
    ]
    for rule, logs in cases:
        away = _deviations(logs, classes)
        odd = np.abs(away) > MAX_DEVIATION
        at = chosen[odd]
        scores = 1 - MAX_DEVIATION / (2 * np.abs(away[odd]))
        found.append(
            Suspicions(rule, columns.samples[at], at, np.full(len(at), -1), scores, away[odd])
        )
    return found


def _deviations(logs: Numbers, classes: Numbers) -> Numbers:
    """How many robust standard deviations each number lies from its class's median."""
    away = np.zeros(len(logs))
    order = np.argsort(classes, kind="stable")
    cuts = np.flatnonzero(np.diff(classes[order])) + 1
    for peers in np.split(order, cuts):
        if len(peers) < MIN_PEERS:
            continue
        middle = np.median(logs[peers])
        spread_ = max(_NORMAL * float(np.median(np.abs(logs[peers] - middle))), MIN_SPREAD)
        away[peers] = (logs[peers] - middle) / spread_
    return away


def _slivers(columns: Columns) -> Suspicions:
    chosen = np.flatnonzero(_placed(columns) & columns.vouched)
    boxes = columns.corners_px[chosen]
    size = columns.sizes_px[columns.samples[chosen]]
    touches = np.concatenate([boxes[:, :2] <= BORDER_PX, boxes[:, 2:] >= size - BORDER_PX], axis=1)
    wide, high = _sides(columns, chosen)
    usual = _usual_short_side(np.minimum(wide, high), columns.classes[chosen])
    # Thin across the border that it touches: a long box along the border is another matter.
    across = np.where(touches[:, [0, 2]].any(axis=1), wide, np.inf)
    across = np.minimum(across, np.where(touches[:, [1, 3]].any(axis=1), high, np.inf))
    share = across / usual
    thin = share < SLIVER_SHARE
    at = chosen[thin]
    scores = 1 - share[thin] / (2 * SLIVER_SHARE)
    return Suspicions("sliver", columns.samples[at], at, np.full(len(at), -1), scores, across[thin])


def _usual_short_side(short_px: Numbers, classes: Numbers) -> Numbers:
    """The median of each box's class; infinite thinness is never reached where there is none."""
    usual = np.full(len(short_px), 1e-9)
    order = np.argsort(classes, kind="stable")
    cuts = np.flatnonzero(np.diff(classes[order])) + 1
    for peers in np.split(order, cuts):
        if len(peers) >= MIN_PEERS:
            usual[peers] = np.median(short_px[peers])
    return usual


def _proposals(columns: Columns) -> list[Suspicions]:
    """Where a model's proposals contradict what a person or a file says."""
    placed = _placed(columns)
    sure = ~columns.vouched & ~(columns.scores < SURE)  # one that does not say counts as sure
    of_interest = np.zeros(len(columns.starts) - 1, bool)
    of_interest[columns.samples[sure]] = True
    chosen = np.flatnonzero(placed & (columns.vouched | sure) & of_interest[columns.samples])
    first, second, _ = overlapping(columns, chosen, OVERLAP_IOU)
    mixed = columns.vouched[first] != columns.vouched[second]
    first, second = first[mixed], second[mixed]
    swap = columns.vouched[second]
    label, proposal = np.where(swap, second, first), np.where(swap, first, second)
    agrees = columns.classes[label] == columns.classes[proposal]
    # A label or a proposal with a partner of its own class is explained, whatever else is near.
    explained = np.zeros(len(columns.samples), bool)
    explained[label[agrees]] = explained[proposal[agrees]] = True
    differs = ~agrees & ~explained[label] & ~explained[proposal]
    matched = np.zeros(len(columns.samples), bool)
    matched[proposal] = True
    alone = np.flatnonzero(placed & sure & ~matched)
    # Where the image is not labelled for the class, a further object contradicts nothing.
    alone = alone[_is_labelled_for(columns, alone)]
    scores = np.where(np.isnan(columns.scores), SURE, columns.scores)
    return [
        Suspicions(
            "model differs",
            columns.samples[label[differs]],
            label[differs],
            proposal[differs],
            scores[proposal[differs]],
            columns.scores[proposal[differs]],
        ),
        Suspicions(
            "model sees more",
            columns.samples[alone],
            alone,
            np.full(len(alone), -1),
            scores[alone],
            columns.scores[alone],
        ),
    ]


def _is_labelled_for(columns: Columns, annotations: Numbers) -> Numbers:
    n_classes = max(len(columns.class_ids), 1)
    known = columns.labelled[:, 0].astype(np.int64) * n_classes + columns.labelled[:, 1]
    asked = columns.samples[annotations].astype(np.int64) * n_classes + columns.classes[annotations]
    return np.isin(asked, known)


def _placed(columns: Columns) -> Numbers:
    placed: Numbers = ~np.isnan(columns.corners_px[:, 0])
    return placed


def _sides(columns: Columns, chosen: Numbers) -> tuple[Numbers, Numbers]:
    boxes = columns.corners_px[chosen]
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
