"""What a model finds stands beside what is there, in the commit's own classes."""

import msgspec
import numpy as np
import pytest

from sightloop.contracts.bundle import Thresholds
from sightloop.contracts.job import Parity, ParityAnswer
from sightloop.datasets.values import ClassId, Taxonomy, TaxonomyClass
from sightloop.evaluation.answers import SCORE_FLOOR, answer_parity, evaluate_images
from sightloop.evaluation.parity import check_parity
from sightloop.inference.detector import open_model
from sightloop.inference.errors import UnreadableImage
from sightloop.inference.images import decode_picture
from sightloop.kernel.clock import SystemClock
from sightloop.testing.models import SENSITIVE_LEVEL, draw_blob_image, write_blob_model

SCRATCH, DENT, RUST = (ClassId(name) for name in ("scratch", "dent", "rust"))


def taxonomy_of(*class_ids):
    return Taxonomy([TaxonomyClass(id=one, name=one.title()) for one in class_ids])


@pytest.fixture
def detector(tmp_path):
    path = tmp_path / "toy.onnx"
    classes = [SCRATCH, DENT]
    write_blob_model(path, classes=classes, size_px=96, threshold_level=SENSITIVE_LEVEL)
    return open_model(path, thresholds=Thresholds(0.5), threads=1)


@pytest.fixture
def sample(workspace, drawn_sample):
    return drawn_sample(np.random.default_rng(3))


def ask(workspace, detector, samples, *, taxonomy=None, class_ids=(SCRATCH, DENT), **options):
    return evaluate_images(
        samples,
        detector,
        class_ids=class_ids,
        taxonomy=taxonomy or taxonomy_of(SCRATCH, DENT),
        read_image=workspace.blobs.read,
        clock=SystemClock(),
        **options,
    )


def test_an_answer_holds_truths_detections_strata_size_and_time(workspace, detector, sample):
    [answer] = ask(workspace, detector, [sample])
    assert (answer.sample, answer.strata) == (sample.id, ["", "line=plain"])
    assert (answer.width_px, answer.height_px) == (96, 96)
    assert len(answer.truths) == len(sample.annotations)
    assert answer.duration_ms > 0
    found = [one for one in answer.detections if one.score > 0.5]
    assert sorted(one.class_index for one in found) == sorted(
        one.class_index for one in answer.truths
    )
    assert answer.detections[-1].score >= SCORE_FLOOR


def test_classes_are_positions_in_the_taxonomy_not_in_the_bundle(workspace, detector, sample):
    plain = ask(workspace, detector, [sample])[0]
    turned = ask(workspace, detector, [sample], taxonomy=taxonomy_of(RUST, DENT, SCRATCH))[0]
    new_index = {0: 2, 1: 1}
    for before, after in ((plain.truths, turned.truths), (plain.detections, turned.detections)):
        assert [new_index[one.class_index] for one in before] == [one.class_index for one in after]


def test_an_object_of_a_class_the_model_does_not_know_is_there_and_not_found(
    workspace, detector, sample
):
    [answer] = ask(workspace, detector, [sample], class_ids=(SCRATCH, RUST))
    assert {one.class_index for one in answer.truths} == {0, 1}
    assert {one.class_index for one in answer.detections} == {0}


def test_classes_an_image_is_not_labelled_for_do_not_count_on_it(workspace, detector, sample):
    half = msgspec.structs.replace(sample, labelled_for=[DENT])
    [answer] = ask(workspace, detector, [half])
    assert {one.class_index for one in answer.truths + answer.detections} == {1}


def test_an_image_that_is_labelled_for_nothing_is_left_out(workspace, detector, sample):
    unlabelled = msgspec.structs.replace(sample, labelled_for=[])
    assert ask(workspace, detector, [unlabelled]) == []


def test_proposals_are_no_truths(workspace, detector, sample):
    proposed = [
        msgspec.structs.replace(one, state="proposed", source="parts@1")
        for one in sample.annotations
    ]
    [answer] = ask(workspace, detector, [msgspec.structs.replace(sample, annotations=proposed)])
    assert answer.truths == []


def test_progress_is_told_for_every_image(workspace, detector, sample):
    told = []
    ask(workspace, detector, [sample] * 3, progress=lambda *facts: told.append(facts))
    assert told == [("evaluate images", n, 3) for n in range(4)]


def test_an_image_that_does_not_decode_is_named(workspace, detector, sample):
    broken = msgspec.structs.replace(sample, image=workspace.blobs.put(b"no picture"))
    with pytest.raises(UnreadableImage, match=sample.file_name):
        ask(workspace, detector, [broken])


def test_a_file_agrees_with_its_own_answers(detector):
    rng = np.random.default_rng(0)
    contents = {f"{number}.jpg": draw_blob_image(rng, size_px=96).content for number in range(5)}
    parity = Parity(
        score_floor=0.2,
        answers=[
            ParityAnswer(name, detector.detect(decode_picture(content, name=name), score_floor=0.2))
            for name, content in contents.items()
        ],
    )
    answers = answer_parity(parity, detector, read_file=contents.__getitem__)
    result = check_parity(parity, answers)
    assert (result.n_images, result.agreement, result.worst_box_px) == (5, 1.0, 0.0)
    assert result.n_compared >= 10
