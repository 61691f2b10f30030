"""Charts as SVG text: pure functions from numbers to pictures, styled by the page they stand in.

Every chart names its axes with their units, says in a `<title>` what it shows (read aloud by
screen readers), and uses only the classes `ink`, `soft`, `grid`, `first`, `second`, `alarm`,
`good` and `bad`, whose colours the page sets for light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 14, 40
LABEL_LENGTH = 26
"""Characters that fit left of a bar."""


class Series(NamedTuple):
    """A line: its name, its style class and its points (x, y) in ascending x."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


class Marker(NamedTuple):
    """A vertical line at x with a word on it."""

    x: float
    label: str
    style: str = "soft"


class Interval(NamedTuple):
    """An estimate with its interval, and whether it is what was wanted."""

    label: str
    value: float
    low: float
    high: float
    style: str


class Pair(NamedTuple):
    """Two values of one kind, before and after, and the second's interval; None: there is none."""

    label: str
    first: float | None
    second: float | None
    low: float | None = None
    high: float | None = None


class Bar(NamedTuple):
    """A stretch of time in one lane of a timeline."""

    lane: str
    start: float
    end: float
    label: str
    style: str


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


class Amount(NamedTuple):
    """A bar or column: its name and how long it is, at least 0."""

    label: str
    value: float


class Dot(NamedTuple):
    """A place in a plane, what is there, and its style class."""

    x: float
    y: float
    label: str
    style: str


class Axis(NamedTuple):
    """An upright axis: its name, and the words at its head and foot."""

    name: str
    low: str
    high: str


class Way(NamedTuple):
    """A line over upright axes: its places on them from 0 to 1, its name and its style class."""

    places: Sequence[float | None]
    label: str
    style: str


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    markers: Sequence[Marker] = (),
    threshold: tuple[float, str] | None = None,
) -> str:
    """Lines over a common x axis, with an optional horizontal threshold and vertical markers."""
    points = [point for line in series for point in line.points]
    if not points:
        return _frame(title, HEIGHT, [_text(WIDTH / 2, HEIGHT / 2, "no data", anchor="middle")])
    xs = [x for x, _ in points] + [marker.x for marker in markers]
    ys = [y for _, y in points] + ([threshold[0]] if threshold else [])
    x, y = _x_scale(min(xs), max(xs)), _y_scale(min(0.0, *ys), max(ys))
    body = _axes(x, y, x_label=x_label, y_label=y_label)
    body += [_marker(marker, x) for marker in markers]
    if threshold:
        at = y.at(threshold[0])
        body.append(_line(LEFT, at, WIDTH - RIGHT, at, "alarm dashed"))
        # In the middle: the legend is on the left, and lines that rise end on the right.
        middle = (LEFT + WIDTH - RIGHT) / 2
        body.append(_text(middle, at - 5, threshold[1], anchor="middle", style="alarm-text"))
    for line in series:
        path = " ".join(f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in line.points)
        body.append(f'<polyline class="line {line.style}" points="{path}"/>')
    body += _legend([(line.name, line.style) for line in series])
    return _frame(title, HEIGHT, body)


def histogram_chart(
    reference: Sequence[float],
    live: Sequence[float],
    *,
    title: str,
    x_label: str,
    low_label: str,
    high_label: str,
) -> str:
    """Two histograms of shares on the same bins: before as filled bars, now as an outline."""
    n_bins = len(reference)
    top = max(*reference, *live, 1e-9)
    x, y = _Scale(0, n_bins, LEFT, WIDTH - RIGHT), _y_scale(0, top * 100)
    body = _axes(None, y, x_label=x_label, y_label="share of images (%)")
    width = (WIDTH - LEFT - RIGHT) / n_bins
    for index, share in enumerate(reference):
        at = y.at(share * 100)
        body.append(
            f'<rect class="fill first" x="{x.at(index):.1f}" y="{at:.1f}" '
            f'width="{max(width - 1, 0.5):.1f}" height="{HEIGHT - BOTTOM - at:.1f}"/>'
        )
    steps = [f"{x.at(0):.1f},{y.at(0):.1f}"]
    for index, share in enumerate(live):
        steps += [f"{x.at(i):.1f},{y.at(share * 100):.1f}" for i in (index, index + 1)]
    steps.append(f"{x.at(n_bins):.1f},{y.at(0):.1f}")
    body.append(f'<polyline class="line second" points="{" ".join(steps)}"/>')
    body.append(_text(LEFT, HEIGHT - BOTTOM + 14, low_label))
    body.append(_text(WIDTH - RIGHT, HEIGHT - BOTTOM + 14, high_label, anchor="end"))
    body += _legend([("reference", "first"), ("now", "second")])
    return _frame(title, HEIGHT, body)


