import pytest

from sightloop.monitoring.detector import Side
from sightloop.monitoring.words import describe_change

REFERENCE = [0, 5, 20, 50, 20, 5, 0]


@pytest.mark.parametrize(
    ("score", "direction", "live", "words"),
    [
        (
            "lower",
            1,
            [3, 4, 3, 0, 0, 0, 0],
            "contrast moved down: 70 % of images where the lowest 5 % of the reference are",
        ),
        (
            "upper",
            1,
            [0, 0, 0, 5, 0, 5, 0],
            "contrast moved up: 50 % of images where the highest 5 % of the reference are",
        ),
        (
            "unseen",
            1,
            [0, 0, 0, 1, 0, 0, 3],
            "contrast has new values: 75 % of images where the reference has none",
        ),
        (
            "location",
            -1,
            [0, 0, 10, 0, 0, 0, 0],
            "contrast moved down: the average image ranks 15 % among the reference",
        ),
        (
            "spread",
            -1,
            [0, 0, 0, 10, 0, 0, 0],
            "contrast varies less: 0.00 from the middle of the reference on average, 0.38 before",
        ),
        (
            "spread",
            1,
            [5, 0, 0, 0, 0, 0, 5],
            "contrast spreads wider: 1.00 from the middle of the reference on average, 0.38 before",
        ),
    ],
)
def test_every_side_has_its_sentence(score, direction, live, words):
    side = Side(score, direction, 0.5, 0.0, 1.0)
    found = describe_change("contrast", side, reference=REFERENCE, pooled=REFERENCE, live=live)
    assert found == words
