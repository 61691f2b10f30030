"""Crashes at chosen writes, so that a test can try them all.

A *write* is a moment after which something is durable: the barrier of a blob batch, the commit of
a transaction, a blob that is taken away; inside `dying_disk` also every name that a file system
gains, loses or changes. `CrashPlan(before_write=k)` lets k writes happen and dies instead of the
next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightloop.kernel.blob_folder import LOCK_PATIENCE_S, BlobRemoval, Leftover, StoredBlob
from sightloop.kernel.blobs import LocalBatch, LocalBlobs
from sightloop.kernel.database import Database, Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace


class SimulatedCrash(BaseException):
    """The process died here. Not an `Exception`: no handler may survive it."""


class CrashPlan:
    """Counts writes and crashes before the chosen one; without one it only counts."""

    def __init__(self, before_write: int | None = None) -> None:
        self._before_write = before_write
        self.n_writes = 0

    def about_to_write(self) -> None:
        """Called before each write becomes durable."""
        if self.n_writes == self._before_write:
            raise SimulatedCrash
        self.n_writes += 1


class CrashingDatabase(Database):
    """A database whose commits follow a plan."""

    def __init__(self, url: str, plan: CrashPlan) -> None:
        super().__init__(url)
        self._plan = plan

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """As `Database.write`, but the commit may be the end."""
        with super().write() as tx:
            yield tx
            self._plan.about_to_write()

    def give_back_space(self) -> None:
        """As `Database.give_back_space`."""
        self._plan.about_to_write()
        super().give_back_space()

    def forget_deleted(self) -> bool:
        """As `Database.forget_deleted`."""
        self._plan.about_to_write()
        return super().forget_deleted()


class CrashingRemoval(BlobRemoval):
    """Takes blobs away by a plan: each file that goes is a write."""

    def __init__(self, root: Path, plan: CrashPlan) -> None:
        super().__init__(root)
        self._plan = plan

    def remove_old(self, digest: Digest, *, used_before_ms: int) -> StoredBlob | None:
        """As `BlobRemoval.remove_old`."""
        self._plan.about_to_write()
        return super().remove_old(digest, used_before_ms=used_before_ms)

    def erase(self, digest: Digest) -> StoredBlob | None:
        """As `BlobRemoval.erase`."""
        self._plan.about_to_write()
        return super().erase(digest)

    def remove_leftovers(self, *, written_before_ms: int) -> list[Leftover]:
        """As `BlobRemoval.remove_leftovers`."""
        self._plan.about_to_write()
        return super().remove_leftovers(written_before_ms=written_before_ms)


class CrashingBlobs(LocalBlobs):
    """A blob store whose barriers follow a plan."""

    def __init__(self, blobs: LocalBlobs, plan: CrashPlan) -> None:
        super().__init__(blobs.root)
        self._plan = plan

    @contextmanager
    def batch(self) -> Iterator[LocalBatch]:
        """As `LocalBlobs.batch`, but its barrier may be the end."""
        with super().batch() as batch:
            yield batch
            self._plan.about_to_write()

    @contextmanager
    def removal(self, *, patience_s: float = LOCK_PATIENCE_S) -> Iterator[BlobRemoval]:
        """As `LocalBlobs.removal`, but any file that goes may be the last."""
        with super().removal(patience_s=patience_s):
            yield CrashingRemoval(self.root, self._plan)

    def replace_damaged(self, digest: Digest, content: bytes) -> None:
        """As `LocalBlobs.replace_damaged`."""
        self._plan.about_to_write()
        super().replace_damaged(digest, content)


@contextmanager
def dying_disk(plan: CrashPlan) -> Iterator[None]:
    """Names of files and folders change as planned, in this process and while the block runs.

    A file that is created counts too: the process may die with it empty.
    """
    real = {name: getattr(os, name) for name in ("replace", "unlink", "rmdir", "mkdir")}
    opened = os.open

    def planned(name: str) -> Callable[..., Any]:
        def change(*args: Any, **fields: Any) -> Any:  # noqa: ANN401 - whatever the call takes
            plan.about_to_write()
            return real[name](*args, **fields)

        return change

    def create(path: Any, flags: int, *args: Any, **fields: Any) -> int:  # noqa: ANN401
        descriptor = opened(path, flags, *args, **fields)
        if flags & os.O_CREAT:
            try:
                plan.about_to_write()
            except SimulatedCrash:
                os.close(descriptor)
                raise
        return descriptor

    try:
        for name in real:
            setattr(os, name, planned(name))
        setattr(os, "open", create)  # noqa: B010 - mypy knows that it is a function
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)
        setattr(os, "open", opened)  # noqa: B010


def crashing(workspace: Workspace, plan: CrashPlan) -> Workspace:
    """The same workspace, opened by a process that dies as planned."""
    assert isinstance(workspace.blobs, LocalBlobs), "only local stores are made to crash"
    return replace(
        workspace,
        db=CrashingDatabase(workspace.db.url, plan),
        blobs=CrashingBlobs(workspace.blobs, plan),
    )
