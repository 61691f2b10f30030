"""Doubles and contracts for tests, ours and those of whoever writes a backend or an engine.

Nothing outside tests imports this room.
"""

__all__ = [
    "blob_commits",
    "blob_training",
    "clock",
    "faults",
    "made_answers",
    "models",
    "tiny_engine",
    "workspaces",
]
