"""A workspace with a commit of drawn parts on two lines, and bundles of toy detectors."""

from collections.abc import Callable

import numpy as np
import pytest

from sightloop.contracts.bundle import (
    Bundle,
    BundleFile,
    ModelInput,
    Reference,
    Thresholds,
    bundle_digest,
)
from sightloop.contracts.decode import encode
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.values import (
    ClassId,
    LabelledObject,
    Sample,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.blobs import BlobBatch
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.models import DEFAULT_LEVEL, PALE, PLAIN, draw_blob_image, write_blob_model
from sightloop.testing.workspaces import LOCAL_CALL

SIZE_PX = 96
CLASSES = [ClassId("scratch"), ClassId("dent")]
LINES = {"plain": PLAIN, "pale": PALE}


def draw_sample(blobs: BlobBatch, rng, number: int, line: str, **changes) -> Sample:
    content, boxes = draw_blob_image(rng, size_px=SIZE_PX, style=LINES[line])
    image = blobs.put(content)
    identity = sample_id(image, None)
    objects = [
        LabelledObject(CLASSES[box.class_index], BoxPx(box.x1, box.y1, box.x2, box.y2), {})
        for box in boxes
    ]
    facts = {
        "id": identity,
        "image": image,
        "width_px": SIZE_PX,
        "height_px": SIZE_PX,
        "media_type": "image/jpeg",
        "file_name": f"{line}/{number}.jpg",
        "split_key": f"part {line} {number}",
        "slices": {"line": line},
        "labelled_for": CLASSES,
        "annotations": imported_annotations(identity, objects),
    }
    return Sample(**(facts | changes))


def commit_all(workspace: Workspace, samples: list[Sample], branch: str = "main") -> Digest:
    request = CommitSamples(
        branch=branch, message="drawn parts", upserts=samples, new_classes=["scratch", "dent"]
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


@pytest.fixture
def commit(workspace: Workspace) -> Digest:
    """Sixty parts, half of each line, in every split."""
    rng = np.random.default_rng(0)
    lines = list(LINES) * 30
    with workspace.blobs.batch() as batch:
        samples = [draw_sample(batch, rng, number, line) for number, line in enumerate(lines)]
    return commit_all(workspace, samples)


@pytest.fixture
def package(workspace: Workspace, tmp_path) -> Callable[..., Digest]:
    """Makes a bundle of a toy detector; its classes may stand in another order."""

    def make(*, level: float = DEFAULT_LEVEL, class_ids: list[str] = CLASSES) -> Digest:
        path = tmp_path / "model.onnx"
        # Hues belong to positions, so the file always knows scratch first and dent second.
        write_blob_model(path, classes=class_ids, size_px=SIZE_PX, threshold_level=level)
        file = BundleFile("model.onnx", workspace.blobs.put(path.read_bytes()), path.stat().st_size)
        bundle = Bundle(
            model="parts",
            class_ids=class_ids,
            class_names=class_ids,
            input=ModelInput(SIZE_PX, SIZE_PX),
            head="end_to_end",
            thresholds=Thresholds(score=0.5),
            model_file="model.onnx",
            files=[file],
            golden=[],
            reference=Reference([], {}),
            declared_licence="Apache-2.0",
            engine="blobs 1",
            dataset_commit=Digest("sha256:" + "0" * 64),
            run="run_1",
            created_at_ms=0,
        )
        assert workspace.blobs.put(encode(bundle)) == bundle_digest(bundle)
        return bundle_digest(bundle)

    return make


@pytest.fixture
def drawn_sample(workspace: Workspace) -> Callable[..., Sample]:
    """Draws a sample of the plain line that shows both classes."""

    def draw(rng) -> Sample:
        while True:
            sample = draw_sample(workspace.blobs, rng, 0, "plain")
            if {one.class_id for one in sample.annotations} == set(CLASSES):
                return sample

    return draw


@pytest.fixture
def commit_unlabelled(workspace: Workspace) -> Digest:
    """One part that nobody has looked at."""
    rng = np.random.default_rng(1)
    sample = draw_sample(workspace.blobs, rng, 0, "plain", labelled_for=[], annotations=[])
    return commit_all(workspace, [sample], branch="unlabelled")
