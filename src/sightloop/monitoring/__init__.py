"""Whether production still looks like the reference: sequential tests, and incidents when not.

The room reads profiles and audited losses from `telemetry`, carries one test per stream and
measure, and opens an incident with frozen evidence when a test alarms. It never asks a device for
anything, never labels and never decides what follows from an incident: that is `loop`.
"""

__all__ = [
    "advance",
    "batch",
    "budget",
    "delay",
    "dependence",
    "detector",
    "errors",
    "evidence",
    "freezing",
    "incidents",
    "listing",
    "monitors",
    "pages",
    "references",
    "releases",
    "roster",
    "scores",
    "settings",
    "store",
    "words",
]
