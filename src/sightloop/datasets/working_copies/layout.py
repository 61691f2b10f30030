"""Which file of a working copy is what: images, their label files, and everything else. Pure."""

from __future__ import annotations

from sightloop.datasets.folder_scan import is_image_name
from sightloop.datasets.working_copies.copies import IMAGES_ONLY, NATIVE, CopyFacts

IMAGES = "images/"
LABELS = "labels/"
_LABEL_ENDING = ".json"


def is_image(facts: CopyFacts, path: str) -> bool:
    """Whether the file at that path would be an image of the data set."""
    return path.startswith(facts.images) and is_image_name(path)


def is_label_file(facts: CopyFacts, path: str) -> bool:
    """Whether the file says what is on images.

    Readers of other formats know best which files they want, so with them every file that is no
    image counts: at worst the labels are read once more than needed.
    """
    if facts.format == NATIVE:
        return path.startswith(LABELS) and path.endswith(_LABEL_ENDING)
    return facts.format != IMAGES_ONLY and not is_image_name(path)


def has_own_labels(facts: CopyFacts) -> bool:
    """Whether each image's labels stand in a file of their own, with the ids of annotations."""
    return facts.format == NATIVE


def has_shared_labels(facts: CopyFacts) -> bool:
    """Whether labels stand in files of another format, which are only understood as a whole."""
    return facts.format not in (NATIVE, IMAGES_ONLY)


def label_path_of(image_path: str) -> str:
    """Where a checkout puts the labels of the image at that path.

    >>> label_path_of("images/a/1.jpg")
    'labels/a/1.jpg.json'
    """
    return LABELS + image_path.removeprefix(IMAGES) + _LABEL_ENDING


def image_path_of(label_path: str) -> str:
    """The image that a label file is about.

    >>> image_path_of("labels/a/1.jpg.json")
    'images/a/1.jpg'
    """
    return IMAGES + label_path.removeprefix(LABELS).removesuffix(_LABEL_ENDING)
