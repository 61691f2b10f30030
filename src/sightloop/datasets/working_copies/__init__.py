"""Folders on disk that belong to a branch: what changed in them, committing it, switching them.

A working copy is any folder that was imported or checked out. What is known of it stands in the
workspace, never in the folder, and can be lost without losing data: the next import makes it anew.
"""

__all__ = [
    "beginning",
    "checkout",
    "committing",
    "copies",
    "edits",
    "errors",
    "folder_changes",
    "heads",
    "label_files",
    "labels",
    "layout",
    "plans",
    "quick_status",
    "restoring",
    "said_labels",
    "shared_labels",
    "showing",
    "status",
    "switching",
    "turns",
]
