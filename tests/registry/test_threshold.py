import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox
from sightloop.datasets.values import SampleId
from sightloop.evaluation.matching import image_loss
from sightloop.evaluation.values import ImageAnswer
from sightloop.registry.threshold import CANDIDATES, choose_threshold

CORNERS = st.integers(0, 3).map(lambda cell: 10.0 * cell)
SCORES = st.integers(1, 100).map(lambda score: score / 100)
TRUTHS = st.builds(
    lambda kind, x, y: LabelledBox(kind, x, y, x + 10, y + 10), st.integers(0, 1), CORNERS, CORNERS
)
FOUND = st.builds(
    lambda kind, score, x, y, width: Detection(kind, score, x, y, x + width, y + 10),
    st.integers(0, 1),
    SCORES,
    CORNERS,
    CORNERS,
    st.sampled_from([10.0, 8.0, 4.0]),
)


def answer(truths, detections) -> ImageAnswer:
    return ImageAnswer(
        sample=SampleId("a"),
        strata=[""],
        width_px=50,
        height_px=50,
        truths=truths,
        detections=sorted(detections, key=lambda one: -one.score),
        duration_ms=0.0,
    )


ANSWERS = st.lists(st.builds(answer, st.lists(TRUTHS), st.lists(FOUND)), min_size=1, max_size=4)


@given(ANSWERS)
@settings(deadline=None)
def test_no_other_candidate_has_a_smaller_mean_loss_and_no_lower_one_an_equal(answers):
    losses = {
        candidate: np.mean(
            [image_loss(one.detections, one.truths, score_threshold=candidate) for one in answers]
        )
        for candidate in CANDIDATES
    }
    chosen = choose_threshold(answers)
    best = min(losses.values())
    assert losses[chosen] <= best + 1e-8
    assert all(losses[lower] > best + 1e-10 for lower in CANDIDATES if lower < chosen)


def test_a_false_alarm_below_the_true_find_is_left_out():
    box = LabelledBox(0, 0, 0, 10, 10)
    found = [Detection(0, 0.8, 0, 0, 10, 10), Detection(0, 0.4, 20, 20, 30, 30)]
    assert choose_threshold([answer([box], found)]) == 0.41


def test_where_every_candidate_is_right_the_lowest_is_chosen():
    assert choose_threshold([answer([], [])]) == CANDIDATES[0]
