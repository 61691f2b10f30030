"""Writing an imported run, so that whatever is written twice is there once.

Points go first, then blobs, then one transaction with artifacts and the mark of how far the source
was read. After a crash in between, the next import writes the same points and blobs again, which
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from sightloop.kernel.blobs import BlobBatch
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.tracking import store
from sightloop.tracking.artifacts import artifacts_of, record_artifact
from sightloop.tracking.errors import BadName, ParamChanged, RunDeleted
from sightloop.tracking.experiments import ensure_experiment
from sightloop.tracking.importing.account import Account, ImportedRun
from sightloop.tracking.importing.marks import Mark, find_mark, set_mark
from sightloop.tracking.labels import add_params, set_tags
from sightloop.tracking.points import MetricColumns, add_columns
from sightloop.tracking.recording import NAME_TAG
from sightloop.tracking.uploading import check_artifact_name
from sightloop.tracking.values import MAX_KEY_CHARACTERS, MAX_STEP, RunId, RunState

SOURCE_TAG = "sightloop.importedFrom"
POINTS_AT_ONCE = 20_000
"""Written per transaction: others wait for a tenth of a second."""


class Found(NamedTuple):
    """A run of a source, before anything of it is read."""

    experiment: str
    name: str
    source: str
    """Where it lies."""
    identities: list[str]
    """What the source is known by; one that is known already names the run."""
    started_at_ms: int
    user: str = ""


class Kept(NamedTuple):
    """A file of a run: its name, and its bytes or where they are."""

    name: str
    content: bytes | Path


class Keeper:
    """The one run that is being imported."""

    def __init__(self, workspace: Workspace, account: Account, found: Found) -> None:
        self._workspace, self._account, self._found = workspace, account, found
        with workspace.db.write() as tx:
            now_ms = workspace.clock.now_ms()
            self._experiment = ensure_experiment(tx, found.experiment, now_ms=now_ms)
            marks = [find_mark(tx, self._experiment, one) for one in found.identities]
            known = next((mark.run for mark in marks if mark), None)
            self.run = RunId(known or workspace.ids.new("run"))
            if known is None:
                self._begin(tx)
            run = store.find_run(tx, self.run)
            if run.is_deleted:
                raise RunDeleted(run=self.run)
        self.started_at_ms = run.started_at_ms
        self.told = ImportedRun(
            run=self.run,
            experiment=run.experiment,
            name=run.name,
            source=found.source,
            is_new=known is None,
        )
        self.growing: set[str] = set()
        """Artifacts that grow with their source, so that a longer one replaces none."""
        account.runs.append(self.told)

    def done_bytes(self, identity: str) -> int:
        """How far a file of the source was imported."""
        with self._workspace.db.read() as tx:
            mark = find_mark(tx, self._experiment, identity)
        return mark.done_bytes if mark else 0

    def add_points(self, key: str, columns: MetricColumns) -> None:
        """Add the points that can be kept; the others go to the account."""
        n = len(columns.steps)
        if not 0 < len(key) <= MAX_KEY_CHARACTERS:
            why = f"its name {key[:40]!r} has {len(key)} characters, not 1 to {MAX_KEY_CHARACTERS}"
            self._account.skip(self._found.source, "points", why, n)
            return
        good = (columns.steps >= -MAX_STEP) & (columns.at_ms >= 0)
        self._account.skip(
            self._found.source, "points", "their time or step cannot be right", int((~good).sum())
        )
        columns = columns.only(good)
        for start in range(0, len(columns.steps), POINTS_AT_ONCE):
            part = columns.only(slice(start, start + POINTS_AT_ONCE))
            n_new = self._workspace.db.points.write_together(
                partial(add_columns, run=self.run, key=key, columns=part)
            )
            self.told.n_points += n_new
            self.told.n_points_known += len(part.steps) - n_new

    def keep_files(self, files: Iterable[Kept], *, mark: tuple[str, int] | None = None) -> None:
        """Keep files as artifacts, and note how far a source was read with it."""
        rows: dict[str, tuple[Digest, int]] = {}
        with self._workspace.blobs.protected():
            with self._workspace.blobs.batch() as batch:
                for file in files:
                    row = self._stored(batch, file)
                    if row is not None:
                        rows[file.name] = row
            with self._workspace.db.write() as tx:
                known = artifacts_of(tx, self.run)
                for name, (digest, size_bytes) in rows.items():
                    self._count(name, known.get(name), digest)
                    record_artifact(tx, self.run, name, digest=digest, size_bytes=size_bytes)
                if mark is not None:
                    identity, done_bytes = mark
                    set_mark(tx, self._experiment, identity, Mark(self.run, done_bytes))

    def read_artifact(self, name: str) -> bytes:
        """The bytes of an artifact of the run; none where there is none."""
        with self._workspace.db.read() as tx:
            digest = artifacts_of(tx, self.run).get(name)
        return self._workspace.blobs.read(digest) if digest else b""

    def label(self, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add parameters and tags; a parameter that would change goes to the account."""
        with self._workspace.db.write() as tx:
            for key, value in params.items():
                try:
                    add_params(tx, self.run, {key: value})
                except ParamChanged as error:
                    self._account.skip(self._found.source, "parameter", error.message)
            set_tags(tx, self.run, tags)

    def end(self, *, ended_at_ms: int | None, state: RunState = "finished") -> None:
        """Note how and when the run ended, as far as its source knows."""
        with self._workspace.db.write() as tx:
            run = store.find_run(tx, self.run)
            times = [at_ms for at_ms in (run.ended_at_ms, ended_at_ms) if at_ms is not None]
            ended = max(times, default=None)
            reason = f"imported from {self._found.source}"
            changed = msgspec.structs.replace(
                run, state=state, ended_at_ms=ended, exit_reason=reason
            )
            if changed != run:
                store.change_run(tx, changed)

    def skip(self, what: str, why: str, n: int = 1) -> None:
        """Note that something of this run was left out."""
        self._account.skip(self._found.source, what, why, n)

    def _begin(self, tx: Tx) -> None:
        found = self._found
        store.start_run(
            tx,
            self.run,
            experiment=found.experiment,
            name=found.name,
            inputs=None,
            now_ms=found.started_at_ms,
            user=found.user,
        )
        set_tags(tx, self.run, {NAME_TAG: found.name, SOURCE_TAG: found.source})
        set_mark(tx, self._experiment, found.identities[0], Mark(self.run, 0))

    def _stored(self, batch: BlobBatch, file: Kept) -> tuple[Digest, int] | None:
        try:
            check_artifact_name(file.name)
        except BadName as error:
            self.skip("file", error.message)
            return None
        if isinstance(file.content, bytes):
            return batch.put(file.content), len(file.content)
        return batch.put_file(file.content), file.content.stat().st_size

    def _count(self, name: str, before: Digest | None, now: Digest) -> None:
        if before == now:
            self.told.n_artifacts_known += 1
            return
        self.told.n_artifacts += 1
        if before is not None and name not in self.growing:
            self.skip("artifact", f"an older {name} was replaced")


def columns_of(rows: list[tuple[int, int, float]]) -> MetricColumns:
    """Columns from rows of step, time and value."""
    steps, at_ms, values = zip(*rows, strict=True) if rows else ((), (), ())
    return MetricColumns(
        np.array(steps, dtype=np.int64),
        np.array(at_ms, dtype=np.int64),
        np.array(values, dtype=np.float64),
    )
