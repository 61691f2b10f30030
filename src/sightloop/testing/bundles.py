"""Real bundles around the toy detector: files, golden images, reference, all of it consistent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightloop.contracts.bundle import (
    Bundle,
    BundleFile,
    Reference,
    ReferenceLoss,
    ReferenceMeasure,
    Task,
    Thresholds,
)
from sightloop.contracts.decode import encode
from sightloop.kernel.digests import Digest, digest_of
from sightloop.testing.models import DEFAULT_LEVEL, draw_blob_image, write_blob_model
from sightloop.testing.task_models import write_task_model

CLASSES = ("scratch", "dent")
SIZE_PX = 64
STRATUM = "product_line=A"


@dataclass(frozen=True, slots=True)
class ToyBundle:
    """A manifest and the bytes of every file it lists."""

    manifest: Bundle
    files: dict[str, bytes]

    @property
    def digest(self) -> Digest:
        """The version's identity."""
        return digest_of(self.manifest_bytes)

    @property
    def manifest_bytes(self) -> bytes:
        """As they are signed."""
        return encode(self.manifest)


def make_toy_bundle(
    folder: Path,
    *,
    model: str = "blobs",
    task: Task = "detect",
    threshold_level: float = DEFAULT_LEVEL,
    created_at_ms: int = 1_700_000_000_000,
    n_golden: int = 2,
    n_reference: int = 80,
) -> ToyBundle:
    """A bundle of the toy detector; `folder` takes the model file while it is measured.

    Equal arguments give equal bundles; another `created_at_ms` gives another version of the same
    model.
    """
    # Slow to load, and most tests of `testing` need neither.
    from sightloop.inference.detector import open_model
    from sightloop.inference.histograms import count_bins, quantile_edges
    from sightloop.inference.images import decode_picture
    from sightloop.inference.measures import MEASURES, measure
    from sightloop.inference.seen import golden_image

    model_file = folder / "model.onnx"
    if task == "detect":
        write_blob_model(
            model_file, classes=CLASSES, size_px=SIZE_PX, threshold_level=threshold_level
        )
    else:
        write_task_model(model_file, task, classes=CLASSES, size_px=SIZE_PX)
    thresholds = Thresholds(score=0.5)
    detector = open_model(model_file, thresholds=thresholds, threads=1)
    rng = np.random.default_rng(7)
    files = {"model.onnx": model_file.read_bytes()}
    golden = []
    for index in range(n_golden):
        content = draw_blob_image(rng, n_classes=len(CLASSES)).content
        picture = decode_picture(content, name="golden")
        name = f"golden/{index}.jpg"
        files[name] = content
        golden.append(golden_image(name, detector.look(picture), thresholds))
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for _ in range(n_reference):
        content = draw_blob_image(rng, n_classes=len(CLASSES)).content
        picture = decode_picture(content, name="reference")
        found = detector.detect(picture)
        measured = measure(picture, n_bytes=len(content), detections=found, thresholds=thresholds)
        for name, value in measured.items():
            values[name].append(value)
    measures = []
    for name, seen in values.items():
        edges = quantile_edges(seen, n_bins=8)
        counts = count_bins(edges, seen)
        measures.append(ReferenceMeasure(name, edges, {"": counts, STRATUM: counts}))
    manifest = Bundle(
        model=model,
        task=task,
        class_ids=[f"class_{index}" for index in range(len(CLASSES))],
        class_names=list(CLASSES),
        input=detector.facts.input,
        head=detector.facts.head,
        keypoint_shape=detector.facts.keypoint_shape,
        thresholds=thresholds,
        model_file="model.onnx",
        files=[
            BundleFile(name, digest_of(content), len(content)) for name, content in files.items()
        ],
        golden=golden,
        reference=Reference(measures, {"": ReferenceLoss(n_reference, 0.1, 0.2)}),
        declared_licence="Apache-2.0",
        engine="toy",
        dataset_commit=digest_of(b"commit"),
        run="run_1",
        created_at_ms=created_at_ms,
    )
    return ToyBundle(manifest, files)
