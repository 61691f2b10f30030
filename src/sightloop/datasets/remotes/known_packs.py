"""Which packs a remote has and what is in them: its indexes, each fetched once and kept here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightloop.datasets.errors import RemoteDamaged
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.layout import Area, index_name, pack_name, parse_pack_name
from sightloop.datasets.remotes.packs import PackIndex, Piece, decode_index
from sightloop.kernel.files import write_atomic


class PackedPieces(NamedTuple):
    """What is wanted of one pack."""

    digits: str
    pieces: list[Piece]


class KnownPacks:
    """The packs of one area of a remote, as they were when last listed."""

    def __init__(self, remote: Remote, area: Area, cache: Path) -> None:
        self._remote = remote
        self.area: Area = area
        self._cache = cache / area
        self._indexes: dict[str, PackIndex] = {}
        self._bare: set[str] = set()
        self._orphaned: set[str] = set()

    @property
    def packs(self) -> list[str]:
        """The packs that have an index."""
        return sorted(self._indexes)

    @property
    def orphaned(self) -> set[str]:
        """Indexes whose pack is gone: a rewrite that is under way or was interrupted."""
        return self._orphaned

    @property
    def bare(self) -> set[str]:
        """Packs without an index yet: a push that is under way or was interrupted."""
        return self._bare

    def refresh(self, requests: Executor) -> None:
        """List the area, fetch indexes that are not here, and forget packs that are gone.

        Raises:
            RemoteDamaged: an index is not what was written.
        """
        listed = self._listed()
        self._cache.mkdir(parents=True, exist_ok=True)
        unread = sorted(listed - self._indexes.keys())
        self._indexes = {one: known for one, known in self._indexes.items() if one in listed}
        for digits, index in zip(unread, requests.map(self._load, unread), strict=True):
            if index is not None:
                self._indexes[digits] = index
        for file in self._cache.iterdir():
            if file.stem not in listed:
                file.unlink(missing_ok=True)

    def listed_packs(self) -> list[str]:
        """The packs that have an index, without reading any index."""
        return sorted(self._listed())

    def note(self, digits: str, content: bytes) -> None:
        """Remember the index of a pack that this workspace has just sent or read."""
        index = decode_index(content)
        assert index is not None, "it was made here"
        self._indexes[digits] = index
        self._cache.mkdir(parents=True, exist_ok=True)
        write_atomic(self._cache / f"{digits}.index", content)

    def forget(self, digits: str) -> None:
        """The pack was taken away."""
        self._indexes.pop(digits, None)

    def lacking(self, digests: KeyColumn) -> KeyColumn:
        """Those of the digests that no pack holds, in their order."""
        keys = digests.short_keys()
        is_held = np.zeros(len(keys), bool)
        for index in self._indexes.values():
            is_held |= index.has(keys)
        return digests.take(~is_held)

    def locate(self, digests: KeyColumn) -> Iterator[PackedPieces]:
        """Where they are; `wanted` counts along `digests`, each of which is found once at most."""
        left = np.arange(len(digests))
        keys = digests.short_keys()
        for digits in self.packs:
            if not len(left):
                return
            pieces = self._indexes[digits].places(keys[left])
            if pieces:
                yield PackedPieces(digits, [Piece(int(left[at]), place) for at, place in pieces])
                left = np.delete(left, [at for at, _ in pieces])

    def holding(self, digests: KeyColumn) -> list[str]:
        """The packs with any of these in them."""
        keys = digests.short_keys()
        return [one for one in self.packs if self._indexes[one].has(keys).any()]

    def index(self, digits: str) -> PackIndex:
        """The index of one of `packs`."""
        return self._indexes[digits]

    def _listed(self) -> set[str]:
        names = [parse_pack_name(one.name) for one in self._remote.store.list(self.area)]
        indexed = {one.digits for one in names if one is not None and one.is_index}
        packs = {one.digits for one in names if one is not None and not one.is_index}
        self._bare, self._orphaned = packs - indexed, indexed - packs
        return packs & indexed

    def _load(self, digits: str) -> PackIndex | None:
        path = self._cache / f"{digits}.index"
        try:
            index = decode_index(path.read_bytes())
        except FileNotFoundError:
            index = None
        if index is not None:
            return index
        name = index_name(self.area, digits)
        held = self._remote.store.get(name)
        if held is None:
            return None  # the pack was written anew since it was listed
        index = decode_index(held.content)
        if index is None:
            raise RemoteDamaged(
                remote=self._remote.name, objects=[name], problem="has other bytes than were sent"
            )
        write_atomic(path, held.content)
        return index


def damaged(remote: Remote, area: Area, packs: Collection[str], problem: str) -> RemoteDamaged:
    """The error that names these packs."""
    objects = [pack_name(area, one) for one in sorted(packs)]
    return RemoteDamaged(remote=remote.name, objects=objects, problem=problem)
