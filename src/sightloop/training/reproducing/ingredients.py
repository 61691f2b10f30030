"""The dataset commit of a run, brought together again: from the store, or from a data remote."""

from __future__ import annotations

from typing import NamedTuple

from sightloop.datasets import tree
from sightloop.datasets.errors import ObjectMissing
from sightloop.datasets.remotes.fetching import Fetch, fetch
from sightloop.datasets.remotes.receiving import fetch_blobs
from sightloop.datasets.remotes.store import promising_remote
from sightloop.datasets.samples import iterate_samples, load_commit
from sightloop.datasets.splits import split_of
from sightloop.datasets.store import StoredNodes
from sightloop.datasets.tombstones import find_tombstones
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.training.reproducing.errors import ImagesMissing, RecordGone


class Ingredients(NamedTuple):
    """What there is to learn from."""

    n_images: int
    size_bytes: int
    n_fetched: int
    """Images that came from a remote just now."""
    remote: str
    erased_at_ms: list[int]
    """When each sample of the commit that is no more was erased."""


def gather(workspace: Workspace, call: Call, commit: Digest, *, remote: str) -> Ingredients:
    """Have every image of the commit here that a training looks at and that was not erased.

    Args:
        workspace: where they belong.
        call: who asks; fetching a commit takes the right to write data.
        commit: of the run.
        remote: where to look first for what is missing; "" leaves it to what a remote promised.

    Raises:
        RecordGone: the commit itself is neither here nor there.
        ImagesMissing: images are not here, and no remote is known to have them.
        NoSuchRemote, RemoteUnavailable, RemoteDenied, RemoteDamaged: as `sightloop data pull`.
        DiskFull: no room.
    """
    _require_commit(workspace, call, commit, remote=remote)
    images = _images_of(workspace, commit)
    missing = [one for one in images if not workspace.blobs.has(one)]
    source = _source_of(workspace, missing, remote) if missing else ""
    if missing and source:
        fetch_blobs(workspace, source, missing, progress=call.progress)
    left = [one for one in missing if not workspace.blobs.has(one)]
    if left:
        raise ImagesMissing(dataset_commit=commit, n_missing=len(left), example=left[0])
    return Ingredients(
        n_images=len(images),
        size_bytes=sum(workspace.blobs.size_bytes(one) for one in images),
        n_fetched=len(missing),
        remote=source,
        erased_at_ms=_erasures(workspace, commit),
    )


def _require_commit(workspace: Workspace, call: Call, commit: Digest, *, remote: str) -> None:
    if _has_commit(workspace, commit):
        return
    if remote:
        fetch(workspace, call, Fetch(remote=remote))
    if not _has_commit(workspace, commit):
        raise RecordGone(what="dataset commit", name=commit, of="the run")


def _has_commit(workspace: Workspace, commit: Digest) -> bool:
    try:
        with workspace.db.read() as tx:
            load_commit(tx, commit)
    except ObjectMissing:
        return False
    return True


def _images_of(workspace: Workspace, commit: Digest) -> list[Digest]:
    """Images of the train and val splits, each once."""
    with workspace.db.read() as tx:
        rule = load_commit(tx, commit).split_rule
        images = {
            sample.image: None
            for sample in iterate_samples(tx, commit)
            if split_of(sample, rule) in ("train", "val")
        }
    return [*images]


def _source_of(workspace: Workspace, missing: list[Digest], remote: str) -> str:
    if remote:
        return remote
    with workspace.db.read() as tx:
        return next((name for one in missing if (name := promising_remote(tx, one))), "")


def _erasures(workspace: Workspace, commit: Digest) -> list[int]:
    with workspace.db.read() as tx:
        root = load_commit(tx, commit).root
        rows = [row for _, row in tree.entries(StoredNodes(tx), root)]
        return [one.erased_at_ms for one in find_tombstones(tx, rows).values()]
