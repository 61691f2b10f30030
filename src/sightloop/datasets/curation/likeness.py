"""Which samples of a commit look alike: worked out once per commit, the latest kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightloop.datasets.curation.columns import Columns, Numbers, columns_from
from sightloop.datasets.curation.fingerprints import fingerprints_for
from sightloop.datasets.curation.image_hash import (
    MAX_COARSE,
    Fingerprints,
    correlation,
    look_alike,
)
from sightloop.datasets.curation.near import (
    AT_ONCE,
    Pairs,
    cluster_labels,
    joined,
    near_pairs,
    spread,
)
from sightloop.datasets.prepared import Pending, Prepared
from sightloop.datasets.samples import iterate_samples, load_commit
from sightloop.datasets.values import Sample
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace

N_IN_MEMORY = 3
MAX_PAIRS = 2_000_000
"""Pairs that are kept. More than that are a film, not a collection of photographs."""

MAX_CANDIDATES = 20_000_000
"""Pairs with near hashes that are compared: some 10 s of processor time."""

_TELL_EVERY = 1_000


class Alike(NamedTuple):
    """Pairs of rows that look alike, the smaller first, as columns."""

    first: Numbers
    second: Numbers
    is_same: Numbers
    """bool: the very same image under two captures."""
    bits: Numbers
    """In how many of 64 bits the coarse hashes differ."""
    correlation: Numbers
    """Normalised correlation of the two small grey copies; 0 for pictures of one shade."""


@dataclass(frozen=True)
class Likeness:
    """What looks alike in one commit."""

    columns: Columns
    alike: Alike
    is_complete: bool
    """False when there are more than `MAX_PAIRS` pairs: the rest was not looked for."""
    unreadable: list[Digest]
    """Images that could not be looked at."""
    n_without_look: int
    """Samples of one shade, or with a speck on it: only their own bytes are like them."""

    def clusters(self, *, only: Numbers | None = None) -> list[Numbers]:
        """Rows joined by pairs (those that the mask picks), the largest cluster first."""
        first, second = self.alike.first, self.alike.second
        if only is not None:
            first, second = first[only], second[only]
        rows = np.unique(np.concatenate([first, second]))
        places = (np.searchsorted(rows, one) for one in (first, second))
        labels = cluster_labels(len(rows), *places)
        order = np.argsort(labels, kind="stable")
        cuts = np.flatnonzero(np.diff(labels[order])) + 1
        parts = np.split(rows[order], cuts) if len(rows) else []
        return sorted(parts, key=lambda part: (-len(part), int(part[0])))


def columns_of(
    workspace: Workspace,
    commit: Digest,
    *,
    patience_s: float | None = None,
    progress: Progress = silent,
) -> Columns | Pending:
    """The commit's columns, or how far they are when patience runs out; None waits for them."""
    return _COLUMNS.get(
        (workspace.state, commit),
        lambda note: _columns(workspace, commit, note),
        patience_s=patience_s,
        progress=progress,
    )


def likeness_of(
    workspace: Workspace,
    commit: Digest,
    *,
    patience_s: float | None = None,
    progress: Progress = silent,
) -> Likeness | Pending:
    """What looks alike in the commit, or how far that is when patience runs out.

    Raises:
        ObjectMissing: there is no such commit here.
    """
    return _LIKENESSES.get(
        (workspace.state, commit),
        lambda note: _likeness(workspace, commit, note),
        patience_s=patience_s,
        progress=progress,
    )


_COLUMNS: Prepared[tuple[Path, Digest], Columns] = Prepared(keep=N_IN_MEMORY)
_LIKENESSES: Prepared[tuple[Path, Digest], Likeness] = Prepared(keep=N_IN_MEMORY)


def _columns(workspace: Workspace, commit: Digest, progress: Progress) -> Columns:
    with workspace.db.read() as tx:
        record = load_commit(tx, commit)
        samples = _told(iterate_samples(tx, commit), record.n_samples, progress)
        return columns_from(samples, record.split_rule)


def _told(samples: Iterator[Sample], total: int, progress: Progress) -> Iterator[Sample]:
    for done, sample in enumerate(samples):
        if done % _TELL_EVERY == 0:
            progress("reading samples", done, total)
        yield sample


def _likeness(workspace: Workspace, commit: Digest, progress: Progress) -> Likeness:
    columns = columns_of(workspace, commit, progress=progress)
    assert isinstance(columns, Columns), "without patience there is nothing but the end"
    found = fingerprints_for(workspace, columns.image_keys(), progress)
    progress("comparing images", 0, 0)
    same = _up_to(MAX_PAIRS, _same(columns))
    close = _up_to(MAX_PAIRS - len(same.pairs.first), _close(found.prints, columns))
    pairs = joined([same.pairs, close.pairs])
    return Likeness(
        columns=columns,
        alike=Alike(
            first=pairs.first,
            second=pairs.second,
            is_same=np.arange(len(pairs.first)) < len(same.pairs.first),
            bits=pairs.bits,
            correlation=_correlation(found.prints, pairs),
        ),
        is_complete=same.is_all and close.is_all,
        unreadable=found.unreadable,
        n_without_look=int(np.count_nonzero(~found.prints.has_look)) - found.n_unreadable,
    )


class _TooAlike(Exception):
    """There are so many candidates that looking at all of them would take hours."""


class _Some(NamedTuple):
    pairs: Pairs
    is_all: bool


def _up_to(limit: int, pieces: Iterator[Pairs]) -> _Some:
    kept: list[Pairs] = []
    n_kept = 0
    try:
        for piece in pieces:
            kept.append(Pairs(*(column[: limit - n_kept] for column in piece)))
            n_kept += len(kept[-1].first)
            if len(kept[-1].first) < len(piece.first):
                return _Some(joined(kept), is_all=False)
    except _TooAlike:
        return _Some(joined(kept), is_all=False)
    return _Some(joined(kept), is_all=True)


def _same(columns: Columns) -> Iterator[Pairs]:
    """Pairs of samples that show the very same image."""
    order = np.argsort(columns.image_codes, kind="stable")
    counts = np.bincount(columns.image_codes)
    ends = np.repeat(np.cumsum(counts), counts)
    places = np.arange(columns.n)
    for one, other in spread(places, places + 1, ends - places - 1):
        yield Pairs(order[one], order[other], np.zeros(len(one), np.uint8))


def _close(prints: Fingerprints, columns: Columns) -> Iterator[Pairs]:
    """Pairs of samples whose images differ and look alike.

    Raises:
        _TooAlike: the search was given up.
    """
    rows = np.flatnonzero(prints.has_look)
    images = columns.image_codes
    n_candidates = 0
    for some in near_pairs(prints.coarse[rows], within=MAX_COARSE):
        n_candidates += len(some.first)
        if n_candidates > MAX_CANDIDATES:
            raise _TooAlike
        first, second = rows[some.first], rows[some.second]
        alike = look_alike(prints, first, second) & (images[first] != images[second])
        yield Pairs(first[alike], second[alike], some.bits[alike])


def _correlation(prints: Fingerprints, pairs: Pairs) -> Numbers:
    found = np.zeros(len(pairs.first), np.float32)
    for start in range(0, len(found), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        found[some] = correlation(prints.small[pairs.first[some]], prints.small[pairs.second[some]])
    return found
