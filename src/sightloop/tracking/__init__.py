"""What went into every training and what came out: runs, metric points, artifacts.

Tracking records; it starts nothing and judges nothing. A run's inputs are fixed when it starts,
points are only ever added, and artifacts are names for blobs.
"""

__all__ = [
    "artifacts",
    "bands",
    "batches",
    "browsing",
    "curves",
    "errors",
    "experiments",
    "exporting",
    "files",
    "filters",
    "importing",
    "labels",
    "logged_models",
    "model_search",
    "modelling",
    "origins",
    "points",
    "receiving",
    "relabelling",
    "run_columns",
    "services",
    "store",
    "tables",
    "tensorboard",
    "upserts",
    "values",
]
