"""`data duplicates`: images that are there more than once, or look as if they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec
import numpy as np

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.curation.columns import Numbers
from sightloop.datasets.curation.likeness import Likeness, likeness_of
from sightloop.datasets.errors import BadFilter
from sightloop.datasets.index import SPLITS
from sightloop.datasets.prepared import Pending
from sightloop.datasets.samples import find_samples
from sightloop.datasets.values import Sample, SampleId
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace

LikenessKind = Literal["same", "near"]
KINDS: Sequence[LikenessKind] = get_args(LikenessKind)

MAX_PAGE = 200
MAX_MEMBERS = 60
"""Samples of a cluster that are listed; all are counted."""


class FindDuplicates(msgspec.Struct, frozen=True, kw_only=True):
    """Clusters of samples that look alike, the largest first."""

    ref: str
    kind: str = ""
    """`same`: the very same image under several captures; `near`: joined by likeness too."""
    after: int = 0
    """How many clusters to pass over; a commit never changes, so their order does not either."""
    limit: int = 20
    patience_s: float | None = None
    """How long to wait until the images were looked at; None waits for it."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A sample as far as a list of look-alikes tells of it."""

    sample: SampleId
    file_name: str
    image: Digest
    width_px: int
    height_px: int
    split: str
    """One of `index.SPLITS`."""
    split_key: str


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of which each looks like at least one other."""

    kind: LikenessKind
    """`same` when all show one image."""
    n_samples: int
    splits: dict[str, int]
    max_bits: int
    """Of the pairs that join it, the largest distance of the coarse hashes, 0 to 64 bits."""
    members: list[Member]
    """The first `MAX_MEMBERS`, in order of their ids."""


class Duplicates(msgspec.Struct, frozen=True, kw_only=True):
    """What looks alike in a commit; `pending` while its images are being looked at."""

    commit: Digest
    pending: Pending | None = None
    n_clusters: int = 0
    n_samples: int = 0
    """In all clusters together; `n_samples - n_clusters` could go without losing a scene."""
    clusters: list[Cluster] = []
    next_after: int | None = None
    is_complete: bool = True
    """False when so much is alike that the search was cut off."""
    n_unreadable: int = 0
    """Images that are missing, damaged or do not decode: they were not looked at."""
    n_without_look: int = 0
    """Samples of a single shade, or with a speck on it: only the same bytes count as alike."""


def find_duplicates(workspace: Workspace, call: Call, request: FindDuplicates) -> Duplicates:
    """Samples that show the same image or look alike, in clusters.

    The first time, every image is decoded at reduced size; the result is kept.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        BadFilter: there is no such kind.
    """
    require(call.actor, Permission.READ)
    if request.kind not in ("", *KINDS):
        raise BadFilter(what="kind of likeness", value=request.kind, known=KINDS)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.ref)
    found = likeness_of(workspace, commit, patience_s=request.patience_s, progress=call.progress)
    if isinstance(found, Pending):
        return Duplicates(commit=commit, pending=found)
    only = found.alike.is_same if request.kind == "same" else None
    clusters = found.clusters(only=only)
    if request.kind == "near":
        codes = found.columns.image_codes
        clusters = [rows for rows in clusters if len(set(codes[rows].tolist())) > 1]
    start, limit = max(request.after, 0), min(max(request.limit, 1), MAX_PAGE)
    shown = clusters[start : start + limit]
    return Duplicates(
        commit=commit,
        n_clusters=len(clusters),
        n_samples=sum(len(rows) for rows in clusters),
        clusters=_told(workspace, commit, found, shown),
        next_after=start + limit if len(clusters) > start + limit else None,
        is_complete=found.is_complete,
        n_unreadable=len(found.unreadable),
        n_without_look=found.n_without_look,
    )


def member_of(sample: Sample, split: int) -> Member:
    """What lists tell of the sample; `split` is its position in `index.SPLITS`."""
    return Member(
        sample=sample.id,
        file_name=sample.file_name,
        image=sample.image,
        width_px=sample.width_px,
        height_px=sample.height_px,
        split=SPLITS[split],
        split_key=sample.split_key,
    )


def members_of(
    workspace: Workspace, commit: Digest, found: Likeness, rows: Sequence[int]
) -> dict[int, Member]:
    """The members in these rows."""
    ids = dict(zip(rows, found.columns.ids_of(rows), strict=True))
    samples = find_samples(workspace, commit, list(ids.values()))
    return {row: member_of(samples[one], found.columns.splits[row]) for row, one in ids.items()}


def _told(
    workspace: Workspace, commit: Digest, found: Likeness, clusters: Sequence[Numbers]
) -> list[Cluster]:
    listed = [rows[:MAX_MEMBERS].tolist() for rows in clusters]
    members = members_of(workspace, commit, found, sorted({row for rows in listed for row in rows}))
    return [
        _cluster(found, rows, [members[row] for row in some])
        for rows, some in zip(clusters, listed, strict=True)
    ]


def _cluster(found: Likeness, rows: Numbers, members: list[Member]) -> Cluster:
    columns, alike = found.columns, found.alike
    inside = np.isin(alike.first, rows)
    return Cluster(
        kind="same" if len(set(columns.image_codes[rows].tolist())) == 1 else "near",
        n_samples=len(rows),
        splits=_split_counts(columns.splits[rows]),
        max_bits=int(alike.bits[inside].max()),
        members=members,
    )


def _split_counts(splits: Numbers) -> dict[str, int]:
    counts = np.bincount(splits, minlength=len(SPLITS))
    return {name: int(n) for name, n in zip(SPLITS, counts, strict=True) if n}