def interval_chart(
    intervals: Sequence[Interval], *, title: str, x_label: str, bound: float | None = None
) -> str:
    """Estimates with intervals below each other, zero marked, and the bound they had to keep."""
    height = TOP + BOTTOM + 30 * len(intervals)
    values = [v for i in intervals for v in (i.low, i.high)] + [0.0] + ([bound] if bound else [])
    left = 190
    spread = (max(values) - min(values)) or 1.0
    x = _Scale(min(values) - spread * 0.05, max(values) + spread * 0.05, left, WIDTH - RIGHT - 50)
    body = _x_axis(x, height=height, label=x_label, left=left)
    body.append(_line(x.at(0), TOP, x.at(0), height - BOTTOM, "soft"))
    if bound is not None:
        body.append(_line(x.at(bound), TOP, x.at(bound), height - BOTTOM, "alarm dashed"))
    for index, interval in enumerate(intervals):
        at = TOP + 15 + 30 * index
        body.append(_text(left - 10, at + 4, interval.label, anchor="end"))
        body.append(
            _line(x.at(interval.low), at, x.at(interval.high), at, f"thick {interval.style}")
        )
        middle = x.at(interval.value)
        body.append(f'<circle class="dot {interval.style}" cx="{middle:.1f}" cy="{at}" r="5"/>')
        body.append(_text(x.at(interval.high) + 8, at + 4, f"{interval.value:+.3f}"))
    return _frame(title, height, body)


def pair_chart(pairs: Sequence[Pair], *, title: str, x_label: str, names: tuple[str, str]) -> str:
    """Pairs of bars below each other, from 0 to 1, with the interval of each second one.

    Without any first value only one bar is drawn for each.
    """
    is_single = all(pair.first is None for pair in pairs)
    step = 34 if is_single else 46
    top = TOP + 18
    height = top + BOTTOM + step * len(pairs)
    left = 190
    x = _Scale(0, 1, left, WIDTH - RIGHT - 50)
    body = _x_axis(x, height=height, label=x_label, left=left, top=top)
    for index, pair in enumerate(pairs):
        at = top + 4 + step * index
        middle = at + (step - 8) / 2
        body.append(_text(left - 10, middle + 4, _cut(pair.label, 28), anchor="end"))
        rows = [(pair.second, "second")] if is_single else [(pair.first, "first")]
        rows += [] if is_single else [(pair.second, "second")]
        for row, (value, style) in enumerate(rows):
            body += _bar(x, value, y=at + 18 * row, style=style)
        if pair.low is not None and pair.high is not None:
            whisker = at + (8 if is_single else 26)
            low, high = (min(max(value, 0.0), 1.0) for value in (pair.low, pair.high))
            body.append(_line(x.at(low), whisker, x.at(high), whisker, "soft whisker"))
    shown = [names[1]] if is_single else list(names)
    styles = ["second"] if is_single else ["first", "second"]
    body += _legend(list(zip(shown, styles, strict=True)))
    return _frame(title, height, body)


def timeline_chart(
    bars: Sequence[Bar], *, title: str, x_label: str, markers: Sequence[Marker] = ()
) -> str:
    """Lanes of stretches over time: which device served what, and when."""
    lanes = list(dict.fromkeys(bar.lane for bar in bars))
    height = TOP + BOTTOM + 34 * len(lanes)
    left = 120
    xs = [v for bar in bars for v in (bar.start, bar.end)] or [0.0, 1.0]
    x = _Scale(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, left, WIDTH - RIGHT)
    body = _x_axis(x, height=height, label=x_label, left=left)
    for bar in bars:
        at = TOP + 34 * lanes.index(bar.lane)
        width = max(x.at(bar.end) - x.at(bar.start), 1.0)
        body.append(
            f'<rect class="fill {bar.style}" x="{x.at(bar.start):.1f}" y="{at + 4}" rx="3" '
            f'width="{width:.1f}" height="24"><title>{escape(bar.label)}</title></rect>'
        )
        if width > 8 * len(bar.label):
            body.append(_text(x.at(bar.start) + 6, at + 20, bar.label, style="on-fill"))
    for index, lane in enumerate(lanes):
        body.append(_text(left - 10, TOP + 34 * index + 20, lane, anchor="end"))
    body += [_marker(marker, x, bottom=height - BOTTOM) for marker in markers]
    return _frame(title, height, body)


