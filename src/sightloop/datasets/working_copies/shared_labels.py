"""Labels that stand in files of another format: what they say of each image, before and now.

Such files are only understood as a whole, so a change in one of them means reading them all. What
they said of each image is remembered as a hash, so that no image is opened to find out which of
them were labelled otherwise.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.datasets.formats.listing import (
    ClassKey,
    ListedImage,
    ListedObject,
    Listing,
    Source,
    WantedFields,
)
from sightloop.datasets.formats.readers import reader_for
from sightloop.datasets.working_copies.copies import Copy, CopyFacts, Tracked
from sightloop.datasets.working_copies.folder_changes import FolderChanges
from sightloop.kernel.progress import Progress, silent

_LISTED_BYTES = 8


class Relisted(NamedTuple):
    """The label files read again, and what of the folder they make."""

    listing: Listing
    images: dict[str, ListedImage]
    """By path below the copy's folder."""
    hashes: dict[str, bytes]
    changes: FolderChanges
    """New are only images that are listed; gone are also those that no file lists any more."""
    relabelled: list[str]


def relist(copy: Copy, found: FolderChanges, *, progress: Progress = silent) -> Relisted:
    """Read the label files and tell what became of each image.

    Raises:
        SightloopError: a label file as a whole cannot be read.
    """
    facts = copy.facts
    listing = _read(facts, progress)
    images = images_by_path(listing, facts.images)
    hashes = listed_hashes(listing, images)
    known = {path for path, one in copy.files.items() if one.sample}
    here = {path for path in images if path in found.stamps}
    renamed = [(old, new) for old, new in found.renamed if new in here and old not in here]
    olds, news = {old for old, _ in renamed}, {new for _, new in renamed}
    changed = [path for path in found.changed if path in here]
    differing = {path for path in known & here if copy.files[path].listed != hashes[path]}
    changes = found._replace(
        new=sorted(here - known - news),
        changed=changed,
        gone=sorted(known - here - olds - found.blocked.keys()),
        renamed=renamed,
    )
    return Relisted(listing, images, hashes, changes, sorted(differing - set(changed)))


def with_hashes(facts: CopyFacts, files: Mapping[str, Tracked]) -> dict[str, Tracked]:
    """The files of a fresh checkout, with what its label files say of each image."""
    listing = _read(facts, silent)
    hashes = listed_hashes(listing, images_by_path(listing, facts.images))
    return {
        path: msgspec.structs.replace(one, listed=hashes[path]) if path in hashes else one
        for path, one in files.items()
    }


def images_by_path(listing: Listing, prefix: str) -> dict[str, ListedImage]:
    """The listed images by their path below the copy's folder; the first where two share one."""
    found: dict[str, ListedImage] = {}
    for image in listing.images:
        found.setdefault(posixpath.normpath(prefix + image.file_name), image)
    return found


def listed_hashes(listing: Listing, images: Mapping[str, ListedImage]) -> dict[str, bytes]:
    """What the files say of each image, hashed: equal if and only if they say the same."""
    return {
        path: _hash_of(image, listing.objects.get(image.id, ()), listing.classes)
        for path, image in images.items()
    }


def _read(facts: CopyFacts, progress: Progress) -> Listing:
    source = Source(
        Path(facts.folder, facts.source),
        Path(facts.folder, facts.images_option) if facts.images_option else None,
        WantedFields(facts.split_key or None, facts.slice_fields),
        progress,
    )
    return reader_for(source.path, facts.format).read(source)


def _hash_of(
    image: ListedImage,
    objects: Sequence[ListedObject],
    classes: Mapping[ClassKey, object],
) -> bytes:
    said = (
        image.declared,
        image.split_key,
        sorted(image.slices.items()),
        sorted(image.tags),
        image.split,
        None if image.labelled_for is None else sorted(map(str, image.labelled_for)),
        [
            (
                str(classes.get(one.class_key, one.class_key)),
                one.shape,
                one.is_share,
                sorted(one.attributes.items()),
            )
            for one in objects
        ],
    )
    return hashlib.sha256(msgspec.msgpack.encode(said)).digest()[:_LISTED_BYTES]
