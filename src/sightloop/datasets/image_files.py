"""Image files of a data set: read from their folder and nowhere else, checked, kept as they are."""

from __future__ import annotations

import errno
import os
import queue
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from sightloop.datasets.exif import UPRIGHT, read_orientation
from sightloop.datasets.formats.listing import ListedImage
from sightloop.datasets.formats.placing import StoredSize, mismatch
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.problems import Problem, ProblemKind
from sightloop.datasets.tombstones import Tombstone
from sightloop.inference.containers import MediaType, read_outline
from sightloop.inference.errors import UnreadableImage
from sightloop.inference.images import MAX_PIXELS, read_facts
from sightloop.kernel.blobs import BlobBatch, Blobs
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.progress import Progress

MAX_BYTES = 1 << 29
"""A file beyond 512 MiB is no image anyone trains on; it is not read."""

_PART_BYTES = 1 << 20

_AT_ONCE = 32
"""Images per task of a thread: few enough for progress, enough to forget the task's own cost."""

_PAYS_FROM = 200
"""Below this many images a second thread costs more than it brings."""

_MAX_THREADS = 4
"""Hashing and file calls run beside each other, the interpreter's own work does not."""


class ImageFacts(NamedTuple):
    """What the bytes of an image file say."""

    size: StoredSize
    media_type: MediaType


class KeptImage(NamedTuple):
    """An image whose bytes wait in a blob batch."""

    image: ListedImage
    digest: Digest
    facts: ImageFacts


def read_image_facts(content: bytes, *, name: str) -> ImageFacts:
    """Size, orientation and kind of an image file; `name` is for the error.

    Its structure is checked to the end but its pixels are not decoded, unless it is turned:
    decoding 10,000 photographs of 50 KB takes 10 s of processor time, this takes 0.3 s, and a
    decoder sees hardly more (damage inside a JPEG scan decodes to wrong pixels, silently).

    Raises:
        UnreadableImage: it is of no known kind, truncated, damaged or too large.
    """
    outline = read_outline(content, name=name)
    stored = SizePx(outline.width_px, outline.height_px)
    orientation = read_orientation(content, outline.media_type)
    size = StoredSize(stored, orientation)
    if orientation != UPRIGHT or stored.width_px * stored.height_px > MAX_PIXELS:
        facts = read_facts(content, name=name)  # what everyone else will see decides
        if size.upright != (facts.width_px, facts.height_px):
            size = StoredSize(SizePx(facts.width_px, facts.height_px), UPRIGHT)
    return ImageFacts(size, outline.media_type)


class ImageFolder:
    """The folder below which a data set's images lie; nothing outside it is ever opened.

    May be used by several threads.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._plain_folders = {""}

    def read(self, image: ListedImage) -> bytes | Problem:
        """The file's bytes, or why it is not read."""
        name = image.file_name
        folder, _, file = name.rpartition("/")
        is_odd = file in ("", ".", "..") or name[0] == "/" or "\0" in file
        try:
            if is_odd or folder not in self._plain_folders:
                path = PurePosixPath(name)
                if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
                    text = "its path leads out of the image folder"
                    return _problem(image, "outside_folder", text)
                if self._leads_elsewhere(path.parent):
                    return _problem(image, "symlink", "its folder is a symbolic link")
                self._plain_folders.add(folder)
            return self._read_plain(image, f"{self._root}/{name}")
        except OSError as error:
            return _problem(image, "unreadable_image", f"it cannot be read ({error.strerror})")

    def _read_plain(self, image: ListedImage, path: str) -> bytes | Problem:
        try:
            # Not blocking: what looks like a file may be a pipe. Not following: whoever could
            # put a link there must not choose what is read.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return _problem(image, "missing_file", f"there is no file {path}")
        except OSError as error:
            if error.errno == errno.ELOOP:
                text = "it is a symbolic link; its target may change"
                return _problem(image, "symlink", text)
            raise
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                return _problem(image, "missing_file", f"{path} is not a file")
            if facts.st_size > MAX_BYTES:
                text = f"it has {facts.st_size} bytes, more than the {MAX_BYTES} allowed"
                return _problem(image, "unreadable_image", text)
            return _read_whole(descriptor, facts.st_size)
        finally:
            os.close(descriptor)

    def _leads_elsewhere(self, folder: PurePosixPath) -> bool:
        name = "" if folder == PurePosixPath() else str(folder)
        if name in self._plain_folders:
            return False
        if self._leads_elsewhere(folder.parent) or os.path.islink(f"{self._root}/{name}"):
            return True
        self._plain_folders.add(name)
        return False


