"""Settling the conflicts of an open merge, one by one."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sightloop.datasets.boxes import overshoot_px
from sightloop.datasets.branches import head_of
from sightloop.datasets.conflicts import (
    AnnotationConflict,
    Conflict,
    FieldConflict,
    FieldValue,
    Resolution,
    Take,
    sample_of,
    takes_of,
)
from sightloop.datasets.errors import BadResolution, NoSuchConflict
from sightloop.datasets.geometry import Geometry, SizePx
from sightloop.datasets.merge import combined
from sightloop.datasets.merges import (
    Decision,
    OpenMerge,
    list_merges,
    write_resolutions,
)
from sightloop.datasets.merging import merged_classes, open_merge
from sightloop.datasets.samples import load_commit, load_samples
from sightloop.datasets.store import StoredNodes
from sightloop.datasets.values import Annotation, Sample, SampleId, Taxonomy
from sightloop.kernel.actors import ActorId, Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace

MAX_PAGE = 500
BY_HAND = "human"
_ROUNDING_PX = 0.001


class ListMerges(msgspec.Struct, frozen=True, kw_only=True):
    """Open merges, into that branch if one is named."""

    branch: str = ""


class MergeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An open merge without its conflicts."""

    id: str
    branch: str
    source: str
    ours: Digest
    theirs: Digest
    base: Digest | None
    message: str
    n_conflicts: int
    n_resolved: int
    is_outdated: bool
    """The branch has moved since: merge again."""
    opened_by: ActorId
    opened_at_ms: int


class ListConflicts(msgspec.Struct, frozen=True, kw_only=True):
    """Conflicts of an open merge, in order of their numbers."""

    merge: str = ""
    """Not needed while only one is open."""
    only_unresolved: bool = False
    after: int = 0
    """Go on after the conflict of that number."""
    limit: int = 50


class ListedConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A conflict, what was decided about it, and the sample it is on."""

    number: int
    conflict: Conflict
    takes: list[Take]
    """How it can be settled."""
    decision: Decision | None
    sample: Sample | None
    """As on our side, or as on theirs where ours has none; None of a class."""


class ConflictPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some conflicts of an open merge."""

    merge: MergeFacts
    taxonomy: Taxonomy
    """The classes that annotations of the merge can have."""
    conflicts: list[ListedConflict]
    next_after: int | None
    """Where the next page begins; None after the last."""


class ResolveConflict(msgspec.Struct, frozen=True, kw_only=True):
    """Which side is right, or by hand: what is right instead."""

    merge: str = ""
    """Not needed while only one is open."""
    conflict: int
    take: Take
    geometry: Geometry | None = None
    """By hand, of an annotation: where it is; unless given, as on our side."""
    class_name: str = ""
    """By hand, of an annotation: name or id of its class; unless given, as on our side."""
    remove: bool = False
    """By hand, of an annotation: there is no such object."""
    value: FieldValue = None
    """By hand, of a field."""


