"""Commits of pictures with coloured blobs: a small data set that the toy detector can learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.taxonomy import class_id_of
from sightloop.datasets.values import LabelledObject, Sample, imported_annotations, sample_id
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.models import PLAIN, BlobImage, BlobStyle, draw_blob_image
from sightloop.testing.workspaces import LOCAL_CALL

CLASSES = ("scratch", "dent")
HALF_AND_HALF = SplitRule(train=0.5, val=0.5, test=0.0)


def commit_blobs(
    workspace: Workspace,
    *,
    n_images: int = 12,
    seed: int = 0,
    style: BlobStyle = PLAIN,
    slices: Mapping[str, str] | None = None,
    classes: Sequence[str] = CLASSES,
    split_rule: SplitRule | None = HALF_AND_HALF,
    branch: str = "main",
) -> Digest:
    """Draw images, each with a split key of its own, and put them onto the branch."""
    rng = np.random.default_rng(seed)
    drawn = [draw_blob_image(rng, n_classes=len(classes), style=style) for _ in range(n_images)]
    with workspace.blobs.batch() as batch:
        digests = [batch.put(image.content) for image in drawn]
    request = CommitSamples(
        branch=branch,
        message=f"{n_images} images",
        upserts=[
            _sample_of(image, digest, slices=dict(slices or {}), classes=classes)
            for image, digest in zip(drawn, digests, strict=True)
        ],
        new_classes=list(classes),
        split_rule=split_rule,
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


def _sample_of(
    image: BlobImage, digest: Digest, *, slices: dict[str, str], classes: Sequence[str]
) -> Sample:
    identity = sample_id(digest, None)
    class_ids = [class_id_of(name) for name in classes]
    objects = [
        LabelledObject(class_ids[box.class_index], BoxPx(box.x1, box.y1, box.x2, box.y2), {})
        for box in image.boxes
    ]
    return Sample(
        id=identity,
        image=digest,
        width_px=64,
        height_px=64,
        media_type="image/jpeg",
        file_name=f"{identity}.jpg",
        split_key=identity,
        slices=slices,
        labelled_for=class_ids,
        annotations=imported_annotations(identity, objects),
    )
