"""`report.html`: the story in pictures, one file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from sightloop.demo.cameras import Shot
from sightloop.demo.pictures import FOUND, PROPOSED, TRUTH, DrawnBox, picture_with_boxes
from sightloop.demo.referee import Contender
from sightloop.demo.story import Records, Report
from sightloop.demo.world import World, WorldImage
from sightloop.evaluation.bootstrap import Gain
from sightloop.evaluation.values import ImageAnswer
from sightloop.inference.detector import reported
from sightloop.kernel.clock import format_utc
from sightloop.server.charts import (
    Bar,
    Interval,
    Marker,
    Series,
    interval_chart,
    line_chart,
    timeline_chart,
)
from sightloop.server.incident_charts import picture_alarm

N_COMPARED, N_FLAGGED, N_HISTOGRAMS = 6, 12, 2
LATENCY_BUCKET_S = 5.0


@dataclass(frozen=True, slots=True)
class Material:
    """Everything the report is made of."""

    report: Report
    records: Records
    world: World
    shots: Sequence[Shot]
    changed_at_ms: int
    first: Contender
    last: Contender
    new_images: Sequence[WorldImage]


class Compared(NamedTuple):
    """One image of the new line three times: as it is, as the models before and after saw it."""

    name: str
    truth: str
    before: str
    after: str
    loss_before: float
    loss_after: float


class Flagged(NamedTuple):
    """An image that was kept for a person: what the model proposed, and why it was kept."""

    picture: str
    lane: str
    purpose: str
    uncertainty: str
    state: str


def render_report(material: Material) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("sightloop.demo"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    report = material.report
    return environment.get_template("report.html.j2").render(
        report=report,
        began=format_utc(report.started_at_ms)[:16].replace("T", " "),
        world=material.world,
        stations=[(name, round(took)) for name, took in report.station_s.items()],
        compared=list(_compared(material)),
        alarms=[
            picture_alarm(one, n_histograms=N_HISTOGRAMS) for one in material.records.explanations
        ],
        flagged=list(_flagged(material)),
        verdicts=[card.verdict for card in material.records.cards if card.verdict],
        gains=_gains(report),
        serving=_serving_chart(material),
        latency=_latency_chart(material),
        memory=[(name, f"{size / 1e6:.0f} MB") for name, size in report.memory_bytes.items()],
        turns=material.records.turns,
        rollouts=material.records.rollouts,
    )


# --- pictures -----------------------------------------------------------------------------------


def _compared(material: Material) -> Iterator[Compared]:
    """Images on which the new model gained the most, and as many where it did not."""
    names = material.world.class_names
    scored = []
    for image in material.new_images:
        before = material.first.answer(image, names)
        after = material.last.answer(image, names)
        gained = material.first.mean_loss([before]) - material.last.mean_loss([after])
        scored.append((gained, image, before, after))
    scored.sort(key=lambda row: -row[0])
    half = N_COMPARED // 2
    chosen = scored[:half] + scored[-half:] if len(scored) > N_COMPARED else scored
    for _, image, before, after in chosen:
        yield Compared(
            name=image.path.name,
            truth=picture_with_boxes(image.path, _truth_boxes(image)),
            before=picture_with_boxes(image.path, _found_boxes(material.first, before, names)),
            after=picture_with_boxes(image.path, _found_boxes(material.last, after, names)),
            loss_before=material.first.mean_loss([before]),
            loss_after=material.last.mean_loss([after]),
        )


def _truth_boxes(image: WorldImage) -> list[DrawnBox]:
    return [DrawnBox(b.x1, b.y1, b.x2, b.y2, b.class_name, TRUTH) for b in image.boxes]


def _found_boxes(model: Contender, answer: ImageAnswer, names: Sequence[str]) -> list[DrawnBox]:
    found = reported(answer.detections, model.bundle.thresholds)
    return [
        DrawnBox(d.x1, d.y1, d.x2, d.y2, f"{names[d.class_index]} {d.score:.2f}", FOUND)
        for d in found
    ]


def _flagged(material: Material) -> Iterator[Flagged]:
    truth = material.world.by_digest()
    names = material.first.bundle.class_names
    tasks = [task for task in material.records.tasks if task.purpose == "train"]
    tasks = tasks or list(material.records.tasks)
    for task in tasks[:N_FLAGGED]:
        boxes = [
            DrawnBox(d.x1, d.y1, d.x2, d.y2, f"{names[d.class_index]} {d.score:.2f}", PROPOSED)
            for d in task.prelabels
        ]
        image = truth[task.image]
        yield Flagged(
            picture=picture_with_boxes(image.path, [*_truth_boxes(image), *boxes]),
            lane=task.lane,
            purpose=task.purpose,
            uncertainty=f"{task.priority:.2f}",
            state=task.state,
        )


# --- charts -------------------------------------------------------------------------------------


def _gains(report: Report) -> str:
    rows = [("new line", report.new_gain), ("old lines", report.old_gain)]
    intervals = [_interval(name, gain) for name, gain in rows if gain is not None]
    if not intervals:
        return ""
    return interval_chart(
        intervals,
        title="gain of AP50 with its 95 % interval, on images never trained on",
        x_label="gain of AP50",
    )


def _interval(name: str, gain: Gain) -> Interval:
    style = "good" if gain.low > 0 else "bad" if gain.high < 0 else "second"
    return Interval(f"{name}, {gain.n_images} images", gain.gain, gain.low, gain.high, style)


def _serving_chart(material: Material) -> str:
    """Which version answered on which device when: read off the answers themselves."""
    start_ms = min((shot.sent_at_ms for shot in material.shots), default=0)
    bars: list[Bar] = []
    for device in dict.fromkeys(shot.device for shot in material.shots):
        mine = sorted(
            (s for s in material.shots if s.device == device and s.ok),
            key=lambda shot: shot.sent_at_ms,
        )
        bars += _bars(device, mine, start_ms)
    changed = (material.changed_at_ms - start_ms) / 1000
    return timeline_chart(
        bars,
        title="which version answered on which device",
        x_label="time since the first request (s)",
        markers=[Marker(changed, "new line")] if material.changed_at_ms else [],
    )


def _bars(device: str, shots: Sequence[Shot], start_ms: int) -> Iterator[Bar]:
    begun = 0
    for index, shot in enumerate(shots):
        is_last = index + 1 == len(shots) or shots[index + 1].version != shot.version
        if is_last:
            end_ms = shots[min(index + 1, len(shots) - 1)].sent_at_ms
            yield Bar(
                lane=device,
                start=(shots[begun].sent_at_ms - start_ms) / 1000,
                end=(end_ms - start_ms) / 1000,
                label=f"version {shot.version}",
                style=("first", "second")[(shot.version - 1) % 2],
            )
            begun = index + 1


def _latency_chart(material: Material) -> str:
    start_ms = min((shot.sent_at_ms for shot in material.shots), default=0)
    buckets: dict[int, list[float]] = {}
    for shot in material.shots:
        bucket = int((shot.sent_at_ms - start_ms) / 1000 // LATENCY_BUCKET_S)
        buckets.setdefault(bucket, []).append(shot.latency_ms)

    def line(share: float) -> list[tuple[float, float]]:
        return [
            (bucket * LATENCY_BUCKET_S, sorted(found)[int(share * (len(found) - 1))])
            for bucket, found in sorted(buckets.items())
        ]

    return line_chart(
        [Series("95 %", "second", line(0.95)), Series("median", "first", line(0.5))],
        title="how long requests took, all devices",
        x_label="time since the first request (s)",
        y_label="latency (ms)",
        markers=[Marker((material.changed_at_ms - start_ms) / 1000, "new line")]
        if material.changed_at_ms
        else [],
    )
