"""Planted label errors are found, honest labels are mostly left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.datasets.curation.columns import Columns, columns_from
from sightloop.datasets.curation.contradictions import contradictions
from sightloop.datasets.curation.suspicions import (
    Rule,
    Suspicions,
    all_suspicions,
    iou_between,
    overlapping,
)
from sightloop.datasets.geometry import BoxPx, Geometry, WholeImage, iou_of
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.values import Annotation, AnnotationId, ClassId, Sample, SampleId
from sightloop.kernel.digests import digest_of

WIDTH_PX, HEIGHT_PX = 640, 480
USUAL_PX = {"dent": 24.0, "scratch": 90.0}


def label(class_id: str, geometry: Geometry, **fields: Any) -> Annotation:
    values = {"source": "human", "state": "verified", "id": AnnotationId("0" * 32), **fields}
    return Annotation(class_id=ClassId(class_id), geometry=geometry, **values)


def sample(number: int, annotations: Iterable[Annotation] = (), **fields: Any) -> Sample:
    values = {"labelled_for": ["dent", "scratch"], **fields}
    return Sample(
        id=SampleId(f"{number:032x}"),
        image=digest_of(str(number).encode()),
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        media_type="image/png",
        file_name=f"{number}.png",
        split_key=str(number),
        annotations=list(annotations),
        **values,
    )


def columns(*samples: Sample) -> Columns:
    return columns_from(samples, SplitRule())


def honest(rng: np.random.Generator, class_id: str) -> Annotation:
    """A box as people draw them: log-normal in size and shape, cut where the image ends."""
    side = USUAL_PX[class_id] * np.exp(rng.normal(0, 0.35))
    stretch = np.exp(rng.normal(0, 0.2))
    wide, high = min(side * stretch, 500), min(side / stretch, 400)
    x, y = rng.uniform(-wide / 4, WIDTH_PX - 3 * wide / 4), rng.uniform(0, HEIGHT_PX - high)
    return label(class_id, BoxPx(max(x, 0), y, min(x + wide, WIDTH_PX), y + high))


def data_set(seed: int, n: int = 300, per_image: int = 4) -> list[list[Annotation]]:
    rng = np.random.default_rng(seed)
    kinds = list(USUAL_PX)
    return [[honest(rng, kinds[rng.integers(2)]) for _ in range(per_image)] for _ in range(n)]


def shifted(one: Annotation, class_id: str) -> Annotation:
    box = one.geometry
    assert isinstance(box, BoxPx)
    by = 0.02 * min(box.x2 - box.x1, box.y2 - box.y1)
    return label(class_id, BoxPx(box.x1, box.y1, box.x2, box.y2 - by))


def plant_two_classes(images: list[list[Annotation]], at: int) -> None:
    one = images[at][0]
    images[at].append(shifted(one, "dent" if one.class_id == "scratch" else "scratch"))


def plant_double(images: list[list[Annotation]], at: int) -> None:
    images[at].append(shifted(images[at][0], images[at][0].class_id))


def plant_tiny(images: list[list[Annotation]], at: int) -> None:
    images[at].append(label("scratch", BoxPx(300, 200, 304, 204)))


def plant_huge(images: list[list[Annotation]], at: int) -> None:
    images[at].append(label("dent", BoxPx(50, 50, 600, 450)))


def plant_flat(images: list[list[Annotation]], at: int) -> None:
    images[at].append(label("scratch", BoxPx(100, 200, 420, 222)))


def plant_sliver(images: list[list[Annotation]], at: int) -> None:
    images[at].append(label("scratch", BoxPx(WIDTH_PX - 4, 100, WIDTH_PX, 190)))


def plant_other_opinion(images: list[list[Annotation]], at: int) -> None:
    one = images[at][0]
    other = "dent" if one.class_id == "scratch" else "scratch"
    proposal = shifted(one, other)
    attributes = {"score": 0.9}
    images[at].append(
        label(other, proposal.geometry, source="model@3", state="proposed", attributes=attributes)
    )


PLANTS: dict[Rule, list[Callable[[list[list[Annotation]], int], None]]] = {
    "two classes": [plant_two_classes],
    "double": [plant_double],
    "size": [plant_tiny, plant_huge],
    "shape": [plant_flat],
    "sliver": [plant_sliver],
    "model differs": [plant_other_opinion],
}


def found_by(images: list[list[Annotation]]) -> dict[Rule, Suspicions]:
    one = columns(*(sample(number, boxes) for number, boxes in enumerate(images)))
    return {found.rule: found for found in all_suspicions(one)}


@pytest.mark.parametrize("rule", PLANTS)
def test_planted_errors_are_found(rule):
    n_found = n_planted = 0
    for seed in range(5):
        for plant in PLANTS[rule]:
            images = data_set(seed)
            for at in range(20):
                plant(images, at)
            n_found += len(set(found_by(images)[rule].samples.tolist()) & set(range(20)))
            n_planted += 20
    assert n_found >= 0.95 * n_planted


def test_honest_labels_raise_less_than_three_alarms_in_a_thousand():
    n_alarms = n_labels = 0
    for seed in range(20):
        images = data_set(seed)
        n_alarms += sum(len(found.samples) for found in found_by(images).values())
        n_labels += sum(len(boxes) for boxes in images)
    assert n_alarms <= 3 * n_labels / 1000


def test_a_class_with_few_boxes_has_no_usual_size():
    images = [[label("dent", BoxPx(0, 0, 10, 10))] for _ in range(20)]
    images[0] = [label("dent", BoxPx(0, 0, 600, 10))]
    assert not any(len(found.samples) for found in found_by(images).values())


def test_boxes_that_are_all_the_same_make_a_slightly_larger_one_no_suspect():
    images = [[label("dent", BoxPx(100, 100, 120, 120))] for _ in range(50)]
    images[0] = [label("dent", BoxPx(100, 100, 123, 123))]
    assert not any(len(found.samples) for found in found_by(images).values())


def test_a_long_box_along_the_border_is_no_sliver():
    images = data_set(0)
    images[0] = [label("scratch", BoxPx(100, 0, 260, 70))]
    assert 0 not in found_by(images)["sliver"].samples


def test_a_class_of_the_whole_image_is_never_odd():
    images = data_set(0)
    images[0] = [label("dent", WholeImage()), label("dent", WholeImage())]
    assert all(0 not in found.samples for found in found_by(images).values())


class TestWhatAModelSays:
    MINE = label("dent", BoxPx(10, 10, 50, 50))

    def proposal(self, class_id: str, box: BoxPx, score: float | None = 0.9) -> Annotation:
        attributes = {} if score is None else {"score": score}
        return label(class_id, box, source="model@3", state="proposed", attributes=attributes)

    def rules(self, *annotations: Annotation, **fields: Any) -> set[Rule]:
        found = all_suspicions(columns(sample(0, annotations, **fields)))
        return {one.rule for one in found if len(one.samples)}

    def test_an_object_nobody_labelled_is_suspect(self):
        more = self.proposal("dent", BoxPx(200, 200, 240, 240))
        assert self.rules(self.MINE, more) == {"model sees more"}

    def test_not_where_the_image_is_not_labelled_for_the_class(self):
        more = self.proposal("scratch", BoxPx(200, 200, 240, 240))
        assert self.rules(self.MINE, more, labelled_for=["dent"]) == set()

    def test_not_when_the_model_is_unsure(self):
        more = self.proposal("dent", BoxPx(200, 200, 240, 240), score=0.2)
        assert self.rules(self.MINE, more) == set()

    def test_a_model_that_does_not_say_how_sure_it_is_counts(self):
        more = self.proposal("dent", BoxPx(200, 200, 240, 240), score=None)
        assert self.rules(self.MINE, more) == {"model sees more"}

    def test_a_box_that_agrees_explains_a_second_one_that_does_not(self):
        agrees = self.proposal("dent", BoxPx(11, 10, 50, 50))
        differs = self.proposal("scratch", BoxPx(10, 11, 50, 50))
        assert self.rules(self.MINE, agrees, differs) == set()

    def test_another_class_on_the_same_place_is_suspect(self):
        differs = self.proposal("scratch", BoxPx(10, 11, 50, 50))
        assert self.rules(self.MINE, differs) == {"model differs"}


class TestLookAlikes:
    BOX = BoxPx(100, 100, 160, 140)

    def told(self, first: Sample, second: Sample) -> list[tuple[int, int, float]]:
        found = contradictions(columns(first, second), np.array([0]), np.array([1]))
        columns_told = (found.samples, found.second, found.values)
        return list(zip(*(one.tolist() for one in columns_told), strict=True))

    def test_an_image_without_the_object_of_its_copy_is_suspect(self):
        with_box = sample(0, [label("dent", self.BOX)])
        assert self.told(with_box, sample(1)) == [(1, 0, 1.0)]

    def test_the_same_object_under_another_class_makes_both_suspect(self):
        first, second = (
            sample(at, [label(name, self.BOX)]) for at, name in ((0, "dent"), (1, "scratch"))
        )
        assert self.told(first, second) == [(0, 1, 1.0), (1, 0, 1.0)]

    def test_a_slightly_moved_box_is_the_same_object(self):
        first = sample(0, [label("dent", self.BOX)])
        second = sample(1, [label("dent", BoxPx(106, 103, 166, 143))])
        assert self.told(first, second) == []

    def test_a_copy_at_half_the_size_is_compared_in_shares_of_the_image(self):
        import msgspec

        first = sample(0, [label("dent", self.BOX)])
        small = sample(1, [label("dent", BoxPx(50, 50, 80, 70))])
        half = msgspec.structs.replace(small, width_px=WIDTH_PX // 2, height_px=HEIGHT_PX // 2)
        assert self.told(first, half) == []

    def test_a_class_for_which_one_of_them_is_not_labelled_is_not_missing(self):
        first = sample(0, [label("dent", self.BOX)])
        assert self.told(first, sample(1, labelled_for=["scratch"])) == []

    def test_a_class_of_the_whole_image_is_compared_too(self):
        first = sample(0, [label("dent", WholeImage())])
        assert self.told(first, sample(1, [label("dent", WholeImage())])) == []
        assert self.told(first, sample(1, [label("scratch", WholeImage())])) != []


BOXES = st.tuples(*(st.integers(0, 40) for _ in range(2)), *(st.integers(1, 30) for _ in range(2)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(BOXES, max_size=8), min_size=1, max_size=4), st.sampled_from([0.5, 0.9]))
def test_overlapping_boxes_are_those_of_comparing_all(images, least):
    made = [
        sample(number, [label("dent", BoxPx(x, y, x + w, y + h)) for x, y, w, h in boxes])
        for number, boxes in enumerate(images)
    ]
    one = columns(*made)
    first, second, _ = overlapping(one, np.arange(len(one.samples)), least)
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(found) == len(first)
    wanted = {
        frozenset((a, b))
        for a in range(len(one.samples))
        for b in range(a)
        if one.samples[a] == one.samples[b]
        and iou_of(BoxPx(*one.corners_px[a]), BoxPx(*one.corners_px[b])) >= least
    }
    assert found == wanted


def test_iou_is_that_of_geometry():
    some, others = np.array([[0, 0, 10, 10.0]]), np.array([[5, 0, 15, 10.0]])
    assert iou_between(some, others)[0] == pytest.approx(1 / 3)
