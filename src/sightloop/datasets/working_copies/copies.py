"""What the workspace remembers of a working copy, and where.

One file per copy under `.sightloop/copies/`, written whole or not at all. Its name follows from
the folder, so that no list of copies can go wrong. Read by `data status` without the database, so
nothing here imports it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from sightloop.datasets.folder_scan import Stamp
from sightloop.datasets.working_copies.errors import CopyBusy, NotOneCopy, NoWorkingCopy
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import write_atomic

FOLDER = "copies"
NATIVE = "sightloop"
"""The format of a checkout with a label file beside every labelled image."""

IMAGES_ONLY = "images"
"""The format of a folder that holds images and no labels."""

_FORMAT: Literal["sightloop.copy/1"] = "sightloop.copy/1"
_DIGEST_BYTES = 32
_SETTLED_NS = 20_000_000
"""File systems stamp in ticks of up to 10 ms: two writes within one look alike."""


class Tracked(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file as it was when it was last read."""

    size_bytes: int
    mtime_ns: int
    """0 when it was too fresh to be trusted: its bytes are compared instead."""
    inode: int
    digest: bytes
    """SHA-256 of its bytes, 32 bytes raw."""
    sample: bytes = b""
    """The sample that it is the image of, 16 bytes raw; empty for label files."""
    listed: bytes = b""
    """What the label files said of the image, hashed; empty where each image has its own."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which samples a sparse copy has, in people's words; a full copy wants everything."""

    class_name: str = ""
    split: str = ""
    slices: list[str] = []
    tag: str = ""
    lane: str = ""

    @property
    def is_everything(self) -> bool:
        """Whether the copy is full."""
        return self == Wanted()


class CopyFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a working copy is."""

    folder: str
    """Absolute."""
    format: str
    base: Digest
    """The commit that the folder was last equal to."""
    branch: str = ""
    """Where commits go; empty for a copy of a tag or digest."""
    images: str = ""
    """Where below the folder image names begin; empty, or a path that ends in a slash."""
    source: str = ""
    """The file below the folder that its reader begins with; empty for the folder itself."""
    images_option: str = ""
    """The image folder that the importer was told, below the folder."""
    split_key: str = ""
    slice_fields: list[str] = []
    wanted: Wanted = Wanted()
    is_imported: bool = False
    """It was imported where it lies, and never checked out."""
    read_only: bool = False
    """Its images are hard links to the stored ones."""


class Copy(msgspec.Struct, frozen=True):
    """A working copy and every file that it tracks, by path below the folder."""

    facts: CopyFacts
    files: dict[str, Tracked]


def tracked(
    stamp: Stamp, digest: bytes, *, looked_ns: int, sample: bytes = b"", listed: bytes = b""
) -> Tracked:
    """The file as it is to be remembered, after a look at that time."""
    is_settled = stamp.mtime_ns < looked_ns - _SETTLED_NS
    mtime_ns = stamp.mtime_ns if is_settled else 0
    return Tracked(stamp.size_bytes, mtime_ns, stamp.inode, digest, sample, listed)


def is_untouched(known: Tracked, stamp: Stamp) -> bool:
    """Whether the file needs no look at its bytes."""
    return (
        known.mtime_ns == stamp.mtime_ns
        and known.size_bytes == stamp.size_bytes
        and known.inode == stamp.inode
    )


def write_copy(state: Path, copy: Copy) -> None:
    """Remember the copy; `state` is the workspace's state folder.

    Raises:
        DiskFull: no room; what was remembered before still is.
    """
    body = _ENCODER.encode(_Stored(facts=copy.facts, files=copy.files))
    path = _path_of(state, copy.facts.folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, hashlib.sha256(body).digest() + body)


def read_copy(state: Path, folder: str) -> Copy | None:
    """What is remembered of that folder; None if nothing is, or it is damaged.

    A damaged file is as good as none: importing the folder again makes it anew.
    """
    try:
        content = _path_of(state, folder).read_bytes()
    except FileNotFoundError:
        return None
    body = memoryview(content)[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != content[:_DIGEST_BYTES]:
        return None
    with suppress(msgspec.MsgspecError):  # another version of Sightloop wrote it
        stored = _DECODER.decode(body)
        return Copy(stored.facts, stored.files)
    return None


def find_copy(state: Path, folder: str) -> Copy:
    """The copy that the folder is or lies in; with "" the only one checked out, or there at all.

    Raises:
        NoWorkingCopy: there is none.
        NotOneCopy: there are several and none was named.
    """
    if folder:
        here = Path(folder).resolve()
        for one in (here, *here.parents):
            if (copy := read_copy(state, str(one))) is not None:
                return copy
        raise NoWorkingCopy(folder=folder)
    copies = list(_all_copies(state))
    if not copies:
        raise NoWorkingCopy(folder="")
    # Whoever checked a folder out means to work in it; what was imported may be an archive.
    copies = [one for one in copies if not one.facts.is_imported] or copies
    if len(copies) > 1:
        raise NotOneCopy(folders=sorted(one.facts.folder for one in copies))
    return copies[0]


def copies_with(state: Path, samples: Collection[bytes]) -> Iterator[tuple[Copy, list[str]]]:
    """Every copy that tracks an image of these samples (16 raw bytes each), and those files."""
    for copy in _all_copies(state):
        if files := [path for path, one in copy.files.items() if one.sample in samples]:
            yield copy, files


def is_in_copy(state: Path, folder: str) -> bool:
    """Whether the folder is a working copy or lies in one. Reads no copy."""
    here = Path(folder)
    return any(_path_of(state, str(one)).exists() for one in (here, *here.parents))


@contextmanager
def one_at_a_time(state: Path, folder: str) -> Iterator[None]:
    """While the block runs no other process commits or switches this copy.

    The lock goes with the process, so a crash leaves none behind.

    Raises:
        CopyBusy: another process is at it.
    """
    path = state / FOLDER / f"{_name_of(folder)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CopyBusy(folder=folder) from error
        yield


class Switching(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checkout that has begun to write into the folder and has not ended."""

    facts: CopyFacts
    """What the copy will be."""


