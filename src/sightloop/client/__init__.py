"""Tracking from inside somebody's own program: `sightloop.run`.

A run never waits for a disk or a server on the caller's thread: what is logged goes to a queue, a
thread writes the queue to the run's spool, and another forwards the spool. Whatever goes wrong is
counted and told once, at the end; nothing is raised into a training loop. The client knows the
contracts and the light half of the kernel only, and never imports the database.
"""

__all__ = [
    "background",
    "children",
    "errors",
    "forwarder",
    "lifetimes",
    "links",
    "pictures",
    "places",
    "queueing",
    "runs",
    "server_link",
    "spool",
    "starting",
    "surroundings",
    "syncing",
    "system_metrics",
    "troubles",
]
