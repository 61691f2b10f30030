"""What `GET /health` tells: the whole agent at a glance, for people and for probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from sightloop.contracts.builds import BuildReport
from sightloop.contracts.bundle import Task
from sightloop.contracts.check_in import SlotReport, SlotState, StreamDeclaration
from sightloop.device.installer import SlotProgress
from sightloop.device.model_slot import ModelSlot
from sightloop.device.state import AgentState
from sightloop.device.version import AGENT_VERSION


class SlotStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One slot: what the server is told of it, and what only matters here."""

    report: SlotReport
    model: str
    version: int
    task: Task
    runtime: str
    """What runs the model: library, version, precision, threads."""
    worker_pid: int
    worker_resident_bytes: int
    n_waiting: int
    n_refreshed: int
    """Workers that were replaced because they leaked."""
    n_replaced: int
    """Workers that were lost and replaced since the agent started."""
    n_resent: int
    """Requests that were given to another worker for it."""


class SpoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for the server."""

    n_envelopes: int
    size_bytes: int
    n_dropped: int
    n_lost: int
    """Messages the disk was too slow for."""


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The agent."""

    format: Literal["sightloop.agent-status/1"] = "sightloop.agent-status/1"
    device: str
    agent_version: str
    boot: str
    started_at_ms: int
    server: str
    last_check_in_at_ms: int | None
    check_in_problem: str
    server_ahead_ms: int | None
    streams: list[StreamDeclaration]
    slots: list[SlotStatus]
    spool: SpoolStatus
    n_kept: int
    n_not_redacted: int


def report_of(
    slot: ModelSlot,
    state: AgentState,
    *,
    progress: SlotProgress,
    builds: Sequence[BuildReport] = (),
) -> SlotReport:
    """What the server is told of a slot; `builds` were measured with what runs in it."""
    accepted = state.slot(slot.name).accepted
    health = slot.health
    return SlotReport(
        slot=slot.name,
        state=progress.state or _state_of(slot),
        running=slot.running.bundle if slot.running else None,
        assigned=accepted.bundle if accepted else None,
        counter=accepted.counter if accepted else 0,
        golden_passed=slot.is_ready,
        n_requests=health.n_requests if health else 0,
        n_failed=health.n_failed if health else 0,
        latency_p95_ms=health.latency_p95_ms() if health else 0.0,
        problem=progress.problem,
        runtime=slot.runtime,
        choice_problem=slot.choice_problem,
        builds=list(builds),
        quarantined=sorted(
            bundle
            for bundle, entry in state.quarantine.items()
            if entry.agent_version == AGENT_VERSION
        ),
    )


def status_of(slot: ModelSlot, report: SlotReport) -> SlotStatus:
    """What `/health` tells of a slot."""
    return SlotStatus(
        report=report,
        model=slot.running.model if slot.running else "",
        version=slot.running.version if slot.running else 0,
        task=slot.task,
        runtime=slot.runtime,
        worker_pid=slot.worker_pid,
        worker_resident_bytes=slot.worker_resident_bytes,
        n_waiting=slot.n_waiting,
        n_refreshed=slot.n_refreshed,
        n_replaced=slot.n_replaced,
        n_resent=slot.n_resent,
    )


def _state_of(slot: ModelSlot) -> SlotState:
    if slot.running is None:
        return "empty"
    return "serving" if slot.is_ready else "starting"
