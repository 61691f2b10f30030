"""Where indexes of commits are kept: one file per commit, and the latest in memory.

A file that is missing, damaged or of another version is made anew. An index is made from that of
the nearest ancestor that has a file and the rows that differ, else from all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets import tree
from sightloop.datasets.index import Index, build_index, changed_index, decode_index, encode_index
from sightloop.datasets.prepared import Pending, Prepared
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import iterate_samples, load_commit, load_samples
from sightloop.datasets.store import StoredNodes
from sightloop.datasets.tombstones import count_tombstones
from sightloop.datasets.values import Sample
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import DiskFull
from sightloop.kernel.files import write_atomic
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace

FOLDER = "index"
N_FILES_KEPT = 32
N_IN_MEMORY = 6
N_ANCESTORS_TRIED = 50
MAX_SHARE_CHANGED = 0.3
"""With more rows than this to be read anyway, the rest may be read too."""

_TELL_EVERY = 1_000


def index_of(
    workspace: Workspace,
    commit: Digest,
    *,
    patience_s: float | None = None,
    progress: Progress = silent,
) -> Index | Pending:
    """The commit's index, or how far it is when patience runs out; None waits for it.

    Raises:
        ObjectMissing: there is no such commit here.
    """
    return _INDEXES.get(
        (workspace.state, commit),
        lambda note: _read_or_make(workspace, commit, note),
        patience_s=patience_s,
        progress=progress,
    )


def index_path(workspace: Workspace, commit: Digest) -> Path:
    """The file that holds the commit's index, if it has been made."""
    return workspace.state / FOLDER / f"{commit.removeprefix('sha256:')}.index"


def index_files(workspace: Workspace) -> list[Path]:
    """Every index that was kept for the next process, named after its commit."""
    return sorted((workspace.state / FOLDER).glob("*.index"))


def forget_indexes() -> None:
    """Keep no index in memory: what one says may just have been erased."""
    _INDEXES.forget()


_INDEXES: Prepared[tuple[Path, Digest], Index] = Prepared(keep=N_IN_MEMORY)


class _Ancestor(NamedTuple):
    record: CommitRecord
    indexed: Index


def _read_or_make(workspace: Workspace, commit: Digest, progress: Progress) -> Index:
    while (found := _read(workspace, commit)) is None:
        index, n_erased = _make(workspace, commit, progress)
        _write(workspace, index)
        with workspace.db.read() as tx:
            if count_tombstones(tx) == n_erased:
                return index
        # Something was erased meanwhile, which this index still tells of.
        index_path(workspace, commit).unlink(missing_ok=True)
    return found


def _make(workspace: Workspace, commit: Digest, progress: Progress) -> tuple[Index, int]:
    """The index, and how many tombstones there were when the samples were read."""
    with workspace.db.read() as tx:
        n_erased = count_tombstones(tx)
        record = load_commit(tx, commit)
        nearest = _nearest(workspace, tx, record)
        index = None
        if nearest is not None:
            index = _made_from(tx, nearest, commit, record)
        if index is None:
            samples = _told(iterate_samples(tx, commit), record.n_samples, progress)
            index = build_index(commit, samples, record.split_rule)
    return index, n_erased


def _read(workspace: Workspace, commit: Digest) -> Index | None:
    try:
        content = index_path(workspace, commit).read_bytes()
    except OSError:
        return None
    return decode_index(content, commit=commit)


def _write(workspace: Workspace, index: Index) -> None:
    """Keep the index for the next process; without room for it, only this one has it."""
    path = index_path(workspace, index.commit)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, encode_index(index))
        files = sorted(path.parent.glob("*.index"), key=lambda one: one.stat().st_mtime_ns)
        for one in files[:-N_FILES_KEPT]:
            one.unlink(missing_ok=True)
    except (OSError, DiskFull):
        return


def _nearest(workspace: Workspace, tx: Tx, record: CommitRecord) -> _Ancestor | None:
    for _ in range(N_ANCESTORS_TRIED):
        if not record.parents:
            return None
        parent = record.parents[0]
        record = load_commit(tx, parent)
        if (index := _read(workspace, parent)) is not None:
            return _Ancestor(record, index)
    return None


def _made_from(tx: Tx, ancestor: _Ancestor, commit: Digest, record: CommitRecord) -> Index | None:
    """From the ancestor's index; None where that would not be right, or not be quicker."""
    if ancestor.record.split_rule != record.split_rule:
        return None
    nodes = StoredNodes(tx)
    differences = tree.differences(nodes, ancestor.record.root, record.root)
    written = [one.sample for one in differences if one.new is not None]
    if len(written) > MAX_SHARE_CHANGED * record.n_samples:
        return None
    found = load_samples(tx, nodes, record.root, written)
    return changed_index(
        ancestor.indexed,
        commit,
        gone=[one.sample for one in differences if one.sample not in found],
        written=[found[one] for one in written if one in found],
        rule=record.split_rule,
    )


def _told(samples: Iterator[Sample], total: int, progress: Progress) -> Iterator[Sample]:
    for done, sample in enumerate(samples):
        if done % _TELL_EVERY == 0:
            progress("reading samples", done, total)
        yield sample
