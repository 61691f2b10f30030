"""`/metrics` as text: what the agent counts, by names and base units that Prometheus expects. Pure.

Times are seconds, sizes bytes, totals count from the start of the agent. With Triton's names the
same numbers appear once more under the names (and in the microseconds) that boards made for Triton
ask for.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from sightloop.device.serving_counts import Histogram, SlotCounts, Version, VersionCounts
from sightloop.device.shadow import ShadowStatus
from sightloop.device.status import AgentStatus, SlotStatus

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]
"""Suffix of the name, labels, value."""


def metrics_text(
    status: AgentStatus,
    counts: Mapping[str, SlotCounts],
    shadows: Iterable[ShadowStatus],
    *,
    triton_names: bool,
) -> str:
    """All metrics; `counts` by slot."""
    families = [
        *_agent(status),
        *_slots(status.slots),
        *_versions(counts),
        *_refused(counts),
        *_shadows(list(shadows)),
    ]
    if triton_names:
        families += _triton(status.slots, counts)
    return "".join(families)


def _agent(status: AgentStatus) -> list[str]:
    spool = status.spool
    named = {"device": status.device, "version": status.agent_version}
    return [
        _family("sightloop_agent_info", "gauge", "The agent.", [("", named, 1)]),
        _one("sightloop_agent_start_time_seconds", "gauge", "Start of the agent, Unix time.",
             status.started_at_ms / 1000),
        _one("sightloop_spool_messages", "gauge", "Messages that wait for the server.",
             spool.n_envelopes),
        _one("sightloop_spool_size_bytes", "gauge", "Disk space they take.", spool.size_bytes),
        _one("sightloop_spool_dropped_messages_total", "counter",
             "Messages dropped because the spool was full.", spool.n_dropped),
        _one("sightloop_spool_lost_messages_total", "counter",
             "Messages the disk was too slow for.", spool.n_lost),
        _one("sightloop_kept_images_total", "counter", "Images kept for the server.",
             status.n_kept),
        _one("sightloop_unredacted_images_total", "counter",
             "Images not kept because redacting them failed.", status.n_not_redacted),
    ]  # fmt: skip


def _slots(slots: list[SlotStatus]) -> list[str]:
    def of_each(name: str, kind: Kind, what: str, values: list[float]) -> str:
        samples = [
            ("", {"slot": slot.report.slot}, value)
            for slot, value in zip(slots, values, strict=True)
        ]
        return _family(name, kind, what, samples)

    running = [
        ("", {"slot": one.report.slot, "model": one.model, "version": str(one.version)}, 1)
        for one in slots
        if one.model
    ]
    return [
        _family("sightloop_slot_running_info", "gauge", "The version that answers.", running),
        of_each("sightloop_slot_ready", "gauge", "1 when requests are answered.",
                [one.report.golden_passed for one in slots]),
        of_each("sightloop_slot_waiting_requests", "gauge", "Requests that no worker has yet.",
                [one.n_waiting for one in slots]),
        of_each("sightloop_worker_resident_memory_bytes", "gauge", "Memory of the worker.",
                [one.worker_resident_bytes for one in slots]),
        of_each("sightloop_workers_lost_total", "counter",
                "Workers that crashed or hung and were replaced.",
                [one.n_replaced for one in slots]),
        of_each("sightloop_workers_refreshed_total", "counter",
                "Workers that were replaced because they leaked.",
                [one.n_refreshed for one in slots]),
        of_each("sightloop_resent_requests_total", "counter",
                "Requests given to another worker because theirs was lost.",
                [one.n_resent for one in slots]),
    ]  # fmt: skip


def _versions(counts: Mapping[str, SlotCounts]) -> list[str]:
    outcomes: list[Sample] = []
    durations: list[Sample] = []
    waits: list[Sample] = []
    batches: list[Sample] = []
    for labels, one in _each(counts):
        outcomes += [
            ("", {**labels, "outcome": outcome}, n) for outcome, n in sorted(one.outcomes.items())
        ]
        durations += _histogram(labels, one.duration_s)
        waits += _histogram(labels, one.waited_s)
        batches += _histogram(labels, one.batch_sizes)
    return [
        _family("sightloop_requests_total", "counter", "Images by what became of them.", outcomes),
        _family("sightloop_request_duration_seconds", "histogram",
                "From the arrival of the whole image to its answer.", durations),
        _family("sightloop_request_waiting_seconds", "histogram",
                "From there until a worker got it.", waits),
        _family("sightloop_batch_images", "histogram", "Images in one run of the model.", batches),
    ]  # fmt: skip


def _refused(counts: Mapping[str, SlotCounts]) -> list[str]:
    samples = [
        ("", {"slot": slot, "code": code}, n)
        for slot, one in counts.items()
        for code, n in sorted(one.n_refused.items())
    ]
    what = "Images that were not accepted, by error code."
    return [_family("sightloop_refused_requests_total", "counter", what, samples)]


def _shadows(shadows: list[ShadowStatus]) -> list[str]:
    def of_each(name: str, kind: Kind, what: str, values: list[float]) -> str:
        samples = [
            (
                "",
                {
                    "slot": one.slot,
                    "challenger": one.challenger,
                    "champion_version": f"{one.champion_model}@{one.champion_version}",
                    "challenger_version": f"{one.challenger_model}@{one.challenger_version}",
                },
                value,
            )
            for one, value in zip(shadows, values, strict=True)
        ]
        return _family(name, kind, what, samples)

    return [
        of_each("sightloop_shadow_images_total", "counter", "Images a challenger looked at too.",
                [one.n_compared for one in shadows]),
        of_each("sightloop_shadow_same_images_total", "counter",
                "Those in which both found the same objects.", [one.n_same for one in shadows]),
        of_each("sightloop_shadow_failed_images_total", "counter",
                "Images the challenger gave no answer to.", [one.n_failed for one in shadows]),
        of_each("sightloop_shadow_skipped_images_total", "counter",
                "Images the challenger was too slow for.", [one.n_skipped for one in shadows]),
        of_each("sightloop_shadow_duration_seconds_total", "counter",
                "The challenger's time for the images it looked at.",
                [one.duration_s for one in shadows]),
    ]  # fmt: skip


def _triton(slots: list[SlotStatus], counts: Mapping[str, SlotCounts]) -> list[str]:
    names: dict[str, tuple[str, list[Sample]]] = {
        "nv_inference_request_success": ("Requests that were answered.", []),
        "nv_inference_request_failure": ("Requests that were not.", []),
        "nv_inference_count": ("Images looked at.", []),
        "nv_inference_exec_count": ("Runs of the model.", []),
        "nv_inference_request_duration_us": ("Time of requests, waiting included.", []),
        "nv_inference_queue_duration_us": ("Time requests waited.", []),
    }
    for version, one in _merged(counts).items():
        labels = {"model": version.model, "version": str(version.number)}
        n_answered = one.outcomes["answered"]
        values = (
            n_answered,
            one.outcomes.total() - n_answered,
            one.waited_s.n,
            one.batch_sizes.n,
            round(1e6 * one.duration_s.total),
            round(1e6 * one.waited_s.total),
        )
        for (_, samples), value in zip(names.values(), values, strict=True):
            samples.append(("", labels, value))
    pending = [
        ("", {"model": one.model, "version": str(one.version)}, one.n_waiting)
        for one in slots
        if one.model
    ]
    return [
        *(_family(name, "counter", what, samples) for name, (what, samples) in names.items()),
        _family("nv_inference_pending_request_count", "gauge", "Requests that wait.", pending),
    ]


def _merged(counts: Mapping[str, SlotCounts]) -> dict[Version, VersionCounts]:
    """By version; one that serves in two slots is told of the first, as Triton knows no slots."""
    merged: dict[Version, VersionCounts] = {}
    for one in counts.values():
        for version, numbers in one.versions.items():
            merged.setdefault(version, numbers)
    return merged


def _each(counts: Mapping[str, SlotCounts]) -> Iterable[tuple[dict[str, str], VersionCounts]]:
    for slot, one in counts.items():
        for version, numbers in one.versions.items():
            yield {"slot": slot, "model": version.model, "version": str(version.number)}, numbers


def _histogram(labels: Labels, histogram: Histogram) -> list[Sample]:
    samples: list[Sample] = []
    n = 0
    for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
        n += count
        le = "+Inf" if bound is None else f"{bound:g}"
        samples.append(("_bucket", {**labels, "le": le}, n))
    return [*samples, ("_sum", labels, histogram.total), ("_count", labels, n)]


def _one(name: str, kind: Kind, what: str, value: float) -> str:
    return _family(name, kind, what, [("", {}, value)])


def _family(name: str, kind: Kind, what: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        number = f"{value:d}" if isinstance(value, int) else repr(float(value))
        lines.append(
            f"{name}{suffix}{{{inside}}} {number}" if inside else f"{name}{suffix} {number}"
        )
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
