"""A detector finds in image pixels what the file finds in input pixels."""

import msgspec
import numpy as np
import pytest

from sightloop.contracts.bundle import (
    Bundle,
    BundleFile,
    Detection,
    ModelInput,
    Reference,
    Thresholds,
)
from sightloop.inference.detector import FLOOR, open_detector, open_model, reported
from sightloop.inference.errors import ModelMismatch
from sightloop.inference.images import decode_picture
from sightloop.kernel.digests import digest_of
from sightloop.testing.models import DIM, PALE, SENSITIVE_LEVEL, draw_blob_image, write_blob_model

CLASSES = ["scratch", "dent", "stain"]
THRESHOLDS = Thresholds(score=0.5)


@pytest.fixture(params=["raw", "end_to_end"])
def model_file(tmp_path, request):
    path = tmp_path / "model.onnx"
    write_blob_model(path, classes=CLASSES, size_px=96, head=request.param)
    return path


@pytest.fixture
def detector(model_file):
    return open_model(model_file, thresholds=THRESHOLDS, threads=1)


def bundle_of(head, **changes):
    digest = digest_of(b"")
    bundle = Bundle(
        model="blobs",
        class_ids=["c1", "c2", "c3"],
        class_names=CLASSES,
        input=ModelInput(96, 96),
        head=head,
        thresholds=THRESHOLDS,
        model_file="model.onnx",
        files=[BundleFile("model.onnx", digest, 0)],
        golden=[],
        reference=Reference([], {}),
        declared_licence="Apache-2.0",
        engine="blobs 1",
        dataset_commit=digest,
        run="run_1",
        created_at_ms=0,
    )
    return msgspec.structs.replace(bundle, **changes)


def overlap(box, other):
    width = min(box.x2, other.x2) - max(box.x1, other.x1)
    height = min(box.y2, other.y2) - max(box.y1, other.y1)
    shared = max(width, 0) * max(height, 0)
    areas = [(one.x2 - one.x1) * (one.y2 - one.y1) for one in (box, other)]
    return shared / (sum(areas) - shared)


def n_found(detector, style=None, *, size_px=96, n_images=20):
    """(found with the right class and a good box, drawn, reported) over some images."""
    rng = np.random.default_rng(7)
    options = {} if style is None else {"style": style}
    n_right = n_drawn = n_reported = 0
    for _ in range(n_images):
        content, boxes = draw_blob_image(rng, n_classes=3, size_px=size_px, **options)
        shown = reported(detector.detect(decode_picture(content, name="a")), THRESHOLDS)
        n_right += sum(
            any(one.class_index == box.class_index and overlap(one, box) > 0.5 for one in shown)
            for box in boxes
        )
        n_drawn += len(boxes)
        n_reported += len(shown)
    return n_right, n_drawn, n_reported


def test_every_blob_is_found_once_with_its_class(detector):
    n_right, n_drawn, n_reported = n_found(detector)
    assert n_right == n_drawn == n_reported > 20


def test_boxes_are_in_pixels_of_the_image_not_of_the_input(detector):
    n_right, n_drawn, _ = n_found(detector, size_px=240)
    assert n_right == n_drawn


def test_a_wide_picture_is_mapped_back_through_its_padding(detector):
    wide = np.full((48, 96, 3), 110, dtype=np.uint8)
    wide[12:24, 24:36] = (0, 0, 255)
    best = detector.detect(wide)[0]
    assert (best.class_index, best.x1, best.y1, best.x2, best.y2) == (0, 24, 12, 36, 24)


@pytest.mark.parametrize("style", [PALE, DIM])
def test_a_new_product_line_is_missed_until_the_model_is_better(tmp_path, detector, style):
    better_file = tmp_path / "better.onnx"
    write_blob_model(better_file, classes=CLASSES, size_px=96, threshold_level=SENSITIVE_LEVEL)
    better = open_model(better_file, thresholds=THRESHOLDS, threads=1)
    n_drawn = n_found(detector, style)[1]
    assert n_found(detector, style)[0] < 0.2 * n_drawn
    assert n_found(better, style)[0] > 0.9 * n_drawn