def bar_chart(amounts: Sequence[Amount], *, title: str, x_label: str) -> str:
    """Amounts as bars below each other, each with its number."""
    if not amounts:
        return _frame(title, 60, [_text(WIDTH / 2, 34, "no data", anchor="middle")])
    labels = [_clipped(one.label) for one in amounts]
    height, left = TOP + BOTTOM + 26 * len(amounts), 24 + 6.6 * max(map(len, labels))
    top = max(max(one.value for one in amounts), 1e-9)
    x = _Scale(0, top * 1.02, left, WIDTH - RIGHT - 60)
    body = _x_axis(x, height=height, label=x_label, left=left)
    for index, (one, label) in enumerate(zip(amounts, labels, strict=True)):
        at = TOP + 26 * index
        body.append(_text(left - 10, at + 17, label, anchor="end"))
        body.append(
            f'<rect class="fill first" x="{left:.1f}" y="{at + 4}" rx="2" '
            f'width="{max(x.at(one.value) - left, 0.5):.1f}" height="18"/>'
        )
        body.append(_text(x.at(one.value) + 6, at + 17, f"{one.value:,g}"))
    return _frame(title, height, body)


def column_chart(amounts: Sequence[Amount], *, title: str, x_label: str, y_label: str) -> str:
    """Amounts as columns side by side, for bins in their order."""
    if not amounts:
        return _frame(title, HEIGHT, [_text(WIDTH / 2, HEIGHT / 2, "no data", anchor="middle")])
    y = _y_scale(0, max(max(one.value for one in amounts), 1))
    body = _axes(None, y, x_label=x_label, y_label=y_label)
    step = (WIDTH - LEFT - RIGHT) / len(amounts)
    for index, one in enumerate(amounts):
        at, left = y.at(one.value), LEFT + index * step
        body.append(
            f'<rect class="fill first" x="{left + 2:.1f}" y="{at:.1f}" '
            f'width="{step - 4:.1f}" height="{HEIGHT - BOTTOM - at:.1f}">'
            f"<title>{escape(one.label)}: {one.value:,g}</title></rect>"
        )
        middle = left + step / 2
        body.append(_text(middle, HEIGHT - BOTTOM + 14, one.label, anchor="middle"))
    return _frame(title, HEIGHT, body)


def scatter_chart(
    dots: Sequence[Dot],
    *,
    title: str,
    x_label: str,
    y_label: str,
    line: Sequence[tuple[float, float]] = (),
    legend: Sequence[tuple[str, str]] = (),
) -> str:
    """Dots in a plane, each with a word that comes up, and a line through some of it.

    Both axes go as far as the dots do: zero may lie outside.
    """
    if not dots:
        return _frame(title, HEIGHT, [_text(WIDTH / 2, HEIGHT / 2, "no data", anchor="middle")])
    places = [(dot.x, dot.y) for dot in dots] + list(line)
    xs, ys = zip(*places, strict=True)
    x, y = _x_scale(*_roomy(xs)), _y_scale(*_roomy(ys))
    body = _axes(x, y, x_label=x_label, y_label=y_label)
    if line:
        path = " ".join(f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in line)
        body.append(f'<polyline class="line good" points="{path}"/>')
    for dot in dots:
        place = f'cx="{x.at(dot.x):.1f}" cy="{y.at(dot.y):.1f}" r="4.5"'
        name = f"<title>{escape(dot.label)}</title>"
        body.append(f'<circle class="dot {dot.style}" {place}>{name}</circle>')
    body += _legend(legend)
    return _frame(title, HEIGHT, body)


def parallel_chart(axes: Sequence[Axis], ways: Sequence[Way], *, title: str) -> str:
    """Upright axes side by side, and for each way a line over the places it takes on them.

    A place is a share of the axis, 0 at its foot; None leaves the axis out.
    """
    height = 280
    top, bottom = 34.0, height - 24.0
    gap = (WIDTH - 2 * LEFT) / max(len(axes) - 1, 1)
    at = [LEFT + gap * index for index in range(len(axes))]
    body = []
    for way in ways:
        places = [
            f"{x:.1f},{bottom - place * (bottom - top):.1f}"
            for x, place in zip(at, way.places, strict=True)
            if place is not None
        ]
        name = f"<title>{escape(way.label)}</title>"
        body.append(
            f'<polyline class="line {way.style}" points="{" ".join(places)}">{name}</polyline>'
        )
    for index, (x, axis) in enumerate(zip(at, axes, strict=True)):
        anchor = "start" if index == 0 else "end" if index == len(axes) - 1 else "middle"
        edge = x + {"start": -LEFT + 8, "end": LEFT - 8}.get(anchor, 0)
        body.append(_line(x, top, x, bottom, "soft"))
        body.append(_text(edge, 14, _cut(axis.name, int(gap / 6.6)), anchor=anchor))
        body.append(_text(edge, top - 6, _cut(axis.high, 12), anchor=anchor))
        body.append(_text(edge, height - 8, _cut(axis.low, 12), anchor=anchor))
    return _frame(title, height, body)


