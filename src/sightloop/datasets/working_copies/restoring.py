"""What `checkout --force` writes besides the difference of two commits: local changes, undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sightloop.datasets.keys import ObjectKey, SampleKey, digest_of_key, object_key, sample_of_key
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import load_samples
from sightloop.datasets.store import StoredNodes
from sightloop.datasets.values import Sample, SampleId
from sightloop.datasets.working_copies.copies import Copy
from sightloop.datasets.working_copies.folder_changes import FolderChanges, changes_in
from sightloop.datasets.working_copies.labels import labels_of
from sightloop.datasets.working_copies.layout import (
    has_own_labels,
    image_path_of,
    is_label_file,
    label_path_of,
)
from sightloop.datasets.working_copies.plans import Plan, Wish
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import digest_of


class GivenUp(NamedTuple):
    """Local changes that nobody wants any more. Paths are below the folder."""

    lost: set[str]
    """Tracked files that are not as they are remembered."""
    images: set[str]
    """Tracked images whose label file is not as it was, or is one that was not there."""
    others: set[str]
    """Files that are there under the new name of a renamed image: it and its labels."""


NOTHING = GivenUp(set(), set(), set())


def given_up(copy: Copy) -> GivenUp:
    """Every local change of what the copy tracks; files that it does not track are none."""
    found = changes_in(copy)
    files = copy.files
    olds, news = ({pair[at] for pair in found.renamed} for at in (0, 1))
    lost = {*found.changed, *found.gone, *olds, *found.blocked}
    lost |= {path for path in found.labels if path in files}
    images: set[str] = set()
    others = set(news)
    if has_own_labels(copy.facts):
        paths = (
            path for path in (*found.labels, *found.blocked) if is_label_file(copy.facts, path)
        )
        images = {one for one in map(image_path_of, paths) if one in files}
        others |= _labels_of(news, found)
    return GivenUp(lost, images, others - files.keys())


def with_restored(tx: Tx, copy: Copy, record: CommitRecord, plan: Plan, changes: GivenUp) -> Plan:
    """The plan, and every file as the commit has it that was changed and is not planned yet."""
    writes = dict(plan.writes)
    removals = set(plan.removals)
    for path in sorted(changes.lost - removals - writes.keys()):
        known = copy.files[path]
        if known.sample:
            blob = digest_of_key(ObjectKey(known.digest))
            writes[path] = Wish(known.digest, blob, b"", known.sample)
    names = {one.id: one.name for one in record.taxonomy.classes}
    images = changes.images - removals
    found = _samples(tx, copy, record, images)
    for image in sorted(images):
        path = label_path_of(image)
        sample = found.get(SampleId(copy.files[image].sample.hex()))
        if path in writes or path in removals or sample is None:
            continue
        content = labels_of(sample, names)
        if content is None:
            removals.add(path)
        else:
            writes[path] = Wish(object_key(digest_of(content)), None, content, b"")
    removals |= (changes.others | changes.lost) - writes.keys()
    return Plan(writes, sorted(removals), plan.n_samples)


def whole_restored(wishes: Mapping[str, Wish], plan: Plan, changes: GivenUp) -> Plan:
    """As `with_restored`, where every file of the folder is known already."""
    writes = plan.writes | {path: wishes[path] for path in changes.lost if path in wishes}
    removals = {*plan.removals, *changes.others, *changes.lost} - writes.keys()
    return Plan(writes, sorted(removals), plan.n_samples)


def _samples(tx: Tx, copy: Copy, record: CommitRecord, images: set[str]) -> dict[SampleId, Sample]:
    ids = {sample_of_key(SampleKey(copy.files[path].sample)) for path in images}
    return load_samples(tx, StoredNodes(tx), record.root, ids)


def _labels_of(images: set[str], found: FolderChanges) -> set[str]:
    return {path for path in map(label_path_of, images) if path in found.stamps}
