"""Other people's files: what each format says, read into one listing, and written from a commit.

Readers return what files say and name what they cannot read, by file and line or index; nothing
here opens an image, runs anything that a file asks for, or leaves the folder it was given.
"""

__all__ = [
    "coco",
    "coco_writing",
    "file_names",
    "images_only",
    "labelled",
    "left_behind",
    "listing",
    "placing",
    "readers",
    "writers",
]
