"""What monitoring promises and from which change on it should speak up."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Probability = Annotated[float, Meta(gt=0, lt=1)]
Change = Annotated[float, Meta(gt=0, lt=1)]
Count = Annotated[int, Meta(ge=1, le=10**9)]


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on false alarms, horizons and smallest relevant changes.

    A release keeps the settings that were in force when its first profile or loss arrived: its
    promise cannot be moved while it is being kept.
    """

    alpha_input: Probability = 0.01
    """That any input monitor of a release alarms falsely within the horizon."""
    alpha_loss: Probability = 0.01
    """The same for its audited-loss monitors."""
    reference_error: Probability = 0.1
    """That any mean of a release's reference is further off than its tolerance allows for."""
    horizon_windows: Count = 720
    """Windows each stream sees within the horizon: thirty days of hours."""
    horizon_labels: Count = 500
    """Audited labels each stream gets within the horizon."""
    n_streams: Count = 8
    """Streams the fleet has declared; later ones wait longer, see `budget`."""
    smallest_location: Change = 0.2
    """Of the mean of 2u - 1, u being the rank among the reference: 0.2 is the mean rank 0.6."""
    smallest_spread: Change = 0.1
    """Of the mean of |2u - 1|."""
    smallest_tail: Change = 0.1
    """Of the share of images in a tail, or where the reference has none."""
    smallest_loss: Change = 0.05
    """Of the mean audited loss per image."""
    min_reference_images: Count = 30
    """Below this a stratum has no reference of its own."""
    max_correlation: Change = 0.05
    """Of neighbouring images; clearly above it a monitor counts as calibrated only."""
    measures: list[str] = []
    """Which to monitor; empty means all that the reference knows."""
