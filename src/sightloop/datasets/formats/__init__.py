"""Other people's files: what each format says, read into one listing, and written from a commit.

Readers return what files say and name what they cannot read, by file and line or index; nothing
here opens an image, runs anything that a file asks for, or leaves the folder it was given.
"""

__all__ = [
    "brushes",
    "coco",
    "coco_writing",
    "cvat",
    "cvat_labels",
    "cvat_writing",
    "dvc",
    "dvc_files",
    "dvc_writing",
    "file_names",
    "gathering",
    "images_only",
    "images_only_writing",
    "label_studio",
    "label_studio_images",
    "label_studio_labels",
    "label_studio_regions",
    "label_studio_writing",
    "labelled",
    "left_behind",
    "listing",
    "losses",
    "outlines",
    "placing",
    "plain_texts",
    "readers",
    "safe_names",
    "text_parts",
    "turned_boxes",
    "voc",
    "voc_writing",
    "writers",
    "xml_reading",
    "xml_writing",
]
