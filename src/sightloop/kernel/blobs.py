"""Bytes named by their SHA-256: written once, durable before anyone can refer to them.

The local store keeps one file per blob under two levels of folders. Original image bytes are
never rewritten, two writers of the same bytes never disturb each other, and every read checks
that the bytes still match their name.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

from sightloop.kernel import blob_folder
from sightloop.kernel.blob_folder import (
    LOCK_PATIENCE_S,
    BlobRemoval,
    Leftover,
    StoredBlob,
    blob_path,
    blob_place,
    mark_used,
)
from sightloop.kernel.digests import Digest, digest_of, parse_digest
from sightloop.kernel.errors import Damaged, NotFound
from sightloop.kernel.files import disk_errors, sync_filesystem, sync_folder, write_atomic

CHUNK_BYTES = 1 << 20


class BlobMissing(Damaged):
    """A record names a blob that the store does not hold."""

    code = "SL-610"

    def __init__(self, *, digest: Digest) -> None:
        super().__init__(
            f"blob {digest} is not in the store; restore it from a backup or a remote",
            digest=digest,
        )


class BlobDamaged(Damaged):
    """A stored blob no longer has the bytes its name promises."""

    code = "SL-611"

    def __init__(self, *, digest: Digest, path: str) -> None:
        super().__init__(
            f"the file {path} no longer holds the bytes of blob {digest}; "
            "it was left as it is - restore it from a backup or a remote",
            digest=digest,
            path=path,
        )


class BlobBatch(Protocol):
    """Collects blobs that become durable together when the batch closes without an error."""

    def put(self, content: bytes) -> Digest:
        """Add these bytes; their name may be used by a reference written after the batch."""
        ...

    def put_file(self, path: Path) -> Digest:
        """Add a file's bytes, streamed; the file itself is only read."""
        ...


class Blobs(Protocol):
    """A store of immutable bytes. Safe for several threads and processes at once."""

    def batch(self) -> AbstractContextManager[BlobBatch]:
        """Open a batch. On exit all its blobs are durable; on an error none need be kept."""
        ...

    def put(self, content: bytes) -> Digest:
        """Store one blob durably; storing the same bytes again does nothing."""
        ...

    def read(self, digest: Digest) -> bytes:
        """The bytes, checked.

        Raises:
            BlobMissing: the store has no such blob.
            BlobDamaged: its bytes have changed.
        """
        ...

    def stream(self, digest: Digest) -> Iterator[bytes]:
        """The bytes in chunks; the last comes after the check, so who has all has the right ones.

        Raises:
            BlobMissing: the store has no such blob.
            BlobDamaged: its bytes have changed; raised in place of the last chunk.
        """
        ...

    def has(self, digest: Digest) -> bool:
        """Whether the store holds the blob; its bytes are not read."""
        ...

    def size_bytes(self, digest: Digest) -> int:
        """How many bytes the blob has.

        Raises:
            BlobMissing: the store has no such blob.
        """
        ...

    def local_path(self, digest: Digest) -> Path:
        """A read-only file with the blob's bytes, for views and ranged reads.

        Raises:
            BlobMissing: the store has no such blob.
        """
        ...

    def protected(self) -> AbstractContextManager[None]:
        """While the block runs no blob is removed; a batch is such a block itself.

        Hold it from the first look at what the store has to the reference that needs it. Blocks
        may stand in one another. A write transaction of the database that stores blobs must stand
        in one: whoever removes blobs waits for this first and for the database second.
        """
        ...

    def removal(
        self, *, patience_s: float = LOCK_PATIENCE_S
    ) -> AbstractContextManager[BlobRemoval]:
        """Wait until nobody stores blobs; others wait with theirs while the block runs.

        Raises:
            BlobsInUse: somebody stored blobs for longer than `patience_s`.
        """
        ...

    def list_blobs(self) -> Iterator[StoredBlob]:
        """Every blob, in no order."""
        ...

    def list_leftovers(self) -> Iterator[Leftover]:
        """What writers have not finished, or never will."""
        ...

    def replace_damaged(self, digest: Digest, content: bytes) -> None:
        """Put the right bytes in the place of changed or missing ones, in one step.

        Raises:
            BlobDamaged: `content` are not the blob's bytes either; nothing was changed.
        """
        ...


def begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, of which one has been read: what cannot be read at all is told before it
    is too late for another status.

    Raises:
        BlobMissing, BlobDamaged: see `Blobs.stream`.
    """
    return chain([next(chunks, b"")], chunks)


class LocalBlobs:
    """Blobs in a folder of this machine.

    A batch writes every blob under a temporary name, then takes two barriers: one that makes the
    contents durable, then, after all were renamed, one that makes the names durable. A crash in
    between leaves temporary files or blobs without a reference, never a name with wrong bytes.
    """

    def __init__(
        self, root: Path, *, explain: Callable[[Digest], BlobMissing] | None = None
    ) -> None:
        """`explain` may know why a blob is missing and what to do; asked only then."""
        self.root = root
        self._explain = explain or _unexplained
        self._incoming = root / blob_folder.INCOMING
        self._incoming.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def batch(self) -> Iterator[LocalBatch]:
        """Open a batch; see `Blobs.batch`."""
        batch = LocalBatch(self.root, self._incoming)
        with disk_errors(self.root), self.protected():
            try:
                yield batch
            except BaseException:
                batch.discard()
                raise
            batch.publish()

    def put(self, content: bytes) -> Digest:
        """Store one blob; see `Blobs.put`."""
        digest = digest_of(content)
        with self.protected():
            is_here = mark_used(blob_place(str(self.root), digest))
        if not is_here:
            with self.batch() as batch:
                batch.put(content)
        return digest

    def read(self, digest: Digest) -> bytes:
        """The bytes, checked; see `Blobs.read`."""
        path = self.local_path(digest)
        content = path.read_bytes()
        if digest_of(content) != digest:
            raise BlobDamaged(digest=digest, path=str(path))
        return content

    def stream(self, digest: Digest) -> Iterator[bytes]:
        """The bytes in chunks; see `Blobs.stream`."""
        path = self.local_path(digest)
        hasher = hashlib.sha256()
        held = b""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                hasher.update(chunk)
                if held:
                    yield held
                held = chunk
        if "sha256:" + hasher.hexdigest() != digest:
            raise BlobDamaged(digest=digest, path=str(path))
        # Not before: whoever counts bytes, as a browser does, would take a damaged file for whole.
        if held:
            yield held

    def has(self, digest: Digest) -> bool:
        """Whether the blob is here; see `Blobs.has`."""
        return blob_path(self.root, digest).exists()

    def size_bytes(self, digest: Digest) -> int:
        """Its size; see `Blobs.size_bytes`."""
        return self.local_path(digest).stat().st_size

    def local_path(self, digest: Digest) -> Path:
        """Its file; see `Blobs.local_path`."""
        path = blob_path(self.root, parse_digest(digest))
        if not path.exists():
            raise self._explain(digest)
        return path

    def protected(self) -> AbstractContextManager[None]:
        """Keep what is here; see `Blobs.protected`."""
        return blob_folder.protected(self.root)

    def removal(
        self, *, patience_s: float = LOCK_PATIENCE_S
    ) -> AbstractContextManager[BlobRemoval]:
        """Take blobs out; see `Blobs.removal`."""
        return blob_folder.removal(self.root, patience_s=patience_s)

    def list_blobs(self) -> Iterator[StoredBlob]:
        """What is here; see `Blobs.list_blobs`."""
        return blob_folder.stored_blobs(self.root)

    def list_leftovers(self) -> Iterator[Leftover]:
        """What is half here; see `Blobs.list_leftovers`."""
        return blob_folder.leftovers(self.root)

    def replace_damaged(self, digest: Digest, content: bytes) -> None:
        """Mend one blob; see `Blobs.replace_damaged`."""
        path = blob_path(self.root, parse_digest(digest))
        if digest_of(content) != digest:
            raise BlobDamaged(digest=digest, path=str(path))
        temporary = self._incoming / secrets.token_hex(12)
        with self.protected():
            write_atomic(temporary, content, mode=0o444)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
            sync_folder(path.parent)


class LocalBatch:
    """Blobs under temporary names, waiting for their barrier. Made by `LocalBlobs.batch`.

    Paths are plain text here: for 100,000 small images, path objects took a third of the time.
    """

    def __init__(self, root: Path, incoming: Path) -> None:
        self._root = str(root)
        self._incoming = str(incoming)
        self._name = secrets.token_hex(12)
        self._n_written = 0
        self._waiting: dict[Digest, str] = {}

    def put(self, content: bytes) -> Digest:
        """Write these bytes unless the store or the batch has them."""
        digest = digest_of(content)
        if not self._knows(digest):
            self._waiting[digest] = self._write_temporary([content])
        return digest

    def put_file(self, path: Path) -> Digest:
        """Read the file once, hashing what is written, so that name and bytes always agree.

        Raises:
            NotFound: there is no such file.
        """
        try:
            with path.open("rb") as file:
                return self._copy(file)
        except FileNotFoundError as error:
            raise NotFound(what="file", name=str(path)) from error

    def _copy(self, file: BinaryIO) -> Digest:
        first = file.read(CHUNK_BYTES)
        if len(first) < CHUNK_BYTES:  # nearly every image: hash before writing, maybe not write
            return self.put(first)
        hasher = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            chunk = first
            while chunk:
                hasher.update(chunk)
                yield chunk
                chunk = file.read(CHUNK_BYTES)

        temporary = self._write_temporary(chunks())
        digest = Digest("sha256:" + hasher.hexdigest())
        if self._knows(digest):
            os.unlink(temporary)
        else:
            self._waiting[digest] = temporary
        return digest

    def publish(self) -> None:
        """Make every waiting blob durable under its name."""
        if not self._waiting:
            return
        sync_filesystem(Path(self._incoming))
        for digest, temporary in self._waiting.items():
            place = blob_place(self._root, digest)
            try:
                os.replace(temporary, place)
            except FileNotFoundError:  # the first blob whose digest begins like this
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.replace(temporary, place)
        sync_filesystem(Path(self._root))
        self._waiting = {}

    def discard(self) -> None:
        """Drop what waits."""
        for temporary in self._waiting.values():
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        self._waiting = {}

    def _knows(self, digest: Digest) -> bool:
        # Marked as used, so that whoever removes old blobs passes it over; one call, as exists().
        return digest in self._waiting or mark_used(blob_place(self._root, digest))

    def _write_temporary(self, chunks: Iterable[bytes]) -> str:
        self._n_written += 1
        temporary = f"{self._incoming}/{self._name}-{self._n_written}"
        # Read-only from the start: views may be hard links to this very file.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            for chunk in chunks:
                left = memoryview(chunk)
                while left:
                    left = left[os.write(descriptor, left) :]
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        return temporary


def _unexplained(digest: Digest) -> BlobMissing:
    return BlobMissing(digest=digest)
