"""Doubles and contracts for tests, ours and those of whoever writes a backend or an engine.

Nothing outside tests imports this room.
"""

__all__ = ["clock", "faults", "workspaces"]
