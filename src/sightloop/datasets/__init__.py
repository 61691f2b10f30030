"""The store of truth: which images there are, what is on them, and every version of that.

Samples and annotations are rows with identity, a commit is the root of a tree over them, branches
are pointers that move by compare-and-swap. Pixels are named here, never decoded for their own
sake, never rewritten; models, runs and devices are unknown to this room.
"""

__all__ = [
    "boxes",
    "branches",
    "browsing",
    "changes",
    "commits",
    "comparing",
    "curation",
    "diff",
    "drafts",
    "errors",
    "exif",
    "exporting",
    "folder_scan",
    "folders",
    "formats",
    "geometry",
    "identities",
    "image_files",
    "importing",
    "index",
    "indexes",
    "keys",
    "links",
    "masks",
    "media",
    "prepared",
    "problems",
    "records",
    "samples",
    "splits",
    "statistics",
    "store",
    "taxonomy",
    "tombstones",
    "tree",
    "truths",
    "upkeep",
    "values",
    "views",
    "working_copies",
]
