"""Remembering a folder that is imported as a working copy.

Its files are looked at before the importer reads them: whatever is written to one of them
meanwhile gives it another stamp than the one that is remembered, and so is seen by the next
status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.datasets.folder_scan import Stamp, scan_folder
from sightloop.datasets.formats.listing import Listing
from sightloop.datasets.image_files import KeptImage
from sightloop.datasets.keys import object_key, sample_key
from sightloop.datasets.problems import Problem
from sightloop.datasets.values import sample_id
from sightloop.datasets.working_copies.copies import (
    Copy,
    CopyFacts,
    Tracked,
    end_switching,
    now_ns,
    one_at_a_time,
    tracked,
    write_copy,
)
from sightloop.datasets.working_copies.folder_changes import hash_files
from sightloop.datasets.working_copies.layout import has_shared_labels, is_label_file
from sightloop.datasets.working_copies.shared_labels import images_by_path, listed_hashes
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace


class Beginning(NamedTuple):
    """A folder before it is imported."""

    facts: CopyFacts
    stamps: Mapping[str, Stamp]
    label_digests: Mapping[str, bytes]
    looked_ns: int


def look_before(facts: CopyFacts) -> Beginning:
    """Look at the folder; nothing is remembered yet."""
    looked_ns = now_ns()
    stamps = scan_folder(facts.folder).files
    labels = [path for path in stamps if is_label_file(facts, path)]
    return Beginning(facts, stamps, hash_files(facts.folder, labels), looked_ns)


def remember(
    workspace: Workspace,
    beginning: Beginning,
    listing: Listing,
    kept: Iterable[KeptImage | Problem],
    *,
    commit: Digest,
) -> None:
    """The folder is a working copy of that commit from now on.

    Images that lie elsewhere cannot be told apart from other people's files: then it is none.
    """
    root = Path(beginning.facts.folder)
    try:
        prefix = listing.folder.resolve().relative_to(root).as_posix()
    except ValueError:
        return
    prefix = "" if prefix == "." else f"{prefix}/"
    facts = msgspec.structs.replace(beginning.facts, images=prefix, base=commit)
    files = {
        path: tracked(beginning.stamps[path], digest, looked_ns=beginning.looked_ns)
        for path, digest in beginning.label_digests.items()
    }
    files |= _images(beginning, facts, listing, kept)
    with one_at_a_time(workspace.state, facts.folder):
        write_copy(workspace.state, Copy(facts, files))
        end_switching(workspace.state, facts.folder)


def _images(
    beginning: Beginning,
    facts: CopyFacts,
    listing: Listing,
    kept: Iterable[KeptImage | Problem],
) -> dict[str, Tracked]:
    listed: Mapping[str, bytes] = {}
    if has_shared_labels(facts):
        listed = listed_hashes(listing, images_by_path(listing, facts.images))
    files: dict[str, Tracked] = {}
    for one in kept:
        if isinstance(one, Problem):
            continue
        path = facts.images + one.image.file_name
        if (stamp := beginning.stamps.get(path)) is not None:
            files[path] = tracked(
                stamp,
                object_key(one.digest),
                looked_ns=beginning.looked_ns,
                sample=sample_key(sample_id(one.digest, None)),
                listed=listed.get(path, b""),
            )
    return files