def begin_switching(state: Path, facts: CopyFacts) -> None:
    """Note that the folder is about to be neither the old commit nor the new one."""
    path = _switching_path(state, facts.folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, msgspec.json.encode(Switching(facts=facts)))


def unfinished_switch(state: Path, folder: str) -> CopyFacts | None:
    """What the folder was to become when a checkout was interrupted; None when none was."""
    try:
        content = _switching_path(state, folder).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=Switching).facts


def end_switching(state: Path, folder: str) -> None:
    """The folder is what it was to become."""
    _switching_path(state, folder).unlink(missing_ok=True)


def labels_aside(state: Path, folder: str) -> Path:
    """Where a checkout writes label files first that speak of all images at once."""
    return state / FOLDER / f"{_name_of(folder)}.labels"


def now_ns() -> int:
    """The time that file stamps are compared with: that of this machine, not the workspace's."""
    return time.time_ns()


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["sightloop.copy/1"] = _FORMAT
    facts: CopyFacts
    files: Mapping[str, Tracked]


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["sightloop.copy/1"]
    facts: CopyFacts
    files: dict[str, Tracked]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Read)


def _all_copies(state: Path) -> Iterator[Copy]:
    for path in sorted((state / FOLDER).glob("*.copy")):
        body = memoryview(path.read_bytes())[_DIGEST_BYTES:]
        with suppress(msgspec.MsgspecError):
            stored = _DECODER.decode(body)
            if os.path.isdir(stored.facts.folder):
                yield Copy(stored.facts, stored.files)


def _path_of(state: Path, folder: str) -> Path:
    return state / FOLDER / f"{_name_of(folder)}.copy"


def _switching_path(state: Path, folder: str) -> Path:
    return state / FOLDER / f"{_name_of(folder)}.switching"


def _name_of(folder: str) -> str:
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
