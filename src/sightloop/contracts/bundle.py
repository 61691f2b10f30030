"""A model version as it travels: files, how to run them, and what to expect of them.

Specification: docs/formats/bundle.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.shapes import Shape
from sightloop.kernel.digests import Digest, digest_of

FORMAT: Literal["sightloop.bundle/1"] = "sightloop.bundle/1"

Task = Literal["detect", "segment", "pose", "obb", "classify"]
"""What a model finds; named as Ultralytics names its tasks."""
HeadLayout = Literal["raw", "end_to_end", "probabilities"]
"""How the first output is read.

`raw`: (1, 4 + n_classes + n_extra, n_anchors), needs suppression. `end_to_end`: (1, k, 6 +
n_extra), is final. `probabilities`: (1, n_classes), of a model that classifies. The extra numbers
of an object are those of its task: coefficients of its mask, its keypoints, or its angle.
"""
Fit = Literal["letterbox", "center_crop"]
"""How a picture becomes an input: padded to fit in whole, or cut to its middle."""

GOLDEN_SCORE_TOLERANCE = 0.05
GOLDEN_BOX_TOLERANCE = 0.01
GOLDEN_MASK_OVERLAP = 0.9
"""How far another host's answer to a golden image may lie from the expected one.

Corners are compared as a share of the image's longer side; masks by intersection over union.
"""

RuntimeName = Literal["onnxruntime", "openvino", "cuda", "tensorrt"]
"""What runs a model file: ONNX Runtime on the processor, OpenVINO, or ONNX Runtime's providers
for NVIDIA's devices."""
Precision = Literal["fp32", "int8"]
"""`int8`: weights and activations of the convolutions in eight bits, scaled on images."""


class Detection(msgspec.Struct, frozen=True, array_like=True):
    """One object found: class, score in [0, 1], corners in pixels of the whole upright image."""

    class_index: int
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


class BundleFile(msgspec.Struct, frozen=True):
    """A file of the bundle, by the blob that holds its bytes."""

    name: str
    digest: Digest
    size_bytes: int


class ModelInput(msgspec.Struct, frozen=True):
    """What the file takes: one RGB image, fitted, scaled to [0, 1], float32, (1, 3, h, w)."""

    width_px: int
    height_px: int
    pad_value: int = 114
    fit: Fit = "letterbox"


class Thresholds(msgspec.Struct, frozen=True):
    """At which score an object is reported, and at which overlap two raw boxes are the same."""

    score: float
    iou: float = 0.7
    max_detections: int = 300


class ReferenceMeasure(msgspec.Struct, frozen=True):
    """How one measure was distributed over images the model had not seen.

    `edges` are the inner edges of the bins, ascending, taken from quantiles over all strata
    together; bin i holds edges[i-1] < x <= edges[i]. `counts` has one vector per stratum
    (`field=value`, and `""` for all images together), each `len(edges) + 1` long.
    """

    name: str
    edges: list[float]
    counts: dict[str, list[int]]


class ReferenceLoss(msgspec.Struct, frozen=True):
    """Mean and spread of the per-image loss over `n_images` unseen images of one stratum."""

    n_images: int
    mean: float
    deviation: float


class Reference(msgspec.Struct, frozen=True):
    """What to compare the model's life in production with."""

    measures: list[ReferenceMeasure]
    losses: dict[str, ReferenceLoss]
    looks: dict[str, list[list[float]]] = {}
    """By stratum, descriptors of images the model learned from; see `inference.novelty`."""


class GoldenImage(msgspec.Struct, frozen=True):
    """An image of the bundle and what the released file reports in it.

    `detections` are those at or above `thresholds.score`. A host passes when it finds each of them
    within the tolerances above, and no other at `thresholds.score + GOLDEN_SCORE_TOLERANCE` or
    above. Images with an answer that close to the threshold are chosen last.
    """

    file: str
    detections: list[Detection]
    shapes: list[Shape] = []
    """One for each detection, of a task that has them."""
    probabilities: list[float] = []
    """Of every class, of a model that classifies."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a model version; its digest is the version's identity."""

    format: Literal["sightloop.bundle/1"] = FORMAT
    model: str
    task: Task = "detect"
    class_ids: list[str]
    class_names: list[str]
    input: ModelInput
    head: HeadLayout
    thresholds: Thresholds
    model_file: str
    files: list[BundleFile]
    golden: list[GoldenImage]
    reference: Reference
    keypoint_shape: tuple[int, int] = (0, 0)
    """Keypoints of an object and numbers of each (2 or 3), of a model of the task `pose`."""
    declared_licence: str
    engine: str
    dataset_commit: Digest | None
    """None when nobody recorded what it learned from; such a bundle is never released."""
    run: str
    created_at_ms: int

    def file(self, name: str) -> BundleFile:
        """The file of that name; a bundle that names a file it does not list is a bug."""
        return next(file for file in self.files if file.name == name)


def bundle_digest(bundle: Bundle) -> Digest:
    """The identity of a model version: the digest of its manifest's canonical bytes."""
    return digest_of(msgspec.json.encode(bundle, order="sorted"))
