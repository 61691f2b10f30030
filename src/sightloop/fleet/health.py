"""Does a device serve a bundle healthily? By its own latest report, and nothing else. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from sightloop.contracts.check_in import SlotReport
from sightloop.fleet.values import DeviceId
from sightloop.kernel.digests import Digest, short

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=90 * 86400)]
Key = tuple[DeviceId, str]
"""A slot of a device."""


class HealthCriteria(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device must show before the next ring follows, and what turns a rollout back."""

    bake_s: Seconds = 300.0
    """How long a device must have served the bundle, by its own reports."""
    min_requests: Annotated[int, Meta(ge=0, le=1_000_000)] = 20
    """How many requests it must have answered; rates of fewer are not judged."""
    max_error_rate: Share = 0.01
    max_latency_ratio: Annotated[float, Meta(ge=1, le=1000)] = 2.0
    """95th percentile over that of the bundle before, judged once the device has baked."""
    latency_slack_ms: Annotated[float, Meta(ge=0, le=60_000)] = 20.0
    """A difference below this is never a breach, whatever the ratio."""
    offline_after_s: Seconds = 300.0
    """A device that has been silent for longer counts as offline."""
    quorum: Share = 0.0
    """Share of a ring's devices that must be healthy, those offline included. 0 leaves it to
    those that can be reached; in any case one healthy device is needed before a second ring."""
    deadline_s: Seconds = 86400.0
    """How long a ring may take; pauses do not count."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A slot that runs the model, as the server knows it now."""

    device: DeviceId
    slot: str
    ring: str
    counter: int
    number: int | None
    bundle: Digest | None
    seen_at_ms: int | None
    boot: str
    report: SlotReport | None

    @property
    def key(self) -> Key:
        """Which slot of which device."""
        return self.device, self.slot


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """One slot's way through a rollout."""

    device: DeviceId
    slot: str
    ring: str
    counter: int
    """Of the assignment by which the slot learns of the bundle."""
    previous: Digest | None
    previous_number: int | None
    previous_p95_ms: float | None
    assigned_at_ms: int
    boot: str = ""
    serving_since_ms: int | None = None
    """First report of serving the bundle under this boot; a restart of the agent begins anew."""
    switched_at_ms: int | None = None
    healthy_at_ms: int | None = None

    @property
    def key(self) -> Key:
        """Which slot of which device."""
        return self.device, self.slot


class Health(NamedTuple):
    """How a placement stands, and why."""

    state: Literal["waiting", "baking", "healthy", "broken"]
    reason: str


def health_of(
    placement: Placement, member: Member, *, bundle: Digest, criteria: HealthCriteria
) -> Health:
    """How this slot stands with the bundle, by its device's latest report."""
    report = member.report
    if report is None or report.counter < placement.counter:
        return Health("waiting", "has not seen its assignment")
    if report.state == "failed" and report.assigned == bundle:
        return Health("broken", f"could not put the bundle to work: {report.problem}")
    if bundle in report.quarantined:
        return Health("broken", f"put the bundle into quarantine: {report.problem}")
    if report.running != bundle or report.state != "serving":
        running = "nothing" if report.running is None else f"bundle {short(report.running)}"
        return Health("waiting", f"is {report.state}, running {running}")
    if not report.golden_passed:
        return Health("broken", "serves the bundle without having reproduced its golden images")
    return _service_of(placement, member, report, criteria)


def observe(
    placement: Placement, member: Member, *, bundle: Digest, criteria: HealthCriteria
) -> Placement:
    """The placement with what the device's latest report adds to it."""
    report = member.report
    serves = (
        report is not None
        and report.counter >= placement.counter
        and report.running == bundle
        and report.state == "serving"
    )
    if not serves:
        return msgspec.structs.replace(placement, serving_since_ms=None, boot="")
    if placement.serving_since_ms is None or placement.boot != member.boot:
        placement = msgspec.structs.replace(
            placement, serving_since_ms=member.seen_at_ms, boot=member.boot
        )
    if placement.switched_at_ms is None:
        placement = msgspec.structs.replace(placement, switched_at_ms=member.seen_at_ms)
    is_new = placement.healthy_at_ms is None
    if is_new and health_of(placement, member, bundle=bundle, criteria=criteria).state == "healthy":
        placement = msgspec.structs.replace(placement, healthy_at_ms=member.seen_at_ms)
    return placement


def p95_before(member: Member, criteria: HealthCriteria) -> float | None:
    """How fast the slot answers with what it runs before the rollout; None when not known."""
    report = member.report
    if report is None or member.bundle is None or report.running != member.bundle:
        return None
    measured = report.n_requests >= max(criteria.min_requests, 1) and report.latency_p95_ms > 0
    return report.latency_p95_ms if measured else None


def is_reachable(member: Member, criteria: HealthCriteria, *, now_ms: int) -> bool:
    """Whether the device spoke lately enough to count."""
    return member.seen_at_ms is not None and (
        now_ms - member.seen_at_ms <= criteria.offline_after_s * 1000
    )


def served_s(placement: Placement, member: Member) -> float:
    """For how long the slot has served the bundle, by its device's reports; 0.0 before that."""
    # Up to the latest report, not up to now: what happened since is not known.
    if placement.serving_since_ms is None or member.seen_at_ms is None:
        return 0.0
    return (member.seen_at_ms - placement.serving_since_ms) / 1000


def _service_of(
    placement: Placement, member: Member, report: SlotReport, criteria: HealthCriteria
) -> Health:
    enough = report.n_requests >= max(criteria.min_requests, 1)
    if enough and report.n_failed > criteria.max_error_rate * report.n_requests:
        return Health(
            "broken",
            f"failed {report.n_failed} of {report.n_requests} requests, "
            f"more than {criteria.max_error_rate:g} of them",
        )
    served = served_s(placement, member)
    if served < criteria.bake_s:
        return Health("baking", f"has served it for {served:g} of {criteria.bake_s:g} s")
    if report.n_requests < criteria.min_requests:
        return Health(
            "baking", f"has answered {report.n_requests} of {criteria.min_requests} requests"
        )
    before_ms = placement.previous_p95_ms
    if before_ms is not None and enough and _is_slower(report.latency_p95_ms, before_ms, criteria):
        return Health(
            "broken",
            f"answers in {report.latency_p95_ms:.1f} ms (95th percentile), {before_ms:.1f} ms with "
            f"the bundle before, over {criteria.max_latency_ratio:g} times as much",
        )
    return Health("healthy", "")


def _is_slower(now_ms: float, before_ms: float, criteria: HealthCriteria) -> bool:
    over_ratio = now_ms > criteria.max_latency_ratio * before_ms
    return over_ratio and now_ms - before_ms > criteria.latency_slack_ms
