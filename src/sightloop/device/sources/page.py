"""The sources' part of the device's page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sightloop.device.sources.status import SourceStatus

_HEAD = (
    "Source",
    "Address",
    "State",
    "Answered",
    "Dropped",
    "Garbage",
    "Failed",
    "Reconnects",
    "Age at the answer, 95 %",
    "Problem",
)


def sources_section(sources: Sequence[SourceStatus]) -> str:
    """A table of them as HTML; nothing without sources."""
    if not sources:
        return ""
    columns = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    rows = "".join(_row(one) for one in sources)
    return (
        '<section class="card" id="sources" data-fresh aria-labelledby="sources-h" tabindex="0">'
        f'<h2 id="sources-h">Sources</h2><table><thead><tr>{columns}</tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _row(one: SourceStatus) -> str:
    cells = [
        one.name,
        one.url,
        one.state,
        str(one.n_answered),
        str(one.n_dropped),
        str(one.n_garbage),
        str(one.n_failed),
        str(one.n_reconnects),
        f"{one.age_p95_ms:.0f} ms",
        one.problem or "none",
    ]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
