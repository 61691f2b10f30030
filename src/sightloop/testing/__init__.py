"""Doubles and contracts for tests, ours and those of whoever writes a backend or an engine.

Nothing outside tests imports this room.
"""

__all__ = [
    "agents",
    "blob_commits",
    "blob_training",
    "bundles",
    "clock",
    "control_plane",
    "faults",
    "made_answers",
    "models",
    "plant",
    "tiny_engine",
    "update_repository",
    "workspaces",
]
