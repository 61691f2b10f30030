"""What a bundle really finds in a commit's images, and whether it may replace another.

The exported file is measured, on the runtime that will serve it: answers per image, average
precision, strata, the paired bootstrap of two models, agreement with the checkpoint, latency, and
the gate's verdict over all of these. The room never trains, never changes a data set and never
moves an alias; an evaluation, once recorded, is never changed.
"""

__all__ = [
    "answers",
    "average_precision",
    "bootstrap",
    "build_gate",
    "errors",
    "gate",
    "latency",
    "matching",
    "parity",
    "services",
    "store",
    "summaries",
    "values",
]
