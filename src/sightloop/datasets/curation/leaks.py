"""`data leaks`: held-out images that resemble images a model learns from.

A number measured on such an image says how well the model remembers, not how well it sees. A leak
is ended by quarantining the **held-out** side (`marking.quarantine_samples`): what teaches stays,
and what measures resembles nothing that teaches any more. That is the rule by which an audit image
whose split key is in training enters as quarantined, applied to looks instead of keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.curation.columns import QUARANTINED, Columns, Numbers
from sightloop.datasets.curation.duplicates import MAX_PAGE, Member, members_of
from sightloop.datasets.curation.errors import BadSplitName
from sightloop.datasets.curation.likeness import Likeness, likeness_of
from sightloop.datasets.index import SPLITS
from sightloop.datasets.prepared import Pending
from sightloop.datasets.samples import find_samples
from sightloop.datasets.values import SampleId
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace

TRAIN = SPLITS.index("train")
HELD_OUT: Sequence[str] = ("val", "test", "audit")

MAX_ALIKE = 12
"""Training images listed per leak, the most alike first; all are counted."""

N_KEYS = 50
"""Pairs of split keys listed, those with most look-alikes first."""

N_PAIRS_WITH_KEYS = 2_000
"""Pairs whose split keys are compared, the closest ones: reading the samples takes 50 ms."""


class FindLeaks(msgspec.Struct, frozen=True, kw_only=True):
    """Held-out samples that resemble training samples, the most alike first."""

    ref: str
    splits: Sequence[str] = HELD_OUT
    """Which held-out splits."""
    after: int = 0
    """How many leaks to pass over."""
    limit: int = 20
    patience_s: float | None = None
    """How long to wait until the images were looked at; None waits for it."""


class LookAlike(msgspec.Struct, frozen=True, kw_only=True):
    """A training sample and how much it resembles the held-out one."""

    member: Member
    is_same: bool
    """The very same image."""
    bits: int
    """In how many of 64 bits the hashes differ."""
    correlation: float


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """A held-out sample and what it resembles."""

    held_out: Member
    is_accepted: bool
    """A person said that it stays where it is; `--quarantine` leaves it alone."""
    n_alike: int
    alike: list[LookAlike]


class SplitPair(msgspec.Struct, frozen=True, kw_only=True):
    """How many pairs of look-alikes stand on two different sides."""

    first: str
    second: str
    n_same: int
    n_near: int


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two split keys that look as if they should be one: their images stand on both sides."""

    train_key: str
    held_out_key: str
    n_held_out: int


class Leaks(msgspec.Struct, frozen=True, kw_only=True):
    """What leaks in a commit; `pending` while its images are being looked at."""

    commit: Digest
    pending: Pending | None = None
    n_leaks: int = 0
    n_accepted: int = 0
    by_split: dict[str, int] = {}
    """Leaking samples per held-out split."""
    split_pairs: list[SplitPair] = []
    """Pairs of look-alikes between any two splits; only those with train are leaks."""
    keys: list[KeyPair] = []
    """Among the `N_PAIRS_WITH_KEYS` closest pairs."""
    leaks: list[Leak] = []
    next_after: int | None = None
    is_complete: bool = True
    """False when so much is alike that the search was cut off: there may be more leaks."""
    n_unreadable: int = 0
    n_without_look: int = 0


def find_leaks(workspace: Workspace, call: Call, request: FindLeaks) -> Leaks:
    """Held-out samples with a look-alike in training, with both.

    Quarantined samples stand in no split, so they leak nothing.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        BadSplitName: one of the splits measures nothing.
    """
    require(call.actor, Permission.READ)
    check_splits(request.splits)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.ref)
    found = likeness_of(workspace, commit, patience_s=request.patience_s, progress=call.progress)
    if isinstance(found, Pending):
        return Leaks(commit=commit, pending=found)
    leaking = leaking_pairs(found, request.splits)
    rows = leaking.rows
    start, limit = max(request.after, 0), min(max(request.limit, 1), MAX_PAGE)
    columns = found.columns
    return Leaks(
        commit=commit,
        n_leaks=len(rows),
        n_accepted=int(columns.accepted[rows].sum()),
        by_split=dict(Counter(SPLITS[split] for split in columns.splits[rows])),
        split_pairs=_split_pairs(found),
        keys=_key_pairs(workspace, commit, columns, leaking),
        leaks=_told(workspace, commit, found, leaking, rows[start : start + limit].tolist()),
        next_after=start + limit if len(rows) > start + limit else None,
        is_complete=found.is_complete,
        n_unreadable=len(found.unreadable),
        n_without_look=found.n_without_look,
    )


