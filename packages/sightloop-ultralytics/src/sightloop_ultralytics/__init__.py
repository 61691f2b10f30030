"""The YOLO26 engine of Sightloop: drives Ultralytics in a process of its own.

It is started as `python -m sightloop_ultralytics job.json`, speaks the job protocol, and is never
imported by Sightloop. It writes below the job's output folder only, talks to no network unless a
published checkpoint was asked for by name, and shares nothing with the user's own Ultralytics.

`autolog` is the exception: a script that calls `sightloop.autolog` has its own trainings tracked.
"""

__all__ = [
    "autolog",
    "cancelling",
    "dataset_tree",
    "errors",
    "exporting",
    "parameters",
    "parity",
    "reporting",
    "seclusion",
    "training",
    "weights",
]
