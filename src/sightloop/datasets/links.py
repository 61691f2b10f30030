"""Giving a folder the bytes of blobs: by reflink, copy or hard link, whichever is best there."""

from __future__ import annotations

import fcntl
import io
import os
from pathlib import Path
from typing import Literal

from sightloop.kernel.blobs import Blobs
from sightloop.kernel.digests import Digest

LinkKind = Literal["reflink", "copy", "hard link"]

_FICLONE = 0x40049409
"""The Linux request that lets a file share another's extents until one of them is written."""

PROBE = ".sightloop-probe"
"""A file that is there for a moment only; found later, it was left behind by a crash."""

READ_ONLY = 0o444
WRITABLE = 0o644


def best_link(
    blobs: Blobs, probe: Digest, folder: Path, *, n_bytes: int, copy_limit_bytes: int
) -> LinkKind:
    """How `n_bytes` of blobs should get into `folder`; tried out with the blob `probe`.

    A reflink costs nothing and cannot be written through. A copy costs its bytes. A hard link
    costs nothing but is the blob itself, so whoever uses one must look for changes afterwards.
    """
    if _works(blobs, probe, folder, "reflink"):
        return "reflink"
    if n_bytes > copy_limit_bytes and _works(blobs, probe, folder, "hard link"):
        return "hard link"
    return "copy"


def editable_link(blobs: Blobs, probe: Digest, folder: Path) -> LinkKind:
    """How blobs get into a folder in which people edit: never so that they could be written to."""
    return "reflink" if _works(blobs, probe, folder, "reflink") else "copy"


def link_blob(
    blobs: Blobs, digest: Digest, target: Path, kind: LinkKind, *, mode: int = READ_ONLY
) -> None:
    """Make `target` a file with the blob's bytes; copies are checked on the way.

    Args:
        blobs: where the bytes are.
        digest: which bytes.
        target: must not exist.
        kind: how they get there.
        mode: who may read and write the file; a hard link has the blob's, which is read-only.

    Raises:
        BlobMissing: the store has no such blob.
        BlobDamaged: the bytes to copy have changed.
        OSError: the file system cannot do this kind of link.
    """
    if kind == "hard link":
        target.hardlink_to(blobs.local_path(digest))
    elif kind == "reflink":
        with blobs.local_path(digest).open("rb") as source, _created(target, mode) as file:
            fcntl.ioctl(file, _FICLONE, source.fileno())
    else:
        content = blobs.read(digest)
        with _created(target, mode) as file:
            file.write(content)


def _works(blobs: Blobs, probe: Digest, folder: Path, kind: LinkKind) -> bool:
    target = folder / PROBE
    try:
        link_blob(blobs, probe, target, kind)
    except OSError:  # EOPNOTSUPP, EXDEV, EINVAL, ENOTTY, EPERM, EMLINK: all mean no
        return False
    finally:
        target.unlink(missing_ok=True)
    return True


def _created(path: Path, mode: int) -> io.FileIO:
    return io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w")
