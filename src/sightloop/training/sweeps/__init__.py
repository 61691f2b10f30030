"""Sweeps: many trainings that search for the settings which do best.

A sweep is a record, a trial is a run of the tracking room like any other. What has been tried lies
in our own tables; Optuna is handed it anew for each suggestion and remembers nothing.
"""

__all__ = [
    "checking",
    "declaring",
    "errors",
    "halving",
    "importance",
    "measuring",
    "outcomes",
    "places",
    "results",
    "services",
    "space",
    "spec",
    "store",
    "suggesting",
    "tending",
    "trials",
    "values",
    "watching",
    "working",
]
