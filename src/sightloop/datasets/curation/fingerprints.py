"""Fingerprints of stored images: made once, kept in a file that may be thrown away.

An image's bytes never change, so a fingerprint holds for as long as `image_hash.VERSION` does. JPEG
files are decoded at a fraction of their size, which is what costs: see docs/results/curation.md.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sightloop.datasets.curation.image_hash import (
    THUMB_PX,
    VERSION,
    Fingerprints,
    fingerprints_of,
)
from sightloop.datasets.keys import ObjectKey, digest_of_key, object_key
from sightloop.inference.containers import read_outline
from sightloop.inference.errors import UnreadableImage
from sightloop.inference.images import MAX_PIXELS
from sightloop.kernel.blobs import BlobDamaged, BlobMissing
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import DiskFull
from sightloop.kernel.files import write_atomic
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace

Numbers = NDArray[Any]

_NAME = f"fingerprints-{VERSION}"
_AT_ONCE = 32
"""Images per task of a thread."""

_SAVE_EVERY = 20_000
"""New fingerprints after which the file is written: what a kill may cost is half a minute."""

_MAX_THREADS = 4
_DIGEST_BYTES = 32
_KEY_BYTES = 32
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)
_LEAST_PX = 4 * THUMB_PX
"""The shorter side is not decoded to fewer pixels: averaging needs something to average."""

_RECORD = np.dtype(
    [
        ("image", "V32"),
        ("coarse", "<u8"),
        ("fine", "<u8", (4,)),
        ("small", "u1", (16, 16)),
        ("contrast", "<f4"),
        ("spread", "<f4"),
    ]
)
_writing = threading.Lock()


class Fingerprinted(NamedTuple):
    """Fingerprints of some images, and those that have none."""

    prints: Fingerprints
    """A row per image that was asked for; a row of zeros, which is like nothing, for unreadable."""
    unreadable: list[Digest]
    n_unreadable: int
    """Rows of such images."""


def fingerprints_for(
    workspace: Workspace, images: Sequence[ObjectKey], progress: Progress = silent
) -> Fingerprinted:
    """The images' fingerprints, in their order; those not known yet are made and kept.

    An image that is missing, damaged or does not decode is named instead, and tried again by the
    next who asks.
    """
    known = _read(workspace)
    n_images = len(set(images))
    unknown = [image for image in dict.fromkeys(images) if image not in known]
    done, unsaved = n_images - len(unknown), 0
    unreadable: list[Digest] = []
    for found in _made(workspace, unknown):
        known.update(found.records)
        unreadable += found.unreadable
        done += len(found.records) + len(found.unreadable)
        unsaved += len(found.records)
        if unsaved >= _SAVE_EVERY:
            _write(workspace, known)
            unsaved = 0
        progress("looking at images", done, n_images)
    if unsaved:
        _write(workspace, known)
    nothing = bytes(_RECORD.itemsize)
    content = b"".join(known.get(image, nothing) for image in images)
    prints = _columns(np.frombuffer(content, _RECORD))
    return Fingerprinted(prints, unreadable, sum(image not in known for image in images))


def forget_fingerprints(workspace: Workspace, images: Collection[Digest]) -> None:
    """Keep no trace of these images: a fingerprint holds a tiny copy of the picture.

    Raises:
        DiskFull: no room to write the file without them; repeat it.
    """
    with _writing:
        known = _read(workspace)
        gone = [key for key in map(object_key, images) if known.pop(key, None) is not None]
        if gone:
            write_atomic(fingerprint_path(workspace), _file_of(known))


def fingerprint_path(workspace: Workspace) -> Path:
    """The file that holds fingerprints, if any were made."""
    return workspace.state / "index" / _NAME


def thumbnail_of(content: bytes, *, name: str) -> Numbers:
    """The upright image in grey, (32, 32) uint8, every pixel the mean of what it covers.

    Raises:
        UnreadableImage: it is of no known kind, damaged, or too large.
    """
    outline = read_outline(content, name=name)
    if outline.width_px * outline.height_px > MAX_PIXELS:
        raise UnreadableImage(name=name, problem=f"has more than {MAX_PIXELS} pixels")
    shorter_px = min(outline.width_px, outline.height_px)
    flag = next(
        (flag for factor, flag in _REDUCED if shorter_px >= factor * _LEAST_PX),
        cv2.IMREAD_GRAYSCALE,
    )
    try:
        grey = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error as error:
        raise UnreadableImage(name=name, problem=f"does not decode ({error})") from error
    if grey is None:
        raise UnreadableImage(name=name, problem=f"is a damaged {outline.media_type} file")
    return cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)


class _Made(NamedTuple):
    records: dict[ObjectKey, bytes]
    unreadable: list[Digest]


def _made(workspace: Workspace, images: Sequence[ObjectKey]) -> Iterator[_Made]:
    tasks = [images[at : at + _AT_ONCE] for at in range(0, len(images), _AT_ONCE)]
    pool = ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), "fingerprints")
    try:
        yield from pool.map(lambda some: _make(workspace, some), tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _make(workspace: Workspace, images: Sequence[ObjectKey]) -> _Made:
    thumbs: dict[ObjectKey, Numbers] = {}
    unreadable = []
    for image in images:
        digest = digest_of_key(image)
        try:
            thumbs[image] = thumbnail_of(workspace.blobs.read(digest), name=digest)
        except (BlobMissing, BlobDamaged, UnreadableImage):
            unreadable.append(digest)
    if not thumbs:
        return _Made({}, unreadable)
    records = np.zeros(len(thumbs), _RECORD)
    prints = fingerprints_of(np.stack(list(thumbs.values())))
    for name in Fingerprints._fields:
        records[name] = getattr(prints, name)
    keyed = zip(thumbs, records, strict=True)
    return _Made(
        {image: image + record.tobytes()[_KEY_BYTES:] for image, record in keyed}, unreadable
    )


def _columns(records: Numbers) -> Fingerprints:
    return Fingerprints(*(np.ascontiguousarray(records[name]) for name in Fingerprints._fields))


def _read(workspace: Workspace) -> dict[ObjectKey, bytes]:
    """What the file holds; nothing if it is missing or damaged."""
    try:
        content = fingerprint_path(workspace).read_bytes()
    except OSError:
        return {}
    digest, body = content[:_DIGEST_BYTES], memoryview(content)[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return {}
    size = _RECORD.itemsize
    records = (bytes(body[at : at + size]) for at in range(0, len(body), size))
    return {ObjectKey(record[:_KEY_BYTES]): record for record in records}


def _write(workspace: Workspace, known: dict[ObjectKey, bytes]) -> None:
    """Keep them for the next process; without room for them, only this one has them."""
    path = fingerprint_path(workspace)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _writing:
            write_atomic(path, _file_of(known))
    except (OSError, DiskFull):
        return


def _file_of(known: dict[ObjectKey, bytes]) -> bytes:
    body = b"".join(known.values())
    return hashlib.sha256(body).digest() + body
