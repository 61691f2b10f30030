"""Sightloop keeps vision models right after they ship.

Importing the package loads nothing; the rooms of the house are its sub-packages, in the order of
`docs/architecture.md`.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
