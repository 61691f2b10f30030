"""The whole store of the room in one place; importing it declares every table.

Each kind of record has a file of its own; other rooms read through this one.
"""

from __future__ import annotations

from sightloop.telemetry.envelopes import count_envelopes
from sightloop.telemetry.health import (
    count_dropped,
    health_of,
    latest_health,
    list_dropped,
    list_health,
)
from sightloop.telemetry.images import find_image
from sightloop.telemetry.kept_images import (
    audited_among,
    count_kept,
    find_kept,
    kept_by_id,
    list_kept,
    uncertainties_of,
)
from sightloop.telemetry.losses import find_loss, losses_after, losses_of, record_loss
from sightloop.telemetry.profiles import profiles_after, profiles_of, stratum_of, traffic_since
from sightloop.telemetry.swaps import list_swaps

__all__ = [
    "audited_among",
    "count_dropped",
    "count_envelopes",
    "count_kept",
    "find_image",
    "find_kept",
    "find_loss",
    "health_of",
    "kept_by_id",
    "latest_health",
    "list_dropped",
    "list_health",
    "list_kept",
    "list_swaps",
    "losses_after",
    "losses_of",
    "profiles_after",
    "profiles_of",
    "record_loss",
    "stratum_of",
    "traffic_since",
    "uncertainties_of",
]
