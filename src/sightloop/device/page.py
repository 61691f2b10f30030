"""The plain page at `/`: is it alive, what does it run, how does it do."""

from __future__ import annotations

from html import escape

from sightloop.device.sources.page import sources_section
from sightloop.device.status import AgentStatus, SlotStatus
from sightloop.kernel.clock import format_utc
from sightloop.kernel.digests import short

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ccc}"
)


def page_of(status: AgentStatus) -> str:
    """The page as HTML; it reloads itself every five seconds and loads nothing else."""
    spool = status.spool
    seen = status.last_check_in_at_ms
    facts = [
        ("Device", status.device),
        ("Agent", status.agent_version),
        ("Server", status.server),
        ("Last check-in", "never" if seen is None else format_utc(seen)),
        ("Problem", status.check_in_problem or "none"),
        ("Spool", f"{spool.n_envelopes} messages, {spool.size_bytes} bytes"),
        ("Streams", ", ".join(stream.name for stream in status.streams)),
    ]
    head = ("Slot", "Model", "Bundle", "State", "Requests", "Failed", "95 % within", "Problem")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>"
        f"<title>{escape(status.device)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(status.device)}</h1><table>"
        + "".join(f"<tr><th>{name}<td>{escape(value)}" for name, value in facts)
        + "</table><h2>Slots</h2><table><tr>"
        + "".join(f"<th>{name}" for name in head)
        + "".join(_row(slot) for slot in status.slots)
        + "</table>"
        + sources_section(status.sources)
        + "</html>"
    )


def _row(slot: SlotStatus) -> str:
    report = slot.report
    cells = [
        report.slot,
        f"{slot.model}@{slot.version}" if slot.model else "none",
        short(report.running or ""),
        report.state,
        str(report.n_requests),
        str(report.n_failed),
        f"{report.latency_p95_ms:.1f} ms",
        report.problem or "none",
    ]
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells)