def _read_whole(descriptor: int, size_bytes: int) -> bytes:
    # One byte more than it should have: a short answer is the end, without asking again.
    content = os.read(descriptor, size_bytes + 1)
    if len(content) == size_bytes:
        return content
    parts = [content]
    while more := os.read(descriptor, _PART_BYTES):
        parts.append(more)
    return b"".join(parts)


@contextmanager
def keep_images(
    blobs: Blobs,
    folder: ImageFolder,
    images: Sequence[ListedImage],
    progress: Progress,
    *,
    erased: Mapping[Digest, Tombstone] | None = None,
) -> Iterator[list[KeptImage | Problem]]:
    """Read, check and store the images; they are durable when the block ends without an error.

    Leaving the block by an error keeps none of them. Those that were erased for good are problems.
    """
    n_threads = 1 if len(images) < _PAYS_FROM else min(_MAX_THREADS, os.cpu_count() or 1)
    with ExitStack() as stack:
        # A batch belongs to one thread at a time. Equal images in two batches are one blob.
        batches: queue.SimpleQueue[BlobBatch] = queue.SimpleQueue()
        for _ in range(n_threads):
            batches.put(stack.enter_context(blobs.batch()))

        def keep(some: Sequence[ListedImage]) -> list[KeptImage | Problem]:
            batch = batches.get()
            try:
                return [_keep(batch, folder, image, erased) for image in some]
            finally:
                batches.put(batch)

        tasks = [images[at : at + _AT_ONCE] for at in range(0, len(images), _AT_ONCE)]
        kept: list[KeptImage | Problem] = []
        pool = ThreadPoolExecutor(n_threads, thread_name_prefix="images")
        try:
            for done in pool.map(keep, tasks):
                kept += done
                progress("reading images", len(kept), len(images))
        finally:
            pool.shutdown(cancel_futures=True)
        yield kept


def look_at_images(
    folder: ImageFolder,
    images: Sequence[ListedImage],
    *,
    erased: Mapping[Digest, Tombstone] | None = None,
) -> list[KeptImage | Problem]:
    """What `keep_images` would say of the images; nothing is stored."""
    return [_keep(_Unkept(), folder, image, erased) for image in images]


class _Batch(Protocol):
    def put(self, content: bytes, /) -> Digest:
        """The name of these bytes."""
        ...


class _Unkept:
    def put(self, content: bytes, /) -> Digest:
        """Their name, and nothing more."""
        return digest_of(content)


def _keep(
    batch: _Batch,
    folder: ImageFolder,
    image: ListedImage,
    erased: Mapping[Digest, Tombstone] | None,
) -> KeptImage | Problem:
    content = folder.read(image)
    if isinstance(content, Problem):
        return content
    # Hashed before it is stored, so that not even a temporary file has the bytes.
    if erased and (tombstone := erased.get(digest_of(content))):
        return _problem(image, "erased", f"it was {tombstone.told}; it is left out for good")
    try:
        facts = read_image_facts(content, name=image.file_name)
    except UnreadableImage as error:
        return _problem(image, "unreadable_image", f"it {error.facts['problem']}")
    return mismatch(image, facts.size) or KeptImage(image, batch.put(content), facts)


def _problem(image: ListedImage, kind: ProblemKind, text: str) -> Problem:
    return Problem(kind=kind, text=text, file=image.file_name, image_id=image.id)
