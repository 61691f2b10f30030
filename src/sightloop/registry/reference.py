"""What production will be compared with: measures and losses over images not learned from. Pure.

Bins are cut over all strata together and counted per stratum, so that a stream which sees one
product line only is compared with that line and not with the mixture.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from sightloop.contracts.bundle import Reference, ReferenceLoss, ReferenceMeasure
from sightloop.datasets.values import strata_of
from sightloop.inference.histograms import count_bins, quantile_edges
from sightloop.inference.measures import MEASURES
from sightloop.inference.novelty import NOVELTY, novelty
from sightloop.registry.unseen import UnseenImage


def build_reference(
    images: Sequence[UnseenImage], *, looks: Mapping[str, list[list[float]]]
) -> Reference:
    """The reference of these images; at least one.

    Args:
        images: none of which the model learned from.
        looks: by stratum, descriptors of images it did learn from.
    """
    measures = [_measure_of(name, images) for name in MEASURES]
    if looks.get(""):
        measures.append(_novelty_of(images, looks))
    return Reference(
        measures=measures,
        losses={
            stratum: _loss_of(losses)
            for stratum, members in _by_stratum(images).items()
            if (losses := [image.loss for image in members if image.loss is not None])
        },
        looks=dict(looks),
    )


def _measure_of(name: str, images: Sequence[UnseenImage]) -> ReferenceMeasure:
    edges = quantile_edges([image.measures[name] for image in images])
    return ReferenceMeasure(
        name=name,
        edges=edges,
        counts={
            stratum: count_bins(edges, [image.measures[name] for image in members])
            for stratum, members in _by_stratum(images).items()
        },
    )


def _novelty_of(
    images: Sequence[UnseenImage], looks: Mapping[str, list[list[float]]]
) -> ReferenceMeasure:
    """Against the looks of an image's own stratum, as a stream of that stratum is measured."""
    values = {
        stratum: [novelty(image.descriptor, np.asarray(looks[stratum])) for image in members]
        for stratum, members in _by_stratum(images).items()
        if looks.get(stratum)
    }
    edges = quantile_edges([value for found in values.values() for value in found])
    counts = {stratum: count_bins(edges, found) for stratum, found in values.items()}
    return ReferenceMeasure(name=NOVELTY, edges=edges, counts=counts)


def _loss_of(losses: list[float]) -> ReferenceLoss:
    return ReferenceLoss(
        n_images=len(losses),
        mean=statistics.fmean(losses),
        deviation=statistics.stdev(losses) if len(losses) > 1 else 0.0,
    )


def _by_stratum(images: Sequence[UnseenImage]) -> dict[str, list[UnseenImage]]:
    found: dict[str, list[UnseenImage]] = {}
    for image in images:
        for stratum in strata_of(image.sample.slices):
            found.setdefault(stratum, []).append(image)
    return dict(sorted(found.items()))
