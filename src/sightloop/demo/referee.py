"""The referee: knows what is truly in every image, and measures what the models are worth.

It takes the released files the way a device does, by manifest and digest over HTTP, and runs them
on images that no model was trained on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import urllib3

from sightloop.contracts.bundle import Bundle, Detection
from sightloop.contracts.decode import decode
from sightloop.contracts.job import LabelledBox
from sightloop.datasets.values import SampleId
from sightloop.demo.world import World, WorldImage
from sightloop.evaluation.answers import SCORE_FLOOR
from sightloop.evaluation.bootstrap import Gain, paired_gain
from sightloop.evaluation.matching import image_loss
from sightloop.evaluation.values import ImageAnswer
from sightloop.inference.detector import Detector, open_detector
from sightloop.inference.images import decode_picture
from sightloop.kernel.digests import Digest, digest_of
from sightloop.registry.values import ModelVersion

SEED = 0


class Contender:
    """A released version, ready to answer."""

    def __init__(self, version: ModelVersion, bundle: Bundle, detector: Detector) -> None:
        self.name = version.name
        self.bundle = bundle
        self._detector = detector

    def answer(self, image: WorldImage, class_names: Sequence[str]) -> ImageAnswer:
        """What it finds in the image, beside what is there; classes as in the world."""
        picture = decode_picture(image.path.read_bytes(), name=image.path.name)
        height_px, width_px = picture.shape[:2]
        return ImageAnswer(
            sample=SampleId(image.digest),
            group=image.key,
            strata=["", image.slice_value],
            width_px=width_px,
            height_px=height_px,
            truths=[
                LabelledBox(class_names.index(box.class_name), box.x1, box.y1, box.x2, box.y2)
                for box in image.boxes
            ],
            detections=[
                _in_world(found, self.bundle.class_names, class_names)
                for found in self._detector.detect(picture, score_floor=SCORE_FLOOR)
            ],
            duration_ms=0.0,
        )

    def mean_loss(self, answers: Sequence[ImageAnswer]) -> float:
        """Mean of 1 - F1 per image at the version's own threshold."""
        threshold = self.bundle.thresholds.score
        losses = [
            image_loss(one.detections, one.truths, score_threshold=threshold) for one in answers
        ]
        return sum(losses) / len(losses)


def fetch(server: str, version: ModelVersion, folder: Path) -> Contender:
    """Download a released version and check every byte against its manifest."""
    pool = urllib3.PoolManager()
    digits = version.bundle.removeprefix("sha256:")
    manifest = _get(pool, f"{server}/tuf/targets/bundles/{version.model}/{digits}.json")
    assert digest_of(manifest) == version.bundle, "the server gave another manifest"
    bundle = decode(manifest, Bundle, what=f"the manifest of {version.name}")
    file = bundle.file(bundle.model_file)
    content = _get(pool, f"{server}/tuf/blobs/{file.digest.removeprefix('sha256:')}")
    assert digest_of(content) == file.digest, "the server gave another file"
    path = folder / f"{version.model}-{version.number}.onnx"
    path.write_bytes(content)
    return Contender(version, bundle, open_detector(path, bundle, threads=1))


class Seen(NamedTuple):
    """What any version was trained on or chosen by: images, and split keys of their kin."""

    images: set[Digest]
    keys: set[str]


def never_trained_on(world: World, slices: Collection[str], seen: Seen) -> list[WorldImage]:
    """The world's images of these slices of which no version saw the image or its kin."""
    images = [image for name in slices for image in world.to_show[name]]
    images += [image for image in world.imported if image.slice_value in slices]
    unseen = [i for i in images if i.digest not in seen.images and i.key not in seen.keys]
    return list({image.digest: image for image in unseen}.values())


def compare(
    first: Contender, second: Contender, images: Sequence[WorldImage], world: World
) -> Gain:
    """How much the second gained over the first on these images, drawn by split key."""
    before = [first.answer(image, world.class_names) for image in images]
    after = [second.answer(image, world.class_names) for image in images]
    return paired_gain(before, after, n_replicates=1000, seed=SEED)


def _in_world(found: Detection, own: Sequence[str], world: Sequence[str]) -> Detection:
    return msgspec.structs.replace(found, class_index=world.index(own[found.class_index]))


def _get(pool: urllib3.PoolManager, url: str) -> bytes:
    response = pool.request("GET", url, timeout=30.0)
    assert response.status == 200, f"{url} answered {response.status}"
    return response.data
