"""What rules would have done with what is on record: a replay, as a function of values alone.

Only what the record can answer is replayed: which alarms and labels would have begun turns, what
people would have been asked for. Alarms and traffic are taken as they were, although other rules
would have kept other images and so found other losses; `unknowns` says what that leaves open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from sightloop.loop.policy import ModelPolicy
from sightloop.loop.rules import stratum_with_enough_labels

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
Camera = tuple[str, str]
"""Device and stream."""


class PastIncident(NamedTuple):
    """An alarm as it was; `closed_at_ms` is None while it is open."""

    id: str
    kind: Literal["input", "loss"]
    camera: Camera
    opened_at_ms: int
    closed_at_ms: int | None


class PastLabel(NamedTuple):
    """A verified image; only one of the model itself makes the loop count."""

    at_ms: int
    strata: Sequence[str]
    is_of_model: bool


class PastTurn(NamedTuple):
    """A turn as it was; `ended_at_ms` is None while it is under way."""

    opened_at_ms: int
    ended_at_ms: int | None
    by_person: bool


class Traffic(NamedTuple):
    """What a camera saw in one hour."""

    hour_ms: int
    n_images: int


class Past(NamedTuple):
    """Everything on record about one model in a period."""

    from_ms: int
    to_ms: int
    incidents: Sequence[PastIncident]
    labels: Sequence[PastLabel]
    turns: Sequence[PastTurn]
    traffic: Mapping[Camera, Sequence[Traffic]]
    labelled_before: Mapping[str, int]
    """By stratum: verified images since the last turn that began before the period."""


class ReplayedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that would have begun."""

    at_ms: int
    because: Literal["loss incident", "labels"]
    subject: str
    """The incident, or the stratum with enough labels."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of one model would have done in the period."""

    turns: list[ReplayedTurn]
    n_loss_incidents: int
    n_passed_over: int
    """Loss incidents that begin no turn: the rules say so, or one is under way."""
    n_input_incidents: int
    n_flagged_at_most: int
    n_asked_at_most: int
    audit_labels: float
    """Expected number of images chosen for the audit lane."""
    audit_labels_per_day: float | None
    """On days with traffic; None without any."""


ALWAYS_UNKNOWN = (
    "Other rules would have kept other images, found other losses and so raised alarms at other "
    "times; alarms, labels and traffic are taken as they were."
)


