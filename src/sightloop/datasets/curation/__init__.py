"""What to look at before training: look-alikes, leaks between splits, labels that may be wrong.

Nothing here changes a commit by itself. Findings are computed from rows and small grey thumbnails;
a quarantine or a tag is a commit that somebody asks for.
"""

__all__ = [
    "columns",
    "contradictions",
    "duplicates",
    "errors",
    "fingerprints",
    "image_hash",
    "leaks",
    "likeness",
    "marking",
    "near",
    "suspects",
    "suspicions",
]
