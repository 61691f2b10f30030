"""What went into every training and what came out: runs, metric points, artifacts.

Tracking records; it starts nothing and judges nothing. A run's inputs are fixed when it starts,
points are only ever added, and artifacts are names for blobs.
"""

__all__ = [
    "artifacts",
    "batches",
    "curves",
    "errors",
    "experiments",
    "files",
    "filters",
    "labels",
    "points",
    "receiving",
    "services",
    "store",
    "tables",
    "upserts",
    "values",
]
