"""An incident in words and charts, for the page about it and for the demo's report. Pure."""

from __future__ import annotations

from typing import NamedTuple

from sightloop.monitoring.evidence import Evidence, LossChange, MeasureChange, Trace
from sightloop.monitoring.incidents import Explanation
from sightloop.server.charts import Series, histogram_chart, line_chart

LOWEST_NATS = -2.0
"""Where lines of evidence are cut off: that there is none is not more interesting the lower it is.
"""
TRACE_STYLES = ("alarm", "second", "first")


class AlarmPicture(NamedTuple):
    """One incident, in words and charts."""

    title: str
    words: list[str]
    guarantee: str
    trace: str
    histograms: list[str]


def picture_alarm(explanation: Explanation, *, n_histograms: int) -> AlarmPicture:
    """What changed, how the evidence for it grew, and the measures that moved most."""
    incident, evidence = explanation.incident, explanation.evidence
    words = [change.words for change in evidence.measures]
    if evidence.loss is not None:
        words.append(evidence.loss.words)
    return AlarmPicture(
        title=f"{incident.kind} incident on {incident.stream}: {incident.measure}",
        words=words,
        guarantee=incident.guarantee,
        trace=trace_chart(evidence),
        histograms=[measure_chart(change) for change in evidence.measures[:n_histograms]],
    )


def trace_chart(evidence: Evidence) -> str:
    """How the statistics of the monitors that stood highest came to where they stood."""
    unit = "labels" if evidence.kind == "loss" else "images"
    traces = sorted(evidence.traces, key=lambda trace: -trace.statistic_nats)
    return line_chart(
        [
            Series(trace.measure, style, _points(trace))
            for trace, style in zip(traces, TRACE_STYLES, strict=False)
        ],
        title="how the evidence against the reference grew",
        x_label=f"{unit} seen on this stream",
        y_label="evidence (nats)",
        threshold=(evidence.traces[0].threshold_nats, "alarm"),
    )


def measure_chart(change: MeasureChange) -> str:
    """A measure as it was at release, and since the change."""
    return histogram_chart(
        change.reference_shares,
        change.live_shares,
        title=change.words,
        x_label=f"{change.measure}, {len(change.edges) + 1} bins on reference quantiles",
        low_label=f"<= {change.edges[0]:.3g}" if change.edges else "",
        high_label=f"> {change.edges[-1]:.3g}" if change.edges else "",
    )


def loss_chart(change: LossChange) -> str:
    """Each audited image's loss since the change, with the mean the release began with."""
    return line_chart(
        [Series("loss of an image", "second", [*enumerate(change.losses, 1)])],
        title=change.words,
        x_label="audited images since the change",
        y_label="loss (0 to 1)",
        threshold=(change.reference_mean, f"mean at release ({change.n_reference} images)"),
    )


def _points(trace: Trace) -> list[tuple[float, float]]:
    return [(p.n_images, max(p.statistic_nats, LOWEST_NATS)) for p in trace.points]
