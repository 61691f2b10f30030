"""Which digests the rest of the workspace names: in its tables, its files, its small blobs.

The rooms below are not known here, so whatever reads like a digest counts. To keep too much costs
disk; to miss one would lose somebody's data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets import indexes
from sightloop.datasets.keys import ObjectKey, digest_of_key
from sightloop.datasets.upkeep import store
from sightloop.kernel.blobs import BlobMissing, Blobs
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Workspace

PREFIX = "sha256:"

OWN_TABLES = frozenset(
    {
        "dataset_objects",
        "dataset_promised_blobs",
        "dataset_refs",
        "dataset_ref_log",
        "dataset_split_keys",
        "dataset_tombstones",
    }
)
"""Tables whose meaning is known: what they need is found by following them."""

HISTORY = frozenset({"events", "audit_seals"})
"""What happened once. It keeps the files that it names, such as saved policies, but no commit:
every commit there ever was is named there."""

APART = frozenset({"blobs", indexes.FOLDER})
"""Folders of the state folder that are looked through otherwise, or say nothing new."""

DATABASE = "sightloop.db"
"""How the database's own files in the state folder begin."""

MAX_RECORD_BYTES = 64 << 20
"""A blob beyond this is an image or a model, not a record that names others."""

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_RECORD_BEGINS = (b"{", b"[")
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_FILE_CHUNK_BYTES = 1 << 24
_OVERLAP_BYTES = 80


class Mention(NamedTuple):
    """A digest and who names it."""

    holder: str
    key: ObjectKey


def in_tables(tx: Tx) -> Iterator[Mention]:
    """What tables of other parts and rooms name now."""
    for table, text in store.texts_with(tx, PREFIX, apart_from=OWN_TABLES | HISTORY):
        yield from (Mention(table, key) for key in digests_in(text))


def in_history(tx: Tx) -> Iterator[Mention]:
    """What the history names: see `HISTORY`."""
    others = {table.name for table in store.every_table()} - HISTORY
    for table, text in store.texts_with(tx, PREFIX, apart_from=others):
        yield from (Mention(table, key) for key in digests_in(text))


def in_files(workspace: Workspace) -> Iterator[Mention]:
    """What files of the workspace name: working copies, jobs, signed metadata."""
    for folder, path in state_files(workspace):
        holder = f"{workspace.state.name}/{folder}"
        if path.suffix.lower() not in _PICTURES:  # laid out for a training, as big as the store
            yield from (Mention(holder, key) for key in _digests_in_file(path))


def in_blob(blobs: Blobs, key: ObjectKey) -> set[ObjectKey]:
    """What the blob names, if it is a record and not an image or a model; it need not be there."""
    digest = digest_of_key(key)
    try:
        if blobs.size_bytes(digest) > MAX_RECORD_BYTES:
            return set()
        with blobs.local_path(digest).open("rb") as file:
            first = file.read(1)
            return digests_in(first + file.read()) if first in _RECORD_BEGINS else set()
    except (BlobMissing, FileNotFoundError):
        return set()


def digests_in(text: bytes) -> set[ObjectKey]:
    """Everything in it that reads like a SHA-256, with or without its algorithm in front.

    >>> len(digests_in(b"sha256:" + b"0" * 64)), len(digests_in(b"0" * 65))
    (1, 0)
    """
    return {ObjectKey(bytes.fromhex(match[0].decode())) for match in _DIGEST.finditer(text)}


def state_files(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    """Every file of the workspace's state that is neither store nor index, and its top folder."""
    state = workspace.state
    for top in sorted(state.iterdir()):
        if top.name in APART or top.name.startswith(DATABASE):
            continue
        if top.is_dir() and not top.is_symlink():
            yield from ((top.name, path) for path in sorted(top.rglob("*")) if _is_plain(path))
        elif _is_plain(top):
            yield top.name, top


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _digests_in_file(path: Path) -> Iterator[ObjectKey]:
    try:
        with path.open("rb") as file:
            end = b""
            while chunk := file.read(_FILE_CHUNK_BYTES):
                yield from digests_in(end + chunk)
                end = chunk[-_OVERLAP_BYTES:]
    except OSError:  # it went meanwhile; what cannot be read names nothing that anyone could follow
        return
