"""What became of a working copy's files since they were last read. Opens only what may differ."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sightloop.datasets.folder_scan import Oddity, Stamp, scan_folder
from sightloop.datasets.working_copies.copies import Copy, Tracked, is_untouched, now_ns, tracked
from sightloop.datasets.working_copies.layout import is_image, is_label_file

_CHUNK_BYTES = 1 << 20
_PAYS_FROM = 64
_THREADS = 2


class FolderChanges(NamedTuple):
    """What is not as it was. Paths are below the folder, with forward slashes."""

    new: list[str]
    """Image files that were not there."""
    changed: list[str]
    """Image files that hold another image now."""
    gone: list[str]
    """Image files that are not there any more."""
    renamed: list[tuple[str, str]]
    """Image files under another name: old path, new path."""
    labels: list[str]
    """Label files that are new, changed or gone."""
    blocked: dict[str, str]
    """Tracked files that are no plain files now, or lie behind a link: path, and why. They count
    as they are remembered."""
    oddities: list[Oddity]
    stamps: dict[str, Stamp]
    """Of every file that is there."""
    digests: dict[str, bytes]
    """Of the files whose bytes were looked at."""
    looked_ns: int

    @property
    def is_empty(self) -> bool:
        """Whether the folder is as it was."""
        return not (self.new or self.changed or self.gone or self.renamed or self.labels)

    def tracked(
        self, path: str, digest: bytes, *, sample: bytes = b"", listed: bytes = b""
    ) -> Tracked:
        """The file as it was seen."""
        stamp = self.stamps[path]
        return tracked(stamp, digest, looked_ns=self.looked_ns, sample=sample, listed=listed)


def changes_in(copy: Copy) -> FolderChanges:
    """Compare the folder with what is remembered of it: one pass, and a look at what differs."""
    looked_ns = now_ns()
    root = copy.facts.folder
    scan = scan_folder(root)
    stamps, files = scan.files, copy.files
    doubtful = [
        path
        for path, stamp in stamps.items()
        if (known := files.get(path)) is not None and not is_untouched(known, stamp)
    ]
    digests = hash_files(root, doubtful)
    differing = [path for path, digest in digests.items() if files[path].digest != digest]
    appeared = [path for path in stamps if path not in files]
    # Only the length tells quickly that nothing is gone; a million look-ups would take 0.1 s.
    known_here = len(stamps) - len(appeared)
    gone = [path for path in files if path not in stamps] if known_here < len(files) else []
    blocked = _blocked(root, gone, scan.oddities)
    labels = [path for path in (*appeared, *differing, *gone) if is_label_file(copy.facts, path)]
    new = [path for path in appeared if is_image(copy.facts, path)]
    gone = [path for path in gone if files[path].sample]
    if gone and new:
        digests |= hash_files(root, new)
    renamed = _renamed(copy, new, gone, digests)
    olds, news = {one.old for one in renamed}, {one.new for one in renamed}
    return FolderChanges(
        new=sorted(path for path in new if path not in news),
        changed=sorted(path for path in differing if files[path].sample),
        gone=sorted(path for path in gone if path not in olds and path not in blocked),
        renamed=sorted((one.old, one.new) for one in renamed),
        labels=sorted(path for path in labels if path not in blocked),
        blocked={path: why for path, why in sorted(blocked.items()) if path not in olds},
        oddities=scan.oddities,
        stamps=stamps,
        digests=digests,
        looked_ns=looked_ns,
    )


def hash_files(root: str, paths: Iterable[str]) -> dict[str, bytes]:
    """The SHA-256 of each of these files; one that is gone by now is left out."""
    wanted = list(paths)
    if len(wanted) < _PAYS_FROM:
        hashed = [hash_file(f"{root}/{path}") for path in wanted]
    else:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
            hashed = list(pool.map(lambda path: hash_file(f"{root}/{path}"), wanted))
    return {path: one for path, one in zip(wanted, hashed, strict=True) if one is not None}


def hash_file(path: str) -> bytes | None:
    """The SHA-256 of a file's bytes; None when it is gone."""
    hasher = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            hasher.update(chunk)
    finally:
        os.close(descriptor)
    return hasher.digest()


def why_not_plain(root: str, path: str, oddities: Mapping[str, Oddity]) -> str | None:
    """Why nothing can be read at the path although something is there; None for nothing or a file.

    Something above the path counts too: what is behind a link is not gone.
    """
    for here in _path_and_above(path):
        if (odd := oddities.get(here)) is not None:
            return odd.why if here == path else f"{here} above it is not a folder: {odd.why}"
    try:
        is_folder = stat.S_ISDIR(os.lstat(f"{root}/{path}").st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return "it is a folder, not a file" if is_folder else None


def _blocked(root: str, gone: list[str], oddities: list[Oddity]) -> dict[str, str]:
    by_path = {one.path: one for one in oddities}
    found = {path: why_not_plain(root, path, by_path) for path in gone}
    return {path: why for path, why in found.items() if why is not None}


def _path_and_above(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


class _Rename(NamedTuple):
    old: str
    new: str


def _renamed(
    copy: Copy, new: list[str], gone: list[str], digests: dict[str, bytes]
) -> list[_Rename]:
    left: dict[bytes, list[str]] = {}
    for path in sorted(gone, reverse=True):
        left.setdefault(copy.files[path].digest, []).append(path)
    found = []
    for path in sorted(new):
        olds = left.get(digests.get(path, b""))
        if olds:
            found.append(_Rename(olds.pop(), path))
    return found
