"""What a batch must be before anything of it is stored. Pure.

One wrong envelope refuses its whole batch: it was made by a faulty or hostile sender, and a batch
that is half taken would hide that.
"""

from __future__ import annotations

from collections.abc import Iterator

from sightloop.contracts.profile import Profile
from sightloop.contracts.telemetry import (
    DroppedBody,
    Envelope,
    HealthBody,
    KeptImageBody,
    ProfileBody,
    SwapBody,
    TelemetryBatch,
)
from sightloop.kernel.digests import MalformedDigest, parse_digest
from sightloop.telemetry.errors import BatchTooLarge, ImpossibleEnvelope, SentForAnother

MAX_ENVELOPES = 5_000
"""Per batch: one write transaction of about a second, during which nobody else can write."""

_LARGEST_INTEGER = 2**63 - 1


def check_batch(batch: TelemetryBatch, *, sender: str) -> None:
    """Return when every envelope may be stored for `sender`.

    Raises:
        BatchTooLarge: more than `MAX_ENVELOPES`.
        SentForAnother: an envelope, or the profile in it, names another device.
        ImpossibleEnvelope: a value is out of its range.
    """
    if len(batch.envelopes) > MAX_ENVELOPES:
        raise BatchTooLarge(n_envelopes=len(batch.envelopes), limit=MAX_ENVELOPES)
    for envelope in batch.envelopes:
        for device in _devices_in(envelope):
            if device != sender:
                raise SentForAnother(sender=sender, device=device, sequence=envelope.sequence)
        for problem in _problems(envelope):
            raise ImpossibleEnvelope(
                device=envelope.device, sequence=envelope.sequence, problem=problem
            )


def _devices_in(envelope: Envelope) -> Iterator[str]:
    yield envelope.device
    if isinstance(envelope.body, ProfileBody):
        yield envelope.body.profile.device


def _problems(envelope: Envelope) -> Iterator[str]:
    yield from _not_countable(sequence=envelope.sequence, at_ms=envelope.at_ms)
    match envelope.body:
        case ProfileBody(profile):
            yield from _profile_problems(profile)
        case KeptImageBody() as kept:
            yield from _kept_problems(kept)
        case HealthBody() as health:
            yield from _health_problems(health)
        case SwapBody() as swap:
            yield from _not_digests(bundle=swap.bundle, previous=swap.previous or swap.bundle)
            yield from _not_countable(started_at_ms=swap.started_at_ms)
        case DroppedBody() as dropped:
            yield from _not_countable(n_envelopes=dropped.n_envelopes, **dropped.by_kind)


def _profile_problems(profile: Profile) -> Iterator[str]:
    yield from _not_digests(bundle=profile.bundle)
    yield from _not_a_window(profile.started_at_ms, profile.ended_at_ms)
    yield from _not_countable(n_images=profile.n_images)
    for name, counts in {**profile.counts, "class": profile.class_counts}.items():
        if any(count < 0 for count in counts):
            yield f"a negative count of {name!r}"


def _kept_problems(kept: KeptImageBody) -> Iterator[str]:
    yield from _not_digests(bundle=kept.bundle, image=kept.image)
    yield from _not_countable(captured_at_ms=kept.captured_at_ms)
    if not 0 < kept.inclusion_probability <= 1:
        yield f"inclusion_probability is {kept.inclusion_probability}, not in (0, 1]"
    if not 0 <= kept.uncertainty <= 1:
        yield f"uncertainty is {kept.uncertainty}, not in [0, 1]"


def _health_problems(health: HealthBody) -> Iterator[str]:
    yield from _not_digests(bundle=health.bundle)
    yield from _not_a_window(health.started_at_ms, health.ended_at_ms)
    yield from _not_countable(n_requests=health.n_requests, n_failed=health.n_failed)
    bounds_ms = health.latency_bounds_ms
    if sorted(set(bounds_ms)) != bounds_ms:
        yield "latency_bounds_ms do not ascend"
    if len(health.latency_counts) != len(bounds_ms) + 1 or min(health.latency_counts) < 0:
        yield "latency_counts do not count what lies between and above latency_bounds_ms"


def _not_a_window(started_at_ms: int, ended_at_ms: int) -> Iterator[str]:
    yield from _not_countable(started_at_ms=started_at_ms, ended_at_ms=ended_at_ms)
    if ended_at_ms < started_at_ms:
        yield f"its window ends at {ended_at_ms}, before it starts at {started_at_ms}"


def _not_countable(**numbers: int) -> Iterator[str]:
    for name, number in numbers.items():
        if not 0 <= number <= _LARGEST_INTEGER:
            yield f"{name} is {number}, not in [0, 2^63)"


def _not_digests(**texts: str) -> Iterator[str]:
    for name, text in texts.items():
        try:
            parse_digest(text)
        except MalformedDigest as error:
            yield f"{name}: {error.message}"
