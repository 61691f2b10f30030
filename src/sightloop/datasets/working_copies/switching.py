"""Making a folder what a plan says: nothing local is lost, and a crash only means doing it again.

Every file is written under a temporary name and then renamed, so a path holds its old bytes or its
new ones. A file that has its new bytes already is left alone, which is how a repetition goes on
where the first attempt ended.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.folder_scan import TEMPORARY, Stamp, stamp_at
from sightloop.datasets.links import READ_ONLY, WRITABLE, LinkKind, link_blob
from sightloop.datasets.working_copies.copies import Tracked, is_untouched, now_ns, tracked
from sightloop.datasets.working_copies.errors import LocalChanges
from sightloop.datasets.working_copies.folder_changes import hash_file
from sightloop.datasets.working_copies.plans import Plan, Wish
from sightloop.kernel.blobs import Blobs
from sightloop.kernel.files import disk_errors, sync_filesystem
from sightloop.kernel.progress import Progress

_AT_ONCE = 64
_PAYS_FROM = 200
_THREADS = 2


class Switched(NamedTuple):
    """The folder after a plan."""

    files: dict[str, Tracked]
    n_written: int
    n_removed: int


def apply_plan(
    root: str,
    files: Mapping[str, Tracked],
    plan: Plan,
    blobs: Blobs,
    *,
    links: LinkKind,
    force: bool,
    begin: Callable[[], None],
    progress: Progress,
) -> Switched:
    """Write and remove what the plan says; `files` is what is known of the folder.

    `begin` is called when nothing is in the way and before anything is written.

    Raises:
        LocalChanges: files in the way are not as they are remembered, and `force` is not set;
            nothing was written.
        BlobMissing: an image is not in the store.
        BlobDamaged: an image's bytes have changed.
        DiskFull: no room. What was written stays; repeat it with room.
    """
    folder = _Folder(root, files)
    todo = folder.check(plan, force=force)
    if todo.writes or todo.removals:
        begin()
    with disk_errors(Path(root)):
        folder.remove(todo.first)
        stamps = folder.write(todo.writes, blobs, links=links, progress=progress)
        folder.remove(todo.removals)
        if todo.writes or todo.removals:
            # One barrier: what the workspace is about to remember is on disk.
            sync_filesystem(Path(root))
    looked_ns = now_ns()
    after = dict(files)
    for path in plan.removals:
        after.pop(path, None)
    for path, wish in plan.writes.items():
        stamp = stamps.get(path) or todo.there[path]
        after[path] = tracked(stamp, wish.digest, looked_ns=looked_ns, sample=wish.sample)
    return Switched(after, len(todo.writes), len(todo.removals))


def remove_leftovers(root: str) -> None:
    """Remove temporary files of an attempt that was interrupted."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(TEMPORARY):
                os.unlink(f"{folder}/{name}")


class _ToDo(NamedTuple):
    writes: dict[str, Wish]
    removals: list[str]
    first: list[str]
    """Those of the removals that make room: a file where a folder comes, or the other way."""
    there: dict[str, Stamp]
    """Files that are as they shall be already."""


