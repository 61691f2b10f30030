"""Real bundles around the toy detector: files, golden images, reference, all of it consistent."""

from __future__ import annotations

from collections.abc import Sequence
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
    takes_several: bool = False,
) -> ToyBundle:
    """A bundle of the toy detector; `folder` takes the model file while it is measured.

    Equal arguments give equal bundles; another `created_at_ms` gives another version of the same
    model. With `takes_several` it looks at several images in one run.
    """
    model_file = folder / "model.onnx"
    if task == "detect":
        write_blob_model(
            model_file,
            classes=CLASSES,
            size_px=SIZE_PX,
            threshold_level=threshold_level,
            takes_several=takes_several,
        )
    else:
        write_task_model(model_file, task, classes=CLASSES, size_px=SIZE_PX)
    rng = np.random.default_rng(7)
    images = [
        draw_blob_image(rng, n_classes=len(CLASSES)).content for _ in range(n_golden + n_reference)
    ]
    return bundle_of_model(
        model_file,
        golden=images[:n_golden],
        reference=images[n_golden:],
        model=model,
        created_at_ms=created_at_ms,
        licence="Apache-2.0",
    )


def bundle_of_model(
    model_file: Path,
    *,
    golden: Sequence[bytes],
    reference: Sequence[bytes],
    model: str,
    created_at_ms: int,
    licence: str,
    score_threshold: float = 0.5,
) -> ToyBundle:
    """A bundle of any model file; what its golden images promise is what it finds in them here.

    Args:
        model_file: an exported model of any task.
        golden: JPEG files.
        reference: JPEG files whose measures are counted, for all images and for `STRATUM`.
        model: the name it is assigned under.
        created_at_ms: sets versions of one file apart.
        licence: as the bundle declares it.
        score_threshold: from which objects are reported.
    """
    # Slow to load, and most tests of `testing` need neither.
    from sightloop.inference.detector import open_model
    from sightloop.inference.histograms import count_bins, quantile_edges
    from sightloop.inference.images import decode_picture
    from sightloop.inference.measures import MEASURES, measure
    from sightloop.inference.seen import golden_image

    thresholds = Thresholds(score=score_threshold)
    detector = open_model(model_file, thresholds=thresholds, threads=1)
    facts = detector.facts
    files = {"model.onnx": model_file.read_bytes()}
    promised = []
    for index, content in enumerate(golden):
        picture = decode_picture(content, name="golden")
        name = f"golden/{index}.jpg"
        files[name] = content
        promised.append(golden_image(name, detector.look(picture), thresholds))
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for content in reference:
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
        task=facts.task,
        class_ids=[f"class_{index}" for index in range(len(facts.class_names))],
        class_names=facts.class_names,
        input=facts.input,
        head=facts.head,
        keypoint_shape=facts.keypoint_shape,
        thresholds=thresholds,
        model_file="model.onnx",
        files=[
            BundleFile(name, digest_of(content), len(content)) for name, content in files.items()
        ],
        golden=promised,
        reference=Reference(measures, {"": ReferenceLoss(len(reference), 0.1, 0.2)}),
        declared_licence=licence,
        engine="toy",
        dataset_commit=digest_of(b"commit"),
        run="run_1",
        created_at_ms=created_at_ms,
    )
    return ToyBundle(manifest, files)
