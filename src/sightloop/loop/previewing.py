"""What a proposed `loop.yaml` would have done over the last month, beside the present one."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.errors import BadPolicy
from sightloop.loop.policy import Policy
from sightloop.loop.policy_editing import parsed_proposal
from sightloop.loop.policy_file import read_policy
from sightloop.loop.preview import (
    DAY_MS,
    Camera,
    ChangedRule,
    Past,
    PastIncident,
    PastLabel,
    PastTurn,
    Replay,
    Traffic,
    changed_rules,
    replay,
    unknowns,
)
from sightloop.loop.turns import list_turns
from sightloop.monitoring import store as monitoring
from sightloop.registry import store as registry
from sightloop.review import store as review
from sightloop.telemetry import store as telemetry

MAX_DAYS = 365
MAX_INCIDENTS = 10_000


class PreviewPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A text that might become the policy, and how far to look back."""

    text: str
    n_days: int = 30


class ModelPreview(msgspec.Struct, frozen=True, kw_only=True):
    """One model under both policies; None where a policy does not name it."""

    model: str
    present: Replay | None
    proposed: Replay | None
    changes: list[ChangedRule]
    n_images: int
    """Seen by its streams in the period."""
    n_days_with_traffic: int


class PolicyPreview(msgspec.Struct, frozen=True, kw_only=True):
    """A replay of what is on record; `unknowns` says what it leaves open."""

    from_ms: int
    to_ms: int
    models: list[ModelPreview]
    unknowns: list[str]
    present_problem: str
    """Why there is no present policy to compare with, or `""`."""


class _Record(NamedTuple):
    """The period's records of every model, read once."""

    incidents: dict[str, list[PastIncident]]
    labels: list[tuple[int, list[str], str]]
    """When, of which strata, for which model."""
    traffic: dict[str, dict[Camera, list[Traffic]]]


def preview_policy(workspace: Workspace, call: Call, request: PreviewPolicy) -> PolicyPreview:
    """What the text would have done with the last days' record; nothing is changed.

    Raises:
        BadPolicy: the loop could not use the text.
    """
    require(call.actor, Permission.RUN_LOOP)
    proposed, problem = parsed_proposal(request.text), ""
    try:
        present = read_policy(workspace)
    except BadPolicy as error:
        present, problem = Policy(), error.message
    to_ms = workspace.clock.now_ms()
    from_ms = to_ms - max(1, min(request.n_days, MAX_DAYS)) * DAY_MS
    with workspace.db.read() as tx:
        record = _read(tx, from_ms)
        models = [
            _preview(tx, name, present, proposed, record, from_ms=from_ms, to_ms=to_ms)
            for name in sorted(present.models.keys() | proposed.models.keys())
        ]
    return PolicyPreview(
        from_ms=from_ms,
        to_ms=to_ms,
        models=models,
        unknowns=unknowns(change for one in models for change in one.changes),
        present_problem=problem,
    )


def _preview(
    tx: Tx,
    model: str,
    present: Policy,
    proposed: Policy,
    record: _Record,
    *,
    from_ms: int,
    to_ms: int,
) -> ModelPreview:
    past = _past(tx, model, record, from_ms=from_ms, to_ms=to_ms)
    before, after = present.models.get(model), proposed.models.get(model)
    hours = [hour for one in past.traffic.values() for hour in one]
    return ModelPreview(
        model=model,
        present=None if before is None else replay(before, past),
        proposed=None if after is None else replay(after, past),
        changes=changed_rules(before, after),
        n_images=sum(hour.n_images for hour in hours),
        n_days_with_traffic=len({hour.hour_ms // DAY_MS for hour in hours}),
    )


def _past(tx: Tx, model: str, record: _Record, *, from_ms: int, to_ms: int) -> Past:
    turns = list_turns(tx, model=model)
    last_before = max((t.opened_at_ms for t in turns if t.opened_at_ms < from_ms), default=0)
    return Past(
        from_ms=from_ms,
        to_ms=to_ms,
        incidents=record.incidents.get(model, []),
        labels=[PastLabel(at_ms, strata, of == model) for at_ms, strata, of in record.labels],
        turns=[
            PastTurn(
                turn.opened_at_ms,
                turn.moved_at_ms if turn.has_ended else None,
                turn.trigger.kind == "person",
            )
            for turn in turns
        ],
        traffic=record.traffic.get(model, {}),
        labelled_before=_labelled_between(tx, last_before, from_ms),
    )


def _read(tx: Tx, from_ms: int) -> _Record:
    models: dict[Digest, str] = {}

    def model_of(bundle: Digest) -> str:
        if bundle not in models:
            version = registry.version_of_bundle(tx, bundle)
            models[bundle] = "" if version is None else version.model
        return models[bundle]

    incidents: dict[str, list[PastIncident]] = defaultdict(list)
    for one in monitoring.list_incidents(tx, limit=MAX_INCIDENTS):
        if one.opened_at_ms >= from_ms:
            camera = (one.device, one.stream)
            past = PastIncident(one.id, one.kind, camera, one.opened_at_ms, one.closed_at_ms)
            incidents[one.model].append(past)
    traffic: dict[str, dict[Camera, list[Traffic]]] = defaultdict(lambda: defaultdict(list))
    for seen in telemetry.traffic_since(tx, from_ms):
        hour = Traffic(seen.hour_ms, seen.n_images)
        traffic[model_of(seen.bundle)][seen.camera].append(hour)
    labels = [
        (label.at_ms, [stratum for stratum in label.strata if stratum], model_of(label.bundle))
        for label in review.labels_since(tx, from_ms)
    ]
    return _Record(incidents, labels, traffic)


def _labelled_between(tx: Tx, since_ms: int, until_ms: int) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for sign, start_ms in ((1, since_ms), (-1, until_ms)):
        for count in review.label_counts(tx, since_ms=start_ms):
            if count.stratum:
                counts[count.stratum] += sign * count.n_images
    return {stratum: count for stratum, count in counts.items() if count > 0}
