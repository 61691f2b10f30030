"""A folder that is being filled: every finished file is looked at once, oldest first."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sightloop.device.sources.declared import After
from sightloop.device.sources.ledger import Ledger, Seen
from sightloop.device.sources.mailbox import Mailbox
from sightloop.device.sources.taken import Taken, take_now
from sightloop.kernel.errors import DiskFull

LOOK_EVERY_S = 0.25
SETTLED_S = 0.5
"""A file is finished when it has not grown or changed for so long, by our own clock."""

DONE = "done"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


class _Stat(NamedTuple):
    size_bytes: int
    mtime_ns: int


class FolderWatch:
    """One folder. `run` and the `finish` of what it gives may be on two threads."""

    def __init__(self, folder: Path, ledger: Ledger, *, after: After, max_bytes: int) -> None:
        self._folder = folder
        self._ledger = ledger
        self._after = after
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._first_seen: dict[str, tuple[_Stat, float]] = {}

    def run(self, mailbox: Mailbox[Taken]) -> str:
        """Give every finished file that the ledger does not know, for ever; why it ended."""
        if not self._folder.is_dir():
            return "the folder is not there"
        self.settle()
        while self._folder.is_dir():
            for name, stat in self.finished(at_s=time.monotonic()):
                self._give(name, stat, mailbox)
            time.sleep(LOOK_EVERY_S)
        return "the folder is gone"

    def settle(self) -> None:
        """Put away what an agent before was done with but had not put away; forget what is gone."""
        files = _files(self._folder)
        with self._lock:
            self._ledger.forget_all_but(set(files))
        for name, stat in files.items():
            if self._ledger.knows_stat(name, size_bytes=stat.size_bytes, mtime_ns=stat.mtime_ns):
                self._put_away(name)

    def finished(self, *, at_s: float) -> list[tuple[str, _Stat]]:
        """Files that are new and have not changed for a while, oldest first.

        Names that begin with a dot, and those that are no image's, are of programs that have not
        renamed their file yet; they are passed over.
        """
        new = {
            name: stat
            for name, stat in _files(self._folder).items()
            if name not in self._under_way
            and not self._ledger.knows_stat(
                name, size_bytes=stat.size_bytes, mtime_ns=stat.mtime_ns
            )
        }
        self._first_seen = {
            name: (stat, at_s)
            if self._first_seen.get(name, (None,))[0] != stat
            else self._first_seen[name]
            for name, stat in new.items()
        }
        ready = [
            (stat.mtime_ns, name)
            for name, (stat, since_s) in self._first_seen.items()
            if at_s - since_s >= SETTLED_S
        ]
        return [(name, new[name]) for _, name in sorted(ready)]

    def _give(self, name: str, stat: _Stat, mailbox: Mailbox[Taken]) -> None:
        if stat.size_bytes > self._max_bytes:
            mailbox.note_garbage()
            self._finish(Seen(name, *stat, ""))
            return
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            return  # taken away again, or not ours to read yet
        seen = Seen(name, *stat, sha256(content).hexdigest())
        if self._ledger.knows_content(name, seen.sha256):  # touched, not changed
            self._finish(seen)
            return
        self._under_way.add(name)
        mailbox.put_in_turn(take_now(content, name=name, finish=partial(self._finish, seen)))

    def _finish(self, seen: Seen) -> None:
        """Remember the file first, then move it: after a crash between them it is only moved."""
        try:
            with self._lock:
                self._ledger.add(seen)
        except DiskFull:  # looked at again after a restart: better twice than never
            self._ledger.remember(seen)
        self._put_away(seen.name)
        self._under_way.discard(seen.name)

    def _put_away(self, name: str) -> None:
        path = self._folder / name
        try:
            if self._after == "delete":
                path.unlink(missing_ok=True)
            elif self._after == "move":
                (self._folder / DONE).mkdir(exist_ok=True)
                path.replace(self._folder / DONE / name)
        except OSError:
            return  # Not ours to move: the ledger keeps it from being looked at again.


def _files(folder: Path) -> dict[str, _Stat]:
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES:
                continue
            try:
                if entry.is_file():
                    facts = entry.stat()
                    found[entry.name] = _Stat(facts.st_size, facts.st_mtime_ns)
            except OSError:
                continue  # gone between the two calls
    return found
