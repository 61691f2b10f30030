import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.boxes import overshoot_px
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.values import ClassId, Taxonomy, TaxonomyClass
from sightloop.review.boxes import OVERHANG_PX, TaskBox, check_boxes, slice_problems

SIZE = SizePx(40, 30)
TAXONOMY = Taxonomy(
    [
        TaxonomyClass(id=ClassId("dent"), name="Dent"),
        TaxonomyClass(id=ClassId("pin-hole"), name="Pin hole"),
    ]
)


def check(*corners: float, class_id: str | None = "dent", class_name: str | None = None):
    x1, y1, x2, y2 = corners
    sent = TaskBox(x1=x1, y1=y1, x2=x2, y2=y2, class_id=class_id, class_name=class_name)
    return check_boxes([sent], size=SIZE, taxonomy=TAXONOMY)


def test_a_class_may_be_given_by_name():
    checked = check(1, 1, 5, 5, class_id=None, class_name="Pin hole")
    assert [label.class_id for label in checked.boxes] == ["pin-hole"]


def test_an_unknown_class_is_refused_with_the_one_that_may_be_meant():
    checked = check(1, 1, 5, 5, class_id=None, class_name="pinhole")
    assert checked.boxes == []
    assert checked.problems == [
        "box 1: there is no class 'pinhole' in the taxonomy; did you mean 'Pin hole'?"
    ]


def test_a_class_like_no_other_is_refused_with_all_there_are():
    assert check(1, 1, 5, 5, class_id="zebra").problems == [
        "box 1: there is no class 'zebra' in the taxonomy; it has dent, pin-hole"
    ]


@pytest.mark.parametrize("names", [(None, None), ("dent", "Dent")])
def test_a_box_needs_one_class_and_one_only(names):
    problems = check(1, 1, 5, 5, class_id=names[0], class_name=names[1]).problems
    assert problems == ["box 1: give either class_id or class_name"]


@pytest.mark.parametrize(
    "corners", [(5, 1, 5, 9), (9, 1, 5, 9), (1, math.nan, 5, 9), (-0.5, 1, 0, 9)]
)
def test_a_box_without_area_is_refused(corners):
    (problem,) = check(*corners).problems
    assert "has no area" in problem


@pytest.mark.parametrize(
    "corners", [(0, 0, 42, 9), (-2, 0, 9, 9), (0, 0, 9, math.inf), (0, 0, 1e308, 9)]
)
def test_a_box_that_reaches_out_of_the_image_is_refused(corners):
    (problem,) = check(*corners).problems
    assert "does not lie on the image of 40 x 30 px" in problem


def test_a_box_rounded_over_the_edge_is_cut_there():
    (label,) = check(-0.4, 0, 40.6, 30).boxes
    assert (label.box.x1, label.box.x2) == (0, 40)


def test_every_problem_is_named_with_its_box():
    bad = TaskBox(x1=1, y1=1, x2=1, y2=1, class_id="none")
    good = TaskBox(x1=1, y1=1, x2=2, y2=2, class_id="dent")
    checked = check_boxes([good, bad], size=SIZE, taxonomy=TAXONOMY)
    assert [problem.split(":")[0] for problem in checked.problems] == ["box 2", "box 2"]
    assert len(checked.boxes) == 1


@pytest.mark.parametrize("slices", [{"": "a"}, {"line": ""}, {"line=a": "b"}])
def test_a_slice_that_cannot_be_a_stratum_is_refused(slices):
    assert len(slice_problems(slices)) == 1


CORNER = st.floats(-3, 45)


@given(CORNER, CORNER, CORNER, CORNER)
def test_a_box_is_either_on_the_image_or_a_problem(x1, y1, x2, y2):
    checked = check(x1, y1, x2, y2)
    assert len(checked.boxes) + len(checked.problems) == 1
    for label in checked.boxes:
        assert overshoot_px(label.box, SIZE) == 0
        moved = abs(label.box.x1 - x1), abs(label.box.x2 - x2)
        assert max(moved) <= OVERHANG_PX + 0.001