class _Folder:
    def __init__(self, root: str, files: Mapping[str, Tracked]) -> None:
        self._root = root
        self._files = files
        self._plain_folders = {""}
        self._made = {""}
        self._leaving: set[str] = set()
        self._is_forced = False
        self._emptied: set[str] = set()
        self._name = f"{TEMPORARY}{secrets.token_hex(6)}"

    def check(self, plan: Plan, *, force: bool) -> _ToDo:
        """What is left to do; refuses to touch what somebody changed."""
        self._leaving, self._is_forced = set(plan.removals), force
        todo = _ToDo({}, [], [], {})
        in_the_way: list[str] = []
        for path, wish in plan.writes.items():
            stamp = self._stamp(path, in_the_way)
            if stamp is None:
                todo.writes[path] = wish
                continue
            known = self._files.get(path)
            is_known = known is not None and is_untouched(known, stamp)
            digest = known.digest if known and is_known else hash_file(f"{self._root}/{path}")
            if digest == wish.digest:
                todo.there[path] = stamp
            elif is_known or force or (known is not None and digest == known.digest):
                todo.writes[path] = wish
            else:
                in_the_way.append(path)
        for path in plan.removals:
            stamp = self._stamp(path, in_the_way)
            if stamp is None:
                continue
            known = self._files.get(path)
            if force or known is None or is_untouched(known, stamp) or self._is_same(path, known):
                todo.removals.append(path)
            else:
                in_the_way.append(path)
        if in_the_way:
            raise LocalChanges(folder=self._root, files=sorted(set(in_the_way)))
        todo.first.extend(self._making_room(todo))
        return todo

    def write(
        self, writes: Mapping[str, Wish], blobs: Blobs, *, links: LinkKind, progress: Progress
    ) -> dict[str, Stamp]:
        """Write these files; returns how they are now."""
        for path in writes:
            self._make_folders(path)
        mode = READ_ONLY if links == "hard link" else WRITABLE
        wanted = list(enumerate(writes.items()))
        stamps: dict[str, Stamp] = {}

        def put(some: list[tuple[int, tuple[str, Wish]]]) -> list[tuple[str, Stamp]]:
            return [
                (path, self._put(path, wish, number, blobs, links, mode))
                for number, (path, wish) in some
            ]

        tasks = [wanted[at : at + _AT_ONCE] for at in range(0, len(wanted), _AT_ONCE)]
        if len(wanted) < _PAYS_FROM:
            for task in tasks:
                stamps.update(put(task))
            return stamps
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="checkout")
        try:
            for done in pool.map(put, tasks):
                stamps.update(done)
                progress("writing files", len(stamps), len(wanted))
        finally:
            pool.shutdown(cancel_futures=True)
        return stamps

    def remove(self, paths: list[str]) -> None:
        """Remove these files, and folders that are empty then."""
        emptied: set[str] = set()
        for path in paths:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                os.unlink(f"{self._root}/{path}")
            emptied.add(path.rpartition("/")[0])
        for folder in sorted(emptied - {""}, key=len, reverse=True):
            self._remove_if_empty(folder)

    def _put(
        self, path: str, wish: Wish, number: int, blobs: Blobs, links: LinkKind, mode: int
    ) -> Stamp:
        folder = path.rpartition("/")[0]
        temporary = f"{self._root}/{folder}/{self._name}-{number}"
        target = f"{self._root}/{path}"
        if path in self._emptied:
            _remove_empty(target)
        if wish.image is not None:
            link_blob(blobs, wish.image, Path(temporary), links, mode=mode)
        else:
            with open(temporary, "xb") as file:
                file.write(wish.content)
        os.replace(temporary, target)
        stamp = stamp_at(target)
        assert stamp is not None, "it was just put there"
        return stamp

    def _stamp(self, path: str, in_the_way: list[str]) -> Stamp | None:
        """Of the file at that path; whatever else is there is in the way, also of a `force`."""
        folder = path.rpartition("/")[0]
        if not self._is_plain(folder):
            in_the_way.append(folder)
            return None
        whole = f"{self._root}/{path}"
        stamp = stamp_at(whole)
        if stamp is None and os.path.lexists(whole) and not self._may_go(path):
            in_the_way.append(path)
        return stamp

    def _may_go(self, path: str) -> bool:
        """Whether what is there, and is no plain file, can make room without a loss."""
        whole = f"{self._root}/{path}"
        if not stat.S_ISDIR(os.lstat(whole).st_mode):
            return self._is_forced and path in self._files  # a link or pipe put in a file's place
        for folder, folders, names in os.walk(whole):
            below = folder.removeprefix(f"{self._root}/")
            if any(f"{below}/{name}" not in self._leaving for name in names):
                return False
            if any(os.path.islink(f"{folder}/{name}") for name in folders):
                return False
        self._emptied.add(path)
        return True

    def _making_room(self, todo: _ToDo) -> list[str]:
        above = {one for path in todo.writes for one in _folders_above(path)}
        return [
            path
            for path in todo.removals
            if path in above or any(one in todo.writes for one in _folders_above(path))
        ]

    def _is_plain(self, folder: str) -> bool:
        """Whether the folder is one of ours, or not there yet: never a link to elsewhere."""
        if folder in self._plain_folders:
            return True
        if not self._is_plain(folder.rpartition("/")[0]):
            return False
        with suppress(FileNotFoundError, NotADirectoryError):
            mode = os.lstat(f"{self._root}/{folder}").st_mode
            if not (stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and folder in self._leaving)):
                return False
        self._plain_folders.add(folder)
        return True

    def _is_same(self, path: str, known: Tracked) -> bool:
        return hash_file(f"{self._root}/{path}") == known.digest

    def _make_folders(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        if folder not in self._made:
            os.makedirs(f"{self._root}/{folder}", exist_ok=True)
            self._made.add(folder)

    def _remove_if_empty(self, folder: str) -> None:
        while folder:
            try:
                os.rmdir(f"{self._root}/{folder}")
            except OSError:  # it holds something that is not ours
                return
            folder = folder.rpartition("/")[0]


def _remove_empty(folder: str) -> None:
    """Remove a folder that holds nothing but folders; its files are gone by now."""
    for here, _, _ in os.walk(folder, topdown=False):
        os.rmdir(here)


def _folders_above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