def list_open_merges(workspace: Workspace, call: Call, request: ListMerges) -> list[MergeFacts]:
    """Merges that wait for decisions, the oldest first."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return [_facts(tx, one) for one in list_merges(tx, branch=request.branch or None)]


def list_conflicts(workspace: Workspace, call: Call, request: ListConflicts) -> ConflictPage:
    """What the two sides of an open merge contradict each other in.

    Raises:
        NoSuchMerge: no merge of that id is open.
        WhichMerge: several are, and none is named.
    """
    require(call.actor, Permission.READ)
    limit = min(max(request.limit, 1), MAX_PAGE)
    with workspace.db.read() as tx:
        merge = open_merge(tx, request.merge)
        numbers = [
            number
            for number in range(max(request.after, 0) + 1, len(merge.conflicts) + 1)
            if not (request.only_unresolved and number in merge.resolutions)
        ]
        shown = numbers[:limit]
        samples = _samples(tx, merge, [merge.conflicts[number - 1] for number in shown])
        return ConflictPage(
            merge=_facts(tx, merge),
            taxonomy=merged_classes(tx, merge),
            conflicts=[_listed(merge, number, samples) for number in shown],
            next_after=shown[-1] if len(numbers) > limit else None,
        )


def resolve_conflict(workspace: Workspace, call: Call, request: ResolveConflict) -> ListedConflict:
    """Settle a conflict; a later decision replaces an earlier one. No branch moves.

    Raises:
        NoSuchMerge: no merge of that id is open.
        WhichMerge: several are, and none is named.
        NoSuchConflict: it has no conflict of that number.
        BadResolution: it cannot be settled like this.
    """
    require(call.actor, Permission.LABEL)
    at_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        merge = open_merge(tx, request.merge)
        number = request.conflict
        if not 1 <= number <= len(merge.conflicts):
            raise NoSuchConflict(merge=merge.id, conflict=number)
        conflict = merge.conflicts[number - 1]
        samples = _samples(tx, merge, [conflict])
        checked = _Checked(number, conflict, samples.get(sample_of(conflict)))
        resolution = checked.resolution(request, merged_classes(tx, merge))
        decision = Decision(resolution, call.actor.id, at_ms)
        merge = msgspec.structs.replace(merge, resolutions={**merge.resolutions, number: decision})
        write_resolutions(tx, merge)
    return _listed(merge, number, samples)


class _Checked(NamedTuple):
    """A conflict and the sample it is on, to hold a request against."""

    number: int
    conflict: Conflict
    sample: Sample | None

    def resolution(self, request: ResolveConflict, taxonomy: Taxonomy) -> Resolution:
        """What is asked for, if it is possible."""
        takes = takes_of(self.conflict)
        if request.take not in takes:
            raise self._bad(f"{request.take!r} is none of {', '.join(takes)}")
        if request.take != "by hand":
            return Resolution(take=request.take)
        if isinstance(self.conflict, AnnotationConflict):
            return Resolution(take="by hand", annotation=self._drawn(request, taxonomy))
        assert isinstance(self.conflict, FieldConflict), "of others one side is right"
        self._check_value(request.value)
        return Resolution(take="by hand", value=request.value)

    def _drawn(self, request: ResolveConflict, taxonomy: Taxonomy) -> Annotation | None:
        if request.remove:
            return None
        if request.geometry is None and not request.class_name:
            raise self._bad("give a box, a class, or say that there is no such object")
        annotation = self._settled_part()
        if request.geometry is not None:
            self._check_geometry(request.geometry)
            annotation = msgspec.structs.replace(annotation, geometry=request.geometry)
        if request.class_name:
            ids = {one.name: one.id for one in taxonomy.classes} | {
                one: one for one in taxonomy.class_ids
            }
            if request.class_name not in ids:
                known = ", ".join(sorted(taxonomy.class_names))
                raise self._bad(f"class {request.class_name!r} is none of {known}")
            annotation = msgspec.structs.replace(annotation, class_id=ids[request.class_name])
        return msgspec.structs.replace(annotation, source=BY_HAND, state="verified")

    def _settled_part(self) -> Annotation:
        """The annotation with everything that the sides agree on, the rest as on our side."""
        conflict = self.conflict
        assert isinstance(conflict, AnnotationConflict), "only annotations are drawn"
        if conflict.ours and conflict.theirs and conflict.kind != "both added":
            return combined(conflict.base, conflict.ours, conflict.theirs, prefer="ours")
        known = conflict.ours or conflict.theirs
        assert known is not None, "a conflict has at least one side"
        return known

    def _check_geometry(self, geometry: Geometry) -> None:
        assert self.sample is not None, "an annotation is on a sample"
        size = SizePx(self.sample.width_px, self.sample.height_px)
        if overshoot_px(geometry, size) > _ROUNDING_PX:
            raise self._bad(f"{geometry} reaches out of the image of {size[0]} x {size[1]} px")

    def _check_value(self, value: FieldValue) -> None:
        conflict, sample = self.conflict, self.sample
        assert isinstance(conflict, FieldConflict), "only fields have values"
        assert sample is not None, "a field is one of a sample"
        content = msgspec.to_builtins(sample)
        if conflict.field.startswith("slice "):
            if value is not None and not isinstance(value, str):
                raise self._bad(f"{value!r} is not a text")
            return
        try:
            msgspec.convert({**content, conflict.field: value}, Sample)
        except msgspec.ValidationError as error:
            raise self._bad(f"{value!r} cannot be its {conflict.field}: {error}") from error
        if conflict.field == "split_key" and not value:
            raise self._bad("a split key cannot be empty")

    def _bad(self, problem: str) -> BadResolution:
        return BadResolution(conflict=self.number, problem=problem)


def _facts(tx: Tx, merge: OpenMerge) -> MergeFacts:
    return MergeFacts(
        id=merge.id,
        branch=merge.branch,
        source=merge.source,
        ours=merge.ours,
        theirs=merge.theirs,
        base=merge.base,
        message=merge.message,
        n_conflicts=len(merge.conflicts),
        n_resolved=len(merge.resolutions),
        is_outdated=head_of(tx, merge.branch) != merge.ours,
        opened_by=merge.opened_by,
        opened_at_ms=merge.opened_at_ms,
    )


def _listed(
    merge: OpenMerge, number: int, samples: dict[SampleId | None, Sample]
) -> ListedConflict:
    conflict = merge.conflicts[number - 1]
    return ListedConflict(
        number=number,
        conflict=conflict,
        takes=list(takes_of(conflict)),
        decision=merge.resolutions.get(number),
        sample=samples.get(sample_of(conflict)),
    )


def _samples(tx: Tx, merge: OpenMerge, conflicts: list[Conflict]) -> dict[SampleId | None, Sample]:
    """The samples of these conflicts as on our side, or as on theirs where ours has none."""
    ids = {one for conflict in conflicts if (one := sample_of(conflict)) is not None}
    found: dict[SampleId | None, Sample] = {}
    for commit in (merge.theirs, merge.ours):
        samples = load_samples(tx, StoredNodes(tx), load_commit(tx, commit).root, ids)
        found.update(samples.items())
    return found
