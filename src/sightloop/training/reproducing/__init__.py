"""Training again from a run's record alone, and why a second result is not the first.

Nothing here writes into the run that is repeated: the job lives in a scratch folder and is gone
when its result has been compared. Which results count as the same is decided by whoever knows the
model: the registry.
"""

__all__ = [
    "differences",
    "environments",
    "errors",
    "facts",
    "ingredients",
    "originals",
    "planning",
    "rebuilding",
    "recipes",
    "requirements",
    "working_trees",
]
