"""Average precision is pycocotools', whatever the scenes: its numbers are ours to the last bit."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sightloop.evaluation import average_precision
from sightloop.evaluation.average_precision import coco_scores
from sightloop.evaluation.bootstrap import ap50
from sightloop.testing.made_answers import answer, found, messy_scenes, truth

N_SEEDS = 12


def oracle_precision(answers):
    """pycocotools' array for all areas and 100 detections: (overlaps, recalls, classes)."""
    classes = sorted({box.class_index for one in answers for box in one.truths})
    labels, detections = COCO(), []
    labels.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(1, len(answers) + 1)],
        "categories": [{"id": one} for one in classes],
        "annotations": [],
    }
    for image, one in enumerate(answers, start=1):
        for box in one.truths:
            size = (box.x2 - box.x1, box.y2 - box.y1)
            labels.dataset["annotations"].append(
                {
                    "id": len(labels.dataset["annotations"]) + 1,
                    "image_id": image,
                    "category_id": box.class_index,
                    "bbox": [box.x1, box.y1, *size],
                    "area": size[0] * size[1],
                    "iscrowd": 0,
                }
            )
        detections += [
            {
                "image_id": image,
                "category_id": box.class_index,
                "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
                "score": box.score,
            }
            for box in one.detections
            if box.class_index in classes
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        labels.createIndex()
        evaluation = COCOeval(labels, labels.loadRes(detections) if detections else COCO(), "bbox")
        if not detections:
            evaluation.cocoDt = labels.__class__()
            evaluation.cocoDt.dataset = {**labels.dataset, "annotations": []}
            evaluation.cocoDt.createIndex()
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, 2]


def oracle_ap50(answers):
    return float(oracle_precision(answers)[0].mean())


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_precision_arrays_equal_pycocotools_exactly(seed):
    rng = np.random.default_rng(seed)
    n_classes = 1 + seed * 3
    answers = messy_scenes(rng, n_images=25, n_classes=n_classes, n_scores=3 + 40 * (seed % 2))
    classes = sorted({box.class_index for one in answers for box in one.truths})
    ours = average_precision._precision(answers, classes)
    assert np.array_equal(ours, oracle_precision(answers))


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_the_bootstraps_own_ap50_equals_pycocotools(seed):
    rng = np.random.default_rng(100 + seed)
    answers = messy_scenes(rng, n_images=25, n_classes=1 + seed * 3, n_scores=3 + 40 * (seed % 2))
    assert ap50(answers) == pytest.approx(oracle_ap50(answers), abs=1e-14)


def test_more_than_100_detections_of_a_class_on_an_image_are_cut_alike():
    rng = np.random.default_rng(5)
    many = [found(0, float(score), 3.0 * x, 3.0 * y) for score, x, y in rng.random((150, 3)) * 10]
    answers = [
        answer("a", [truth(0, 3.0 * x) for x in range(10)], many),
        answer("b", [truth(1, 0)]),
    ]
    assert ap50(answers) == pytest.approx(oracle_ap50(answers), abs=1e-14)
    assert coco_scores(answers).ap50 == pytest.approx(oracle_ap50(answers), abs=1e-14)


def test_figures_are_means_over_the_right_parts_of_the_array():
    answers = messy_scenes(np.random.default_rng(3), n_images=30, n_classes=3)
    precision, scores = oracle_precision(answers), coco_scores(answers)
    assert scores.ap == pytest.approx(precision.mean())
    assert scores.ap50 == pytest.approx(precision[0].mean())
    assert scores.ap75 == pytest.approx(precision[5].mean())
    assert scores.ap50_by_class == pytest.approx(dict(enumerate(precision[0].mean(axis=0))))


def test_a_class_without_an_object_has_no_figure_and_does_not_count():
    answers = [answer("a", [truth(4, 0)], [found(4, 0.9, 0), found(2, 0.8, 50)])]
    scores = coco_scores(answers)
    assert scores.ap == pytest.approx(1)
    assert scores.ap50_by_class == {4: pytest.approx(1)}
    assert ap50(answers) == pytest.approx(1)


def test_objects_without_any_detection_have_a_precision_of_zero():
    answers = [answer("a", [truth(0, 0)])]
    assert coco_scores(answers).ap50 == ap50(answers) == 0.0


def test_without_any_object_there_is_no_average_precision():
    answers = [answer("a", [], [found(0, 0.9, 0)])]
    assert coco_scores(answers) == (None, None, None, {})
    assert ap50(answers) is None
