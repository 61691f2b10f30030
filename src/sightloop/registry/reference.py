"""What production will be compared with: measures and losses over images not learned from. Pure.

Bins are cut over all strata together and counted per stratum, so that a stream which sees one
product line only is compared with that line and not with the mixture.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from sightloop.contracts.bundle import Reference, ReferenceLoss, ReferenceMeasure
from sightloop.datasets.values import strata_of
from sightloop.inference.histograms import count_bins, quantile_edges
from sightloop.inference.measures import MEASURES
from sightloop.registry.unseen import UnseenImage


def build_reference(images: Sequence[UnseenImage]) -> Reference:
    """The reference of these images; at least one."""
    return Reference(
        measures=[_measure_of(name, images) for name in MEASURES],
        losses={
            stratum: _loss_of(losses)
            for stratum, members in _by_stratum(images).items()
            if (losses := [image.loss for image in members if image.loss is not None])
        },
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
