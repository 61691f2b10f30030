"""What the exported file makes of images it never learned from, as a device would see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from sightloop.contracts.bundle import Detection, Thresholds
from sightloop.datasets.values import Sample
from sightloop.evaluation.matching import image_loss
from sightloop.evaluation.values import ImageAnswer
from sightloop.inference.descriptor import descriptor
from sightloop.inference.detector import Detector
from sightloop.inference.images import decode_picture
from sightloop.inference.measures import measure
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress


class UnseenImage(msgspec.Struct, frozen=True, kw_only=True):
    """An unseen image, the file's answers down to the floor, and its measures."""

    sample: Sample
    detections: list[Detection]
    measures: dict[str, float]
    descriptor: list[float]
    loss: float | None
    """None where the image is not labelled, so that nobody knows how wrong the answer is."""


def measure_unseen(
    samples: Sequence[Sample],
    detector: Detector,
    *,
    answers: Sequence[ImageAnswer],
    thresholds: Thresholds,
    read_image: Callable[[Digest], bytes],
    progress: Progress,
) -> list[UnseenImage]:
    """Every sample as a device would measure it, with its loss at the chosen threshold.

    Args:
        samples: of one commit, labelled or not.
        detector: the exported file.
        answers: of the evaluation, for those that are labelled.
        thresholds: the bundle's own.
        read_image: the bytes of an image.
        progress: told of every image; may raise to stop the work.

    Raises:
        UnreadableImage: an image does not decode.
    """
    losses = {
        answer.sample: image_loss(
            answer.detections, answer.truths, score_threshold=thresholds.score
        )
        for answer in answers
    }
    images = []
    for n_done, sample in enumerate(samples):
        progress("measure images", n_done, len(samples))
        content = read_image(sample.image)
        picture = decode_picture(content, name=sample.file_name)
        # Again, and not from the evaluation, which leaves out classes that are not labelled.
        found = detector.detect(picture)
        images.append(
            UnseenImage(
                sample=sample,
                detections=found,
                measures=measure(
                    picture, n_bytes=len(content), detections=found, thresholds=thresholds
                ),
                descriptor=descriptor(picture),
                loss=losses.get(sample.id),
            )
        )
    progress("measure images", len(samples), len(samples))
    return images
