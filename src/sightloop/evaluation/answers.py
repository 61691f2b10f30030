"""Running a model over labelled images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import Parity, ParityAnswer
from sightloop.datasets.truths import labelled_boxes
from sightloop.datasets.values import ClassId, Sample, Taxonomy, strata_of
from sightloop.evaluation.parity import ParityResult, check_parity
from sightloop.evaluation.values import ImageAnswer
from sightloop.inference.detector import Detector
from sightloop.inference.images import decode_picture
from sightloop.inference.seen import Seen
from sightloop.kernel.clock import Clock
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress, silent

__all__ = ["SCORE_FLOOR", "ImageAnswer", "agreement_of", "answer_parity", "evaluate_images"]

SCORE_FLOOR = 0.01
"""Lowest score an evaluation looks at: lower ones hardly move the average precision."""

AGREEMENT_FLOOR = 0.25
"""Lowest score of a detection that two ways to run one file must agree on: below it eight bits
reorder noise, which `loss` weighs as average precision does."""


def evaluate_images(
    samples: Sequence[Sample],
    detector: Detector,
    *,
    class_ids: Sequence[str],
    taxonomy: Taxonomy,
    read_image: Callable[[Digest], bytes],
    clock: Clock,
    progress: Progress = silent,
) -> list[ImageAnswer]:
    """What the detector finds on each sample, in order, beside what is there.

    Samples that are not labelled exhaustively for any class are left out; on the others only the
    classes count for which they are. An object of a class the model does not know counts as one
    it cannot find, and a detection of a class the commit does not know is left out.

    Args:
        samples: of one commit.
        detector: the model.
        class_ids: the stable id of each class of the model, as the bundle lists them.
        taxonomy: the commit's; positions in it are the class indices of the answers.
        read_image: the bytes of an image.
        clock: times each image from its bytes to its detections.
        progress: told of every image; may raise to stop the work.

    Raises:
        UnreadableImage: an image of the commit does not decode.
    """
    labelled = [sample for sample in samples if sample.labelled_for]
    index_of = {class_id: index for index, class_id in enumerate(taxonomy.class_ids)}
    _warm_up(detector)
    answers = []
    for n_done, sample in enumerate(labelled):
        progress("evaluate images", n_done, len(labelled))
        indices = {one: index_of[one] for one in sample.labelled_for if one in index_of}
        content = read_image(sample.image)
        started_s = clock.monotonic_s()
        picture = decode_picture(content, name=sample.file_name)
        found = detector.detect(picture, score_floor=SCORE_FLOOR)
        duration_ms = (clock.monotonic_s() - started_s) * 1000
        answers.append(
            ImageAnswer(
                sample=sample.id,
                group=sample.split_key,
                strata=strata_of(sample.slices),
                width_px=sample.width_px,
                height_px=sample.height_px,
                truths=labelled_boxes(sample, indices),
                detections=_translated(found, class_ids, indices),
                duration_ms=duration_ms,
            )
        )
    progress("evaluate images", len(labelled), len(labelled))
    return answers


def answer_parity(
    parity: Parity, detector: Detector, *, read_file: Callable[[str], bytes]
) -> dict[str, Seen]:
    """What the exported file finds in the images on which the checkpoint gave its own answers.

    Args:
        parity: the checkpoint's answers; its images and its score floor are used.
        detector: the exported file, opened with thresholds as the engine used them.
        read_file: the bytes of an image, by its file name in the view.
    """
    return {
        answer.file: detector.look(
            decode_picture(read_file(answer.file), name=answer.file),
            score_floor=parity.score_floor,
            shapes_from=parity.score_floor,
        )
        for answer in parity.answers
    }


def agreement_of(
    released: Detector, built: Detector, contents: Mapping[str, bytes]
) -> ParityResult:
    """How far two ways to run one file agree on these images, shapes included.

    Raises:
        UnreadableImage: an image does not decode.
    """
    floor = AGREEMENT_FLOOR
    pictures = {name: decode_picture(content, name=name) for name, content in contents.items()}
    expected = {
        name: released.look(picture, score_floor=floor, shapes_from=floor)
        for name, picture in pictures.items()
    }
    answers = [ParityAnswer(name, one.detections, [*one.shapes]) for name, one in expected.items()]
    return check_parity(
        Parity(score_floor=floor, answers=answers),
        {
            name: built.look(picture, score_floor=floor, shapes_from=floor)
            for name, picture in pictures.items()
        },
    )


def _translated(
    found: Sequence[Detection], class_ids: Sequence[str], indices: dict[ClassId, int]
) -> list[Detection]:
    """The detections under the commit's class indices, of the classes that count here."""
    index_of = [indices.get(ClassId(class_id)) for class_id in class_ids]
    translated = []
    for one in found:
        class_index = index_of[one.class_index]
        if class_index is not None:
            translated.append(msgspec.structs.replace(one, class_index=class_index))
    return translated


def _warm_up(detector: Detector) -> None:
    """The first run of a session allocates its memory; it must not count as an image's time."""
    size = detector.facts.input
    detector.detect(np.full((size.height_px, size.width_px, 3), size.pad_value, dtype=np.uint8))
