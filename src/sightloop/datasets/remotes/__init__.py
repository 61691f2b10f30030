"""Other places for a data set: a folder or a bucket that commits are pushed to and pulled from.

Images travel in packs, labels in compressed blocks, both named by their content; a branch moves
last and by compare-and-swap. A remote is never trusted: what comes is hashed before it is kept.
No credentials are stored or shown here; they come from the environment of the process.
"""

__all__ = [
    "backend",
    "blocks",
    "connecting",
    "erasures",
    "fetching",
    "folder",
    "hex_runs",
    "histories",
    "key_columns",
    "known_packs",
    "layout",
    "naming",
    "object_store",
    "packs",
    "placing",
    "promises",
    "pulling",
    "pushing",
    "receiving",
    "repairing",
    "rewriting",
    "sending",
    "sources",
    "store",
    "windows",
]
