"""What an evaluation consists of.

In an evaluation a class is its position in the commit's taxonomy, whatever its position in the
bundle: so the answers of two bundles with different classes can be compared.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox
from sightloop.datasets.values import SampleId, Split
from sightloop.kernel.digests import Digest

ANSWERS_FORMAT: Literal["sightloop.answers/1"] = "sightloop.answers/1"


class ImageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is on an image and what the model found there.

    A class for which the image was not labelled exhaustively is in neither list.
    """

    sample: SampleId
    group: str = ""
    """The sample's split key: images of one part or scene share it. Empty: it stands alone."""
    strata: list[str]
    """`""` for all images together, and `field=value` for each slice."""
    width_px: int
    height_px: int
    truths: list[LabelledBox]
    detections: list[Detection]
    """Best first, down to a score of 0.01."""
    duration_ms: float
    """From the bytes of the image file to the list of detections."""


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """Every answer of an evaluation, as it is kept in a blob."""

    format: Literal["sightloop.answers/1"] = ANSWERS_FORMAT
    class_ids: list[str]
    class_names: list[str]
    images: list[ImageAnswer]


class StratumSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How a model does on one stratum."""

    n_images: int
    n_objects: int
    ap50: float | None
    """None where the stratum shows no object."""
    mean_loss: float
    """Mean of the per-image loss, 1 - F1 at the bundle's score threshold."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation in numbers. AP is COCO's, over all areas and 100 detections per image."""

    ap: float | None
    """Mean over the overlaps 0.50, 0.55, ... 0.95; None where there is no object."""
    ap50: float | None
    ap75: float | None
    ap50_by_class: dict[str, float]
    """By the class's name; only classes of which there is an object."""
    strata: dict[str, StratumSummary]
    """`""` is all images together."""
    mean_loss: float
    latency_p50_ms: float
    latency_p95_ms: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle measured on splits of a commit by one runtime."""

    id: str
    bundle: Digest
    commit: Digest
    splits: list[Split]
    runtime: str
    n_images: int
    summary: Summary
    answers: Digest
    """The blob of `Answers`."""
    created_at_ms: int


class LatencyComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Median times of two models over the same images in the same run, decoding included."""

    n_images: int
    candidate_p50_ms: float
    champion_p50_ms: float | None
    """None where there is no champion yet."""
