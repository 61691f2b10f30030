"""Charts say what they show, stay in their frame, and never run what is written in a label."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.server.charts import (
    HEIGHT,
    WIDTH,
    Bar,
    Interval,
    Marker,
    Series,
    histogram_chart,
    interval_chart,
    line_chart,
    timeline_chart,
)

HOSTILE = "<script>alert(1)</script>"
numbers = st.floats(-1e6, 1e6)


def line_of(points) -> str:
    return line_chart([Series("a", "first", points)], title="t", x_label="x (s)", y_label="y (ms)")


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_a_line_stays_in_its_frame(points):
    drawn = re.search(r'<polyline[^>]*points="([^"]*)"', line_of(sorted(points)))[1]
    for pair in drawn.split():
        x, y = (float(part) for part in pair.split(","))
        assert -0.1 <= x <= WIDTH + 0.1
        assert -0.1 <= y <= HEIGHT + 0.1


def test_a_line_without_points_says_so():
    assert "no data" in line_of([])


def test_axes_carry_their_units():
    drawn = line_of([(0, 1), (1, 2)])
    assert "x (s)" in drawn
    assert "y (ms)" in drawn


CHARTS = {
    "line": lambda text: line_chart(
        [Series(text, "first", [(0, 0), (1, 1)])],
        title=text,
        x_label=text,
        y_label=text,
        markers=[Marker(0.5, text)],
        threshold=(0.7, text),
    ),
    "histogram": lambda text: histogram_chart(
        [0.5, 0.5], [1, 0], title=text, x_label=text, low_label=text, high_label=text
    ),
    "interval": lambda text: interval_chart(
        [Interval(text, 0.1, 0.0, 0.2, "good")], title=text, x_label=text, bound=0.1
    ),
    "timeline": lambda text: timeline_chart(
        [Bar(text, 0, 1, text, "first")], title=text, x_label=text, markers=[Marker(0.5, text)]
    ),
}


@pytest.mark.parametrize("kind", CHARTS)
def test_a_label_with_markup_is_shown_as_text(kind: str):
    drawn = CHARTS[kind](HOSTILE)
    assert HOSTILE not in drawn
    assert "&lt;script&gt;" in drawn


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_can_be_read_aloud(kind: str):
    drawn = CHARTS[kind]("what it shows")
    assert 'role="img"' in drawn
    assert "<title>what it shows</title>" in drawn
