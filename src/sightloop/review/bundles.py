"""What a device's bundle says about its answers: classes, and from which score on it reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sightloop.contracts.bundle import Bundle, Detection
from sightloop.contracts.decode import decode
from sightloop.contracts.job import LabelledBox
from sightloop.evaluation.matching import image_loss
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.review.values import LabelBox


def read_bundles(workspace: Workspace, digests: Iterable[Digest]) -> dict[Digest, Bundle]:
    """The manifests of these bundles; a manifest is the blob that its bundle's digest names.

    Raises:
        BlobMissing, BlobDamaged: the workspace has lost a manifest.
        WrongFormat: the digest names something else.
    """
    return {
        digest: decode(workspace.blobs.read(digest), Bundle, what=f"bundle {digest}")
        for digest in sorted(set(digests))
    }


def reported(bundle: Bundle, detections: Sequence[Detection]) -> list[Detection]:
    """What the bundle reports of these: the detections at or above its threshold."""
    return [each for each in detections if each.score >= bundle.thresholds.score]


def loss_on(bundle: Bundle, detections: Sequence[Detection], labels: Sequence[LabelBox]) -> float:
    """How wrong the bundle's answer was, given what is on the image.

    An object of a class the bundle does not know is one it did not find.
    """
    index_of = {name: index for index, name in enumerate(bundle.class_ids)}
    truths = [
        LabelledBox(
            index_of.get(label.class_id, len(bundle.class_ids)),
            label.box.x1,
            label.box.y1,
            label.box.x2,
            label.box.y2,
        )
        for label in labels
    ]
    return image_loss(detections, truths, score_threshold=bundle.thresholds.score)
