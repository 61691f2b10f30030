"""Hashing everything that commits lead to, and noting what is not what its name says.

Unlike every other reader this one goes on at damage: it is there to find all of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from sightloop.datasets import tree
from sightloop.datasets.keys import ObjectKey, digest_of_key, object_key
from sightloop.datasets.records import decode_commit
from sightloop.datasets.tombstones import erased_keys, has_tombstones
from sightloop.datasets.upkeep import store
from sightloop.datasets.upkeep.flaws import FlawState, PartKind
from sightloop.kernel.blobs import BlobDamaged, BlobMissing, Blobs
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress

_IMAGES_AT_ONCE = 32
_MAX_THREADS = 8


class Part(NamedTuple):
    """Something that a commit leads to."""

    key: ObjectKey
    kind: PartKind


@dataclass(slots=True)
class Survey:
    """What was seen so far."""

    seen: set[ObjectKey] = field(default_factory=set)
    commits: set[ObjectKey] = field(default_factory=set)
    images: set[ObjectKey] = field(default_factory=set)
    flaws: dict[Part, FlawState] = field(default_factory=dict)
    n_erased: int = 0
    size_bytes: int = 0


def survey_objects(tx: Tx, commits: Iterable[Digest], progress: Progress) -> Survey:
    """Every object that the commits and their ancestors lead to, and the images that rows name."""
    survey = Survey()
    ahead = [Part(object_key(one), "commit") for one in commits]
    survey.seen.update(part.key for part in ahead)
    while ahead:
        some = {part.key: part for part in ahead[-store.AT_ONCE :]}
        del ahead[-store.AT_ONCE :]
        ahead += _open(tx, survey, some)
        progress("checking objects", len(survey.seen), 0)
    if has_tombstones(tx):
        erased = erased_keys(tx, survey.images)
        survey.images -= erased
        survey.n_erased += len(erased)
    return survey


def hash_images(
    blobs: Blobs, images: Collection[ObjectKey], progress: Progress
) -> tuple[dict[ObjectKey, FlawState], int]:
    """Which of the images are damaged or missing, and how many bytes were hashed.

    In several threads: reading and hashing leave the interpreter free.
    """
    ordered = sorted(images)
    tasks = list(store.chunks(ordered, _IMAGES_AT_ONCE))
    flaws: dict[ObjectKey, FlawState] = {}
    size_bytes = n_done = 0
    n_threads = min(_MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads, thread_name_prefix="verify") as pool:
        for task, found in zip(tasks, pool.map(_hasher(blobs), tasks), strict=True):
            for key, state_or_size in zip(task, found, strict=True):
                if isinstance(state_or_size, int):
                    size_bytes += state_or_size
                else:
                    flaws[key] = state_or_size
            n_done += len(task)
            progress("checking images", n_done, len(ordered))
    return flaws, size_bytes


def _open(tx: Tx, survey: Survey, parts: dict[ObjectKey, Part]) -> list[Part]:
    new: list[Part] = []
    present = set()
    for one in store.find_objects(tx, parts):
        present.add(one.key)
        survey.size_bytes += len(one.content)
        part = parts[one.key]
        if hashlib.sha256(one.content).digest() != one.key:
            survey.flaws[part] = "damaged"
            continue
        for led_to in _led_to(part, one.content, survey):
            if led_to.key not in survey.seen:
                survey.seen.add(led_to.key)
                new.append(led_to)
    missing = parts.keys() - present
    erased = erased_keys(tx, missing) if missing else set()
    survey.n_erased += len(erased)
    survey.flaws.update((parts[key], "missing") for key in missing - erased)
    return new


def _led_to(part: Part, content: bytes, survey: Survey) -> list[Part]:
    if part.kind == "commit":
        survey.commits.add(part.key)
        record = decode_commit(content, what=f"commit {digest_of_key(part.key)}")
        return [
            Part(object_key(record.root), "node"),
            Part(object_key(record.taxonomy), "taxonomy"),
            *(Part(object_key(one), "commit") for one in record.parents),
        ]
    if part.kind == "node":
        links = tree.links(content)
        nodes = [Part(key, "node") for key in links.nodes]
        return nodes + [Part(key, "row") for _, key in links.rows]
    if part.kind == "row":
        survey.images.add(object_key(_IMAGES.decode(content).image))
    return []


def _hasher(blobs: Blobs) -> Callable[[list[ObjectKey]], list[FlawState | int]]:
    def hash_one(key: ObjectKey) -> FlawState | int:
        try:
            return sum(len(chunk) for chunk in blobs.stream(digest_of_key(key)))
        except (BlobMissing, FileNotFoundError):
            return "missing"
        except (BlobDamaged, OSError):  # OSError: the disk cannot read its sectors
            return "damaged"

    return lambda keys: [hash_one(key) for key in keys]


class _Image(msgspec.Struct):
    image: Digest


_IMAGES = msgspec.json.Decoder(_Image)