def _roomy(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _frame(title: str, height: float, body: Sequence[str]) -> str:
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {height:.0f}">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>"
    )


def _clipped(label: str) -> str:
    return label if len(label) <= LABEL_LENGTH else f"{label[: LABEL_LENGTH - 1]}…"


def _axes(x: _Scale | None, y: _Scale, *, x_label: str, y_label: str) -> list[str]:
    body = []
    for value in _ticks(y.low, y.high):
        at = y.at(value)
        body.append(_line(LEFT, at, WIDTH - RIGHT, at, "grid"))
        body.append(_text(LEFT - 6, at + 4, _number(value), anchor="end"))
    if x is not None:
        body += [
            _text(x.at(value), HEIGHT - BOTTOM + 14, _number(value), anchor="middle")
            for value in _ticks(x.low, x.high)
        ]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, anchor="middle"))
    body.append(
        f'<text class="soft-text" transform="translate(13 {middle}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return body


def _bar(x: _Scale, value: float | None, *, y: float, style: str) -> list[str]:
    if value is None:
        return [_text(x.at(0) + 6, y + 13, "nothing to find")]
    width = max(x.at(value) - x.at(0), 1.0)
    size = f'width="{width:.1f}" height="16" rx="2"'
    drawn = f'<rect class="fill {style}" x="{x.at(0):.1f}" y="{y:.1f}" {size}/>'
    return [drawn, _text(x.end + 8, y + 13, f"{value:.3f}")]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _x_axis(x: _Scale, *, height: float, label: str, left: float, top: float = TOP) -> list[str]:
    body = []
    for value in _ticks(x.low, x.high):
        body.append(_line(x.at(value), top, x.at(value), height - BOTTOM, "grid"))
        body.append(_text(x.at(value), height - BOTTOM + 14, _number(value), anchor="middle"))
    body.append(_text((left + WIDTH - RIGHT) / 2, height - 8, label, anchor="middle"))
    return body


def _legend(entries: Sequence[tuple[str, str]]) -> list[str]:
    body, at = [], LEFT + 8.0
    for name, style in entries:
        body.append(_line(at, TOP + 4, at + 16, TOP + 4, f"thick {style}"))
        body.append(_text(at + 22, TOP + 8, name))
        at += 40 + 6.2 * len(name)
    return body


def _marker(marker: Marker, x: _Scale, *, bottom: float = HEIGHT - BOTTOM) -> str:
    at = x.at(marker.x)
    flip = at > WIDTH - 130
    label = _text(
        at + (-5 if flip else 5), bottom - 6, marker.label, anchor="end" if flip else "start"
    )
    return _line(at, TOP, at, bottom, f"{marker.style} dashed") + label


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", style: str = "soft-text") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _x_scale(low: float, high: float) -> _Scale:
    return _Scale(low, high if high > low else low + 1, LEFT, WIDTH - RIGHT)


def _y_scale(low: float, high: float) -> _Scale:
    top = high + (high - low) * 0.12 if high > low else low + 1
    return _Scale(low, top, HEIGHT - BOTTOM, TOP)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between low and high.

    >>> _ticks(0, 10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    raw = (high - low) / 5
    magnitude = 10.0 ** _exponent(raw)
    step = next(s * magnitude for s in (1, 2, 5, 10) if s * magnitude >= raw * 0.999)
    first = -(-low // step) * step
    count = int((high - first) / step + 1e-9) + 1
    return [round(first + index * step, 10) for index in range(count)]


def _exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def _number(value: float) -> str:
    """A tick's label.

    >>> _number(0.25), _number(1200), _number(-3)
    ('0.25', '1200', '-3')
    """
    return f"{value:.4g}" if abs(value) < 1 else f"{value:g}"