class LeakingPairs(NamedTuple):
    """Pairs of look-alikes across the line between training and measuring, the closest first."""

    train: Numbers
    held_out: Numbers
    places: Numbers
    """Where the pair stands in `Likeness.alike`."""

    @property
    def rows(self) -> Numbers:
        """The held-out rows, each once, the closest first."""
        rows, first = np.unique(self.held_out, return_index=True)
        return rows[np.argsort(first)]


def check_splits(splits: Sequence[str]) -> None:
    """Return when each of them measures a model.

    Raises:
        BadSplitName: one does not.
    """
    for split in splits:
        if split not in HELD_OUT:
            raise BadSplitName(name=split, known=list(HELD_OUT))


def leaking_pairs(found: Likeness, splits: Sequence[str] = HELD_OUT) -> LeakingPairs:
    """The pairs with one side in train and the other in one of the held-out splits."""
    alike, side = found.alike, found.columns.splits
    codes = [SPLITS.index(split) for split in splits]
    first_teaches = (side[alike.first] == TRAIN) & np.isin(side[alike.second], codes)
    second_teaches = (side[alike.second] == TRAIN) & np.isin(side[alike.first], codes)
    places = np.flatnonzero(first_teaches | second_teaches)
    order = np.lexsort((-alike.correlation[places], alike.bits[places], ~alike.is_same[places]))
    places = places[order]
    swap = second_teaches[places]
    first, second = alike.first[places], alike.second[places]
    return LeakingPairs(np.where(swap, second, first), np.where(swap, first, second), places)


def _told(
    workspace: Workspace,
    commit: Digest,
    found: Likeness,
    leaking: LeakingPairs,
    rows: Sequence[int],
) -> list[Leak]:
    places = {row: np.flatnonzero(leaking.held_out == row) for row in rows}
    listed = {row: some[:MAX_ALIKE].tolist() for row, some in places.items()}
    asked = {*rows, *(int(leaking.train[at]) for some in listed.values() for at in some)}
    members = members_of(workspace, commit, found, sorted(asked))
    alike = found.alike
    return [
        Leak(
            held_out=members[row],
            is_accepted=bool(found.columns.accepted[row]),
            n_alike=len(places[row]),
            alike=[
                LookAlike(
                    member=members[int(leaking.train[at])],
                    is_same=bool(alike.is_same[leaking.places[at]]),
                    bits=int(alike.bits[leaking.places[at]]),
                    correlation=round(float(alike.correlation[leaking.places[at]]), 3),
                )
                for at in listed[row]
            ],
        )
        for row in rows
    ]


def _split_pairs(found: Likeness) -> list[SplitPair]:
    alike, side = found.alike, found.columns.splits
    low = np.minimum(side[alike.first], side[alike.second])
    high = np.maximum(side[alike.first], side[alike.second])
    apart = (low != high) & (high != QUARANTINED)
    counts = Counter(
        zip(low[apart].tolist(), high[apart].tolist(), alike.is_same[apart].tolist(), strict=True)
    )
    pairs = sorted({(a, b) for a, b, _ in counts})
    return [
        SplitPair(
            first=SPLITS[a],
            second=SPLITS[b],
            n_same=counts[(a, b, True)],
            n_near=counts[(a, b, False)],
        )
        for a, b in pairs
    ]


def _key_pairs(
    workspace: Workspace, commit: Digest, columns: Columns, leaking: LeakingPairs
) -> list[KeyPair]:
    """Which split keys the leaks are between: the key was chosen too fine if they are many."""
    train, held_out = (one[:N_PAIRS_WITH_KEYS] for one in (leaking.train, leaking.held_out))
    ids: dict[int, SampleId] = {}
    rows = np.unique(np.concatenate([train, held_out])).tolist()
    ids = dict(zip(rows, columns.ids_of(rows), strict=True))
    samples = find_samples(workspace, commit, list(ids.values()))
    keys = {row: samples[one].split_key for row, one in ids.items()}
    pairs = {
        (keys[a], keys[b], b)
        for a, b in zip(train.tolist(), held_out.tolist(), strict=True)
        if keys[a] != keys[b]
    }
    counts = Counter((a, b) for a, b, _ in pairs)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:N_KEYS]
    return [KeyPair(train_key=a, held_out_key=b, n_held_out=n) for (a, b), n in most]
