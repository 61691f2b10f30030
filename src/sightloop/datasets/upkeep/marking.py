"""Finding out what is needed: from every root along everything that it leads to.

For each million samples this holds about 200 MB: the keys of their rows, eight bytes of every
image's digest (two images that agree in those are both kept) and eight of every sample id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sightloop.datasets import tree
from sightloop.datasets.errors import ObjectDamaged, ObjectMissing
from sightloop.datasets.keys import ObjectKey, SampleKey, digest_of_key, object_key
from sightloop.datasets.records import decode_commit
from sightloop.datasets.store import present_objects
from sightloop.datasets.tombstones import erased_keys
from sightloop.datasets.upkeep import mentions, store
from sightloop.kernel.blobs import Blobs
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace

RECENT = "moved lately"
"""The holder of what a branch, tag or remote pointed at within the grace period."""

_SHORT_BYTES = 8
_MERGE_ABOVE = 1 << 20


@dataclass(slots=True)
class Holder:
    """Somebody who needs things, and how much nobody before needed already."""

    name: str
    n_commits: int = 0
    n_objects: int = 0
    object_bytes: int = 0


class Root(NamedTuple):
    """Where to begin, and on whose behalf."""

    holder: str
    key: ObjectKey


class Marks:
    """What is needed. Grows only; belongs to one thread."""

    def __init__(self, blobs: Blobs, progress: Progress = silent) -> None:
        self.holders: list[Holder] = []
        self.objects: set[ObjectKey] = set()
        self._codes: dict[str, int] = {}
        self._blobs: dict[int, int] = {}
        self._samples = _SampleMarks()
        self._store = blobs
        self._progress = progress

    def add_roots(self, tx: Tx, roots: Iterable[Root]) -> None:
        """Everything that these lead to is needed: as objects, as blobs, or as both.

        Raises:
            ObjectMissing: something needed is not there, and was not erased.
            ObjectDamaged: something needed has changed, so what it leads to is not known.
        """
        for some in store.chunks(roots, store.AT_ONCE):
            present = present_objects(tx, {root.key for root in some} - self.objects)
            for root in some:
                code = self._code_of(root.holder)
                if root.key in present and root.key not in self.objects:
                    self._follow(tx, root.key, code)
                self._follow_records(root.key, code)

    def add_blobs(self, roots: Iterable[Root]) -> None:
        """These are needed as blobs, whatever objects have the same names."""
        for root in roots:
            self._follow_records(root.key, self._code_of(root.holder))

    def holder_of_blob(self, key: ObjectKey) -> str | None:
        """Who needs the blob; None if nobody does."""
        code = self._blobs.get(_short(key))
        return None if code is None else self.holders[code].name

    def needs_sample(self, samples: list[SampleKey]) -> NDArray[np.bool_]:
        """Whether a needed commit has, or had, each of the samples."""
        return self._samples.has(samples)

    def _code_of(self, holder: str) -> int:
        if holder not in self._codes:
            self._codes[holder] = len(self.holders)
            self.holders.append(Holder(holder))
        return self._codes[holder]

    def _follow(self, tx: Tx, root: ObjectKey, code: int) -> None:
        ahead = [root]
        self.objects.add(root)
        while ahead:
            some = ahead[-store.AT_ONCE :]
            del ahead[-store.AT_ONCE :]
            ahead += self._open(tx, some, code)
            self._progress("looking what is needed", len(self.objects), 0)

    def _open(self, tx: Tx, keys: list[ObjectKey], code: int) -> list[ObjectKey]:
        """Count these objects; returns those that they lead to and that are new."""
        holder = self.holders[code]
        found, new = 0, []
        for one in store.find_objects(tx, keys):
            if hashlib.sha256(one.content).digest() != one.key:
                raise ObjectDamaged(digest=digest_of_key(one.key))
            found += 1
            holder.n_objects += 1
            holder.object_bytes += len(one.content)
            holder.n_commits += one.kind == "commit"
            for key in self._led_to(one, code):
                if key not in self.objects:
                    self.objects.add(key)
                    new.append(key)
        if found < len(keys):
            self._check_missing(tx, keys)
        return new

    def _led_to(self, one: store.FoundObject, code: int) -> list[ObjectKey]:
        if one.kind == "commit":
            record = decode_commit(one.content, what=f"commit {digest_of_key(one.key)}")
            return [object_key(each) for each in (record.root, record.taxonomy, *record.parents)]
        if one.kind == "node":
            links = tree.links(one.content)
            self._samples.add(sample for sample, _ in links.rows)
            return [*links.nodes, *(row for _, row in links.rows)]
        if one.kind == "row":
            image = object_key(_IMAGES.decode(one.content).image)
            self._blobs.setdefault(_short(image), code)
        return []

    def _check_missing(self, tx: Tx, keys: list[ObjectKey]) -> None:
        missing = set(keys) - present_objects(tx, keys)
        for key in missing - erased_keys(tx, missing):
            raise ObjectMissing(digest=digest_of_key(key))

    def _follow_records(self, root: ObjectKey, code: int) -> None:
        ahead = [root]
        while ahead:
            key = ahead.pop()
            if _short(key) not in self._blobs:
                self._blobs[_short(key)] = code
                ahead += mentions.in_blob(self._store, key)


def roots_in_refs(tx: Tx, recent: Iterable[Digest]) -> list[Root]:
    """Branches and tags first, then every other kind of ref, then where they lately were."""
    refs = store.every_ref(tx)
    named = [Root(f"{kind} {name}", object_key(commit)) for kind, name, commit in refs]
    return named + [Root(RECENT, object_key(commit)) for commit in sorted(recent)]


def mark_all(workspace: Workspace, tx: Tx, marks: Marks, *, recent: Iterable[Digest]) -> None:
    """Mark from every root there is.

    Raises:
        ObjectMissing: something needed is not there, and was not erased.
        ObjectDamaged: something needed has changed, so what it leads to is not known.
    """
    roots = roots_in_refs(tx, recent)
    marks.add_roots(tx, (root for root in roots if root.holder != RECENT))
    for root in roots:
        if root.holder.startswith(("branch ", "tag ")) and root.key not in marks.objects:
            raise ObjectMissing(digest=digest_of_key(root.key))
    marks.add_roots(tx, (Root(*one) for one in mentions.in_tables(tx)))
    marks.add_roots(tx, (Root(*one) for one in mentions.in_files(workspace)))
    marks.add_blobs(Root(*one) for one in mentions.in_history(tx))
    marks.add_roots(tx, (root for root in roots if root.holder == RECENT))


class _SampleMarks:
    """Sample ids by their first eight bytes."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.uint64)
        self._new: list[bytes] = []

    def add(self, samples: Iterable[SampleKey]) -> None:
        self._new += [sample[:_SHORT_BYTES] for sample in samples]
        if len(self._new) > _MERGE_ABOVE:
            self._merge()

    def has(self, samples: list[SampleKey]) -> NDArray[np.bool_]:
        self._merge()
        short = _numbers([sample[:_SHORT_BYTES] for sample in samples])
        return np.isin(short, self._sorted)

    def _merge(self) -> None:
        if self._new:
            self._sorted = np.union1d(self._sorted, _numbers(self._new))
            self._new = []


def _numbers(short: list[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(short), np.uint64)


def _short(key: ObjectKey) -> int:
    return int.from_bytes(key[:_SHORT_BYTES], "big")


class _Image(msgspec.Struct):
    image: Digest


_IMAGES = msgspec.json.Decoder(_Image)