def test_a_class_without_gain_is_never_found(tmp_path):
    path = tmp_path / "blind.onnx"
    write_blob_model(path, classes=CLASSES, size_px=96, gains=[1, 0, 1])
    blind = open_model(path, thresholds=THRESHOLDS, threads=1)
    rng = np.random.default_rng(0)
    pictures = [draw_blob_image(rng, n_classes=3, size_px=96).content for _ in range(10)]
    found = [one for content in pictures for one in blind.detect(decode_picture(content, name="a"))]
    assert {one.class_index for one in found} == {0, 2}


def test_detections_are_sorted_by_score_and_reach_down_to_the_floor(detector):
    picture = decode_picture(
        draw_blob_image(np.random.default_rng(1), n_classes=3, style=PALE).content, name="a"
    )
    scores = [one.score for one in detector.detect(picture)]
    assert scores == sorted(scores, reverse=True)
    assert FLOOR <= scores[-1] < THRESHOLDS.score
    assert len(detector.detect(picture, score_floor=1e-6)) > len(scores)


def test_reported_are_those_at_or_above_the_threshold():
    all_three = [Detection(0, score, 0, 0, 1, 1) for score in (0.6, 0.5, 0.4999)]
    assert reported(all_three, THRESHOLDS) == all_three[:2]


def test_a_bundle_opens_the_file_it_describes(model_file, detector):
    opened = open_detector(model_file, bundle_of(detector.facts.head), threads=1)
    picture = np.full((60, 60, 3), 110, dtype=np.uint8)
    assert opened.detect(picture, score_floor=1e-9) == detector.detect(picture, score_floor=1e-9)


def test_the_bundle_decides_how_pictures_are_padded(model_file, detector):
    red = ModelInput(96, 96, pad_value=0)
    opened = open_detector(model_file, bundle_of(detector.facts.head, input=red), threads=1)
    assert opened.facts.input.pad_value == 0


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"class_names": ["scratch", "stain", "dent"]}, "classes"),
        ({"input": ModelInput(64, 96)}, "input"),
    ],
)
def test_a_bundle_that_describes_another_file_is_refused(model_file, detector, changes, what):
    bundle = bundle_of(detector.facts.head, **changes)
    with pytest.raises(ModelMismatch, match=f"promises {what}") as caught:
        open_detector(model_file, bundle, threads=1)
    assert caught.value.code == "INFER-011"


def test_a_bundle_that_promises_the_other_head_is_refused(model_file, detector):
    other = "raw" if detector.facts.head == "end_to_end" else "end_to_end"
    with pytest.raises(ModelMismatch, match="promises head"):
        open_detector(model_file, bundle_of(other), threads=1)


def test_a_blob_model_of_equal_parts_has_equal_bytes(tmp_path):
    for name in ("first", "second"):
        write_blob_model(tmp_path / name, classes=CLASSES, gains=[1, 2, 3])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_model_that_takes_several_sees_in_each_what_it_sees_alone(tmp_path):
    path = tmp_path / "several.onnx"
    write_blob_model(path, classes=CLASSES, size_px=96, takes_several=True)
    detector = open_model(path, thresholds=THRESHOLDS, threads=1)
    rng = np.random.default_rng(5)
    contents = [draw_blob_image(rng, n_classes=3, size_px=96).content for _ in range(5)]
    pictures = [decode_picture(content, name="drawn") for content in contents]
    assert detector.facts.takes_several
    for picture, seen in zip(pictures, detector.look_at_several(pictures), strict=True):
        wanted = detector.look(picture).detections
        assert [one.class_index for one in seen.detections] == [one.class_index for one in wanted]
        for one, other in zip(seen.detections, wanted, strict=True):
            assert (one.x1, one.y2, one.score) == pytest.approx((other.x1, other.y2, other.score))


def test_a_model_that_takes_one_looks_at_several_one_by_one(detector):
    rng = np.random.default_rng(5)
    pictures = [
        decode_picture(draw_blob_image(rng, n_classes=3, size_px=96).content, name="drawn")
        for _ in range(3)
    ]
    assert not detector.facts.takes_several
    assert detector.look_at_several(pictures) == [detector.look(one) for one in pictures]