def replay(policy: ModelPolicy, past: Past) -> Replay:
    """The period under these rules."""
    turns, n_passed_over = _turns(policy, past)
    loss = [one for one in past.incidents if one.kind == "loss"]
    inputs = [one for one in past.incidents if one.kind == "input"]
    by_id = {one.id: one for one in loss}
    asked = [
        min(policy.retrain.label_budget, _images_during(past, by_id[turn.subject]))
        for turn in turns
        if turn.because == "loss incident"
    ]
    rules = policy.on_input_incident
    kept_share = (1 - rules.audit_rate) * rules.drift_rate
    flagged = [min(rules.flag, round(_images_during(past, one) * kept_share)) for one in inputs]
    audited = _expected_audits(policy, past, inputs)
    n_days = len({hour.hour_ms // DAY_MS for hours in past.traffic.values() for hour in hours})
    return Replay(
        turns=turns,
        n_loss_incidents=len(loss),
        n_passed_over=n_passed_over,
        n_input_incidents=len(inputs),
        n_flagged_at_most=sum(flagged),
        n_asked_at_most=sum(asked),
        audit_labels=audited,
        audit_labels_per_day=audited / n_days if n_days else None,
    )


def _turns(policy: ModelPolicy, past: Past) -> tuple[list[ReplayedTurn], int]:
    """Turns the rules would have begun, and how many loss incidents began none.

    A turn lasts as long as the model's recorded ones did (their median); without any on record it
    keeps nothing else from beginning, so that the count is the most there can have been. Turns
    that people asked for stay as they were, for no rule began them.
    """
    lasts_ms = _median([t.ended_at_ms - t.opened_at_ms for t in past.turns if t.ended_at_ms])
    counts: dict[str, int] = defaultdict(int, past.labelled_before)
    begun: list[ReplayedTurn] = []
    n_passed_over, busy_until_ms = 0, past.from_ms

    def begin(at_ms: int, because: Literal["loss incident", "labels"], subject: str) -> None:
        nonlocal busy_until_ms
        begun.append(ReplayedTurn(at_ms=at_ms, because=because, subject=subject))
        busy_until_ms = at_ms + lasts_ms
        counts.clear()

    for at_ms, what in _in_order(past):
        is_busy = at_ms < busy_until_ms
        if isinstance(what, PastTurn):
            busy_until_ms = max(busy_until_ms, what.ended_at_ms or past.to_ms)
            counts.clear()
        elif isinstance(what, PastIncident):
            if what.kind == "input":
                continue
            if policy.retrain.on_loss_incident and not is_busy:
                begin(at_ms, "loss incident", what.id)
            else:
                n_passed_over += 1
        else:
            for stratum in what.strata:
                counts[stratum] += 1
            ripe = stratum_with_enough_labels(counts, after_labels=policy.retrain.after_labels)
            if ripe is not None and what.is_of_model and not is_busy:
                begin(at_ms, "labels", ripe)
    return begun, n_passed_over


def _in_order(past: Past) -> list[tuple[int, PastTurn | PastIncident | PastLabel]]:
    """What happened by time; of things at one moment, people's turns come first."""
    asked = [turn for turn in past.turns if turn.by_person]
    before = [t for t in asked if t.opened_at_ms < past.from_ms <= (t.ended_at_ms or past.to_ms)]
    during = [t for t in asked if past.from_ms <= t.opened_at_ms]
    happened: list[tuple[int, PastTurn | PastIncident | PastLabel]] = [
        *((past.from_ms, turn) for turn in before),
        *((turn.opened_at_ms, turn) for turn in during),
        *((one.opened_at_ms, one) for one in past.incidents),
        *((one.at_ms, one) for one in past.labels),
    ]
    return sorted(happened, key=lambda pair: pair[0])


def _images_during(past: Past, incident: PastIncident) -> int:
    """Images the incident's camera saw while it was open, in whole hours."""
    hours = past.traffic.get(incident.camera, ())
    return sum(hour.n_images for hour in hours if _is_during(hour.hour_ms, incident, past))


def _expected_audits(policy: ModelPolicy, past: Past, inputs: Sequence[PastIncident]) -> float:
    raised: dict[Camera, list[PastIncident]] = defaultdict(list)
    for one in inputs:
        raised[one.camera].append(one)
    n_raised = n_usual = 0
    for camera, hours in past.traffic.items():
        for hour in hours:
            if any(_is_during(hour.hour_ms, incident, past) for incident in raised[camera]):
                n_raised += hour.n_images
            else:
                n_usual += hour.n_images
    return n_raised * policy.on_input_incident.audit_rate + n_usual * policy.keep.audit_rate


def _is_during(hour_ms: int, incident: PastIncident, past: Past) -> bool:
    # Rounded out to whole hours: traffic is known no finer.
    ended_ms = past.to_ms if incident.closed_at_ms is None else incident.closed_at_ms
    return hour_ms + HOUR_MS > incident.opened_at_ms and hour_ms < ended_ms


def _median(durations: Sequence[int]) -> int:
    ordered = sorted(durations)
    return ordered[len(ordered) // 2] if ordered else 0


class ChangedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of one model that the proposal changes, as people write them."""

    rule: str
    before: str
    after: str


REPLAYED = (
    "keep.audit_rate",
    "on_input_incident.audit_rate",
    "on_input_incident.drift_rate",
    "on_input_incident.flag",
    "retrain.after_labels",
    "retrain.label_budget",
    "retrain.on_loss_incident",
)
"""Rules whose effect the replay shows."""


def changed_rules(before: ModelPolicy | None, after: ModelPolicy | None) -> list[ChangedRule]:
    """Every rule that differs, by its dotted name; a model that is new or gone is one change."""
    if before is None or after is None:
        names = ("not there" if one is None else "looked after" for one in (before, after))
        return [ChangedRule(rule="the model", before=next(names), after=next(names))]
    old, new = (dict(_flat(msgspec.to_builtins(one))) for one in (before, after))
    return [
        ChangedRule(rule=name, before=_written(old, name), after=_written(new, name))
        for name in sorted(old.keys() | new.keys())
        if name not in old or name not in new or old[name] != new[name]
    ]


def unknowns(changes: Iterable[ChangedRule]) -> list[str]:
    """What the replay cannot know of these changes, in sentences."""
    rules = [change.rule for change in changes]
    found = [ALWAYS_UNKNOWN]
    if any(rule.startswith("monitoring.") for rule in rules):
        found.append(
            "A release keeps the monitor settings it began with: the new ones act from the next "
            "release on, and which alarms they would have raised is not known."
        )
    rest = [
        rule
        for rule in rules
        if rule not in REPLAYED and not rule.startswith(("monitoring.", "the"))
    ]
    if rest:
        shown = ", ".join(rest[:6]) + (f" and {len(rest) - 6} more" if len(rest) > 6 else "")
        found.append(f"Not replayed, because it would need training or devices: {shown}.")
    return found


def _flat(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:  # noqa: ANN401 - plain JSON
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _written(values: Mapping[str, Any], name: str) -> str:
    return msgspec.json.encode(values[name]).decode() if name in values else "–"
