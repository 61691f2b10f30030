"""Verifying: is everything that refs lead to still what its name says, and if not, whose is it?

Nothing is changed by looking. Repairing is asked for by naming a remote, and then only bytes that
match their digest take the place of those that do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

import msgspec

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.keys import ObjectKey, digest_of_key, object_key
from sightloop.datasets.remotes.connecting import connect
from sightloop.datasets.remotes.repairing import repair_source
from sightloop.datasets.remotes.store import promised_among
from sightloop.datasets.upkeep import store
from sightloop.datasets.upkeep.flaws import (
    N_COMMITS_LISTED,
    N_NAMES_LISTED,
    Flaw,
    FlawState,
    Verified,
)
from sightloop.datasets.upkeep.selecting import RowFacts, rows_of_images
from sightloop.datasets.upkeep.surveying import Part, Survey, hash_images, survey_objects
from sightloop.datasets.upkeep.whereabouts import places_of
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.workspace import Call, Workspace


class VerifyData(msgspec.Struct, frozen=True, kw_only=True):
    """Hash everything that `ref` and its history lead to; without one, what all refs lead to."""

    ref: str = ""
    repair_from: str = ""
    """A remote: what is damaged or missing here is put right from there."""


class Source(Protocol):
    """Where right bytes may be had. What it gives is checked before it is used."""

    def objects(self, digests: Collection[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Those of the objects that it has."""
        ...

    def images(self, digests: Collection[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Those of the images that it has."""
        ...


def verify_data(workspace: Workspace, call: Call, request: VerifyData) -> Verified:
    """What is damaged or missing of what refs lead to, and which commits that touches.

    Raises:
        NoSuchRef, AmbiguousRef: `ref` names no commit.
        NoSuchRemote: no remote is called `repair_from`.
        NotFound: nothing was pushed there yet.
        RemoteUnavailable, RemoteDenied: it cannot be read; what was repaired stays so.
        RemoteDamaged: some of what it has is damaged too; everything else was repaired.
        DiskFull: no room for a repaired part; what was repaired stays so.
    """
    if not request.repair_from:
        return verify(workspace, call, ref=request.ref, source=None)
    require(call.actor, Permission.WRITE_DATA)  # before anybody is asked for anything
    with repair_source(connect(workspace, request.repair_from)) as source:
        return verify(workspace, call, ref=request.ref, source=source)


def verify(workspace: Workspace, call: Call, *, ref: str = "", source: Source | None) -> Verified:
    """What is damaged or missing, and with a source, what of it could be repaired.

    Raises:
        NoSuchRef, AmbiguousRef: `ref` names no commit.
        DiskFull: no room for a repaired part; what was repaired stays so.
    """
    require(call.actor, Permission.READ if source is None else Permission.WRITE_DATA)
    with workspace.db.read() as tx:
        refs = _refs(tx, ref)
        survey = survey_objects(tx, refs.values(), call.progress)
    found = dict(survey.flaws)
    repaired: set[Part] = set()
    while source is not None and (mended := _repair_objects(workspace, survey, source)):
        repaired |= mended
        with workspace.db.read() as tx:  # what was repaired leads to parts not looked at yet
            survey = survey_objects(tx, refs.values(), call.progress)
        found.update(survey.flaws)
    with workspace.db.read() as tx:
        left = promised_among(tx, survey.images)
    promised = {key for key in left if not workspace.blobs.has(digest_of_key(key))}
    images = survey.images - promised
    bad_images, image_bytes = hash_images(workspace.blobs, images, call.progress)
    found.update((Part(key, "image"), state) for key, state in bad_images.items())
    if source is not None:
        repaired |= _repair_images(workspace, bad_images, source)
    with workspace.db.read() as tx:
        flaws = _told(tx, refs, survey, found, repaired)
    return Verified(
        refs=sorted(refs),
        n_commits=len(survey.commits),
        n_objects=len(survey.seen),
        n_images=len(images),
        size_bytes=survey.size_bytes + image_bytes,
        n_erased=survey.n_erased,
        n_promised=len(promised),
        flaws=flaws,
    )


def _refs(tx: Tx, ref: str) -> dict[str, Digest]:
    if ref:
        return {ref: resolve_ref(tx, ref)}
    return {f"{kind} {name}": commit for kind, name, commit in store.every_ref(tx)}


def _repair_objects(workspace: Workspace, survey: Survey, source: Source) -> set[Part]:
    by_digest = {digest_of_key(part.key): part for part in survey.flaws}
    mended = set()
    for digest, content in source.objects(by_digest) if by_digest else ():
        if digest in by_digest and digest_of(content) == digest:
            part = by_digest[digest]
            with workspace.db.write() as tx:
                store.replace_object(tx, part.key, part.kind, content)
            mended.add(part)
    return mended


def _repair_images(
    workspace: Workspace, flaws: Mapping[ObjectKey, FlawState], source: Source
) -> set[Part]:
    wanted = {digest_of_key(key) for key in flaws}
    mended = set()
    for digest, content in source.images(wanted) if wanted else ():
        if digest in wanted and digest_of(content) == digest:
            workspace.blobs.replace_damaged(digest, content)
            mended.add(Part(object_key(digest), "image"))
    return mended


def _told(
    tx: Tx,
    refs: Mapping[str, Digest],
    survey: Survey,
    found: Mapping[Part, FlawState],
    repaired: Collection[Part],
) -> list[Flaw]:
    """Each flaw with what it touches; looks through the trees only when there is one."""
    if not found:
        return []
    images = {digest_of_key(part.key) for part in found if part.kind == "image"}
    rows = rows_of_images(tx, images) if images else {}
    wanted = {part.key for part in found if part.kind != "image"} | rows.keys()
    commits_of: dict[ObjectKey, list[Digest]] = defaultdict(list)
    for place in places_of(tx, wanted, survey.commits):
        for key in place.found:
            commits_of[key].append(place.commit)
    rows_of: dict[Digest, dict[ObjectKey, RowFacts]] = defaultdict(dict)
    for key, row in rows.items():
        rows_of[row.image][key] = row
    flaws = []
    for part in sorted(found, key=lambda part: (part.kind, part.key)):
        shown = rows_of[digest_of_key(part.key)] if part.kind == "image" else {}
        held = {commit for key in (part.key, *shown) for commit in commits_of[key]}
        if part.kind == "commit":
            held.add(digest_of_key(part.key))
        flaws.append(_flaw(part, found[part], held, shown, refs, is_repaired=part in repaired))
    return flaws


def _flaw(
    part: Part,
    state: FlawState,
    commits: Collection[Digest],
    rows: Mapping[ObjectKey, RowFacts],
    refs: Mapping[str, Digest],
    *,
    is_repaired: bool,
) -> Flaw:
    return Flaw(
        digest=digest_of_key(part.key),
        kind=part.kind,
        state=state,
        n_commits=len(commits),
        commits=sorted(commits)[:N_COMMITS_LISTED],
        refs=sorted(name for name, commit in refs.items() if commit in commits),
        samples=sorted({row.sample for row in rows.values()})[:N_NAMES_LISTED],
        file_names=sorted({row.file_name for row in rows.values()})[:N_NAMES_LISTED],
        is_repaired=is_repaired,
    )
