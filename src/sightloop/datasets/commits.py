"""Making and looking at commits."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import msgspec

from sightloop.datasets.ancestry import History
from sightloop.datasets.boxes import overshoot_px
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.changes import Change
from sightloop.datasets.drafts import DATASET_COMMITTED, Draft, Target, commit_change
from sightloop.datasets.errors import BadSample, NoSuchRef
from sightloop.datasets.geometry import SizePx, bounds_of
from sightloop.datasets.keys import object_key
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.remotes.store import promised_among
from sightloop.datasets.samples import iterate_samples, load_commit
from sightloop.datasets.shapes import problem_with_shape
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.values import (
    Annotation,
    ClassId,
    Sample,
    SampleId,
    Taxonomy,
    sample_id,
    strata_of,
)
from sightloop.kernel import events
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace

QUARANTINED = "quarantined"
"""How `CommitFacts.splits` calls samples that stand in no split."""

_ROUNDING_PX = 0.001


class CommitSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Samples to add or replace, and samples to remove; those that are not there are ignored."""

    branch: str
    message: str
    upserts: list[Sample] = []
    removals: list[SampleId] = []
    new_classes: list[str] = []
    """Names to add to the taxonomy; their ids are `taxonomy.class_id_of` of the name."""
    split_rule: SplitRule | None = None
    """For the first commit of a branch; later ones have the rule of their parent."""
    expected_head: Digest | None = None
    """With one, the commit is made on exactly this head or not at all."""


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Without any change there is no new commit and `commit` is the old head."""

    commit: Digest
    is_new: bool
    n_added: int
    n_changed: int
    n_removed: int


class RetireAudits(msgspec.Struct, frozen=True, kw_only=True):
    """Split keys that were held back for audit and have done their duty there."""

    branch: str
    split_keys: list[str]
    message: str


class ShowCommit(msgspec.Struct, frozen=True, kw_only=True):
    """A branch, tag, digest or the unique beginning of a digest."""

    ref: str


class CommitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A commit and what it holds, counted."""

    commit: Digest
    record: CommitRecord
    splits: dict[str, int]
    strata: dict[str, int]
    n_annotations: int
    annotations_by_class: dict[str, int]
    """By class name, in taxonomy order."""


class LogCommits(msgspec.Struct, frozen=True, kw_only=True):
    """The history of what `ref` names."""

    ref: str
    limit: int = 50


class LoggedCommit(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a history."""

    commit: Digest
    parents: list[Digest]
    actor: str
    message: str
    committed_at_ms: int
    n_samples: int
    n_added: int | None = None
    n_changed: int | None = None
    n_removed: int | None = None
    """Samples, against the first parent; None for a commit that was not made in this workspace."""


def commit_samples(workspace: Workspace, call: Call, request: CommitSamples) -> Committed:
    """Put the samples onto the branch, all or none; a branch that is not there begins with them.

    Their images must be in the blob store already. Samples of a split key that is reserved for
    audit become reserved; audit samples of a key that is in training become quarantined.

    Raises:
        BadSample: one of them cannot stand in a commit.
        BadClassEdit: a new class has an empty name.
        BadRefName: no branch can have that name.
        HeadMoved: the branch is not at the expected head; nothing was committed.
        NothingToCommit: a first commit without samples.
        SplitRuleDiffers: the branch splits by another rule.
        ImageErased: it would bring back what was erased for good.
    """
    require(call.actor, Permission.WRITE_DATA)

    def change_on(head: CommitRecord | None) -> Change:
        old = Taxonomy() if head is None else head.taxonomy
        taxonomy = with_classes(old, [FoundClass(name) for name in request.new_classes])
        _check_samples(request, taxonomy)
        return Change(
            request.upserts, taxonomy, removals=request.removals, split_rule=request.split_rule
        )

    target = Target(request.branch, request.message, request.expected_head)
    with workspace.blobs.protected():  # what is there when looked for is there when committed
        _check_images(workspace, request)
        return _committed(commit_change(workspace, call, target=target, change_on=change_on))


def retire_audits(workspace: Workspace, call: Call, request: RetireAudits) -> Committed:
    """From now on the hash of these split keys decides where their samples stand.

    What measured one model may teach the next; it must not measure that one any more, and does
    not: all samples of a key move together. Keys that are not reserved change nothing.

    Raises:
        NoSuchRef: there is no such branch.
    """
    require(call.actor, Permission.WRITE_DATA)
    with workspace.db.read() as tx:
        resolve_ref(tx, request.branch)

    def change_on(head: CommitRecord | None) -> Change:
        if head is None:  # deleted a moment ago
            raise NoSuchRef(name=request.branch)
        return Change([], head.taxonomy, retired_keys=frozenset(request.split_keys))

    target = Target(request.branch, request.message)
    return _committed(commit_change(workspace, call, target=target, change_on=change_on))


def show_commit(workspace: Workspace, call: Call, request: ShowCommit) -> CommitFacts:
    """The commit's record and counts over all its samples.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
    """
    require(call.actor, Permission.READ)
    splits: Counter[str] = Counter()
    strata: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.ref)
        record = load_commit(tx, commit)
        for sample in iterate_samples(tx, commit):
            splits[split_of(sample, record.split_rule) or QUARANTINED] += 1
            strata.update(strata_of(sample.slices))
            classes.update(one.class_id for one in sample.annotations)
    return CommitFacts(
        commit=commit,
        record=record,
        splits=dict(sorted(splits.items())),
        strata=dict(sorted(strata.items())),
        n_annotations=classes.total(),
        annotations_by_class={one.name: classes[one.id] for one in record.taxonomy.classes},
    )


def log_commits(workspace: Workspace, call: Call, request: LogCommits) -> list[LoggedCommit]:
    """The commit and its ancestors along all parents, newest first.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        history = History(tx)
        commits = history.newest_first([resolve_ref(tx, request.ref)])
        return [_logged(tx, history, one) for one in islice(commits, max(request.limit, 0))]


def problem_with_labels(sample: Sample, class_ids: set[ClassId]) -> str | None:
    """What is wrong with the sample's labels; None when they can stand in a commit."""
    named = {*sample.labelled_for, *(one.class_id for one in sample.annotations)}
    if unknown := sorted(named - class_ids):
        return f"class {unknown[0]!r} is not in the taxonomy ({', '.join(sorted(class_ids))})"
    if len({one.id for one in sample.annotations}) < len(sample.annotations):
        return "two of its annotations have the same id"
    size = SizePx(sample.width_px, sample.height_px)
    for one in sample.annotations:
        if problem := problem_with_shape(one.geometry, size):
            return f"{one.id} cannot be drawn: {problem}"
        if (beyond_px := overshoot_px(one.geometry, size)) > _ROUNDING_PX:
            return _outside(one, size, beyond_px)
    return None


def _outside(annotation: Annotation, size: SizePx, beyond_px: float) -> str:
    box = bounds_of(annotation.geometry)
    assert box is not None, "what is the whole image never reaches out of it"
    corners = ", ".join(f"{one:g}" for one in (box.x1, box.y1, box.x2, box.y2))
    return (
        f"the object of class {annotation.class_id!r} with corners (x1, y1, x2, y2) = ({corners}) "
        f"px reaches out of the image of {size[0]} x {size[1]} px by {beyond_px:g} px"
    )


def _logged(tx: Tx, history: History, commit: Digest) -> LoggedCommit:
    record = history.record(commit)
    counts = _counts_told(tx, commit, record.parents)
    return LoggedCommit(
        commit=commit,
        parents=record.parents,
        actor=record.actor,
        message=record.message,
        committed_at_ms=record.committed_at_ms,
        n_samples=record.n_samples,
        n_added=counts.get("n_added"),
        n_changed=counts.get("n_changed"),
        n_removed=counts.get("n_removed"),
    )


def _counts_told(tx: Tx, commit: Digest, parents: list[Digest]) -> dict[str, int]:
    """What the event of the commit counted: cheaper than to compare it with its parent again.

    A branch that was moved forward to the commit tells of it too, counted against where it was.
    """
    first = parents[0] if parents else None
    told = events.history(tx, subject=commit, kind=DATASET_COMMITTED, limit=10)
    return next((event.data for event in told if event.data["parent"] == first), {})


def _committed(draft: Draft) -> Committed:
    return Committed(
        commit=draft.commit,
        is_new=draft.is_new,
        n_added=draft.n_added,
        n_changed=draft.n_changed,
        n_removed=draft.n_removed,
    )


def _check_images(workspace: Workspace, request: CommitSamples) -> None:
    absent = [one for one in request.upserts if not workspace.blobs.has(one.image)]
    if not absent:
        return
    with workspace.db.read() as tx:
        left = promised_among(tx, [object_key(one.image) for one in absent])
    for sample in absent:
        if object_key(sample.image) not in left:  # else labels change, and the image can stay away
            raise _bad(sample, f"its image {sample.image} is not in the blob store; put it first")


def _check_samples(request: CommitSamples, taxonomy: Taxonomy) -> None:
    class_ids = set(taxonomy.class_ids)
    seen = set(request.removals)
    for sample in request.upserts:
        if sample.id in seen:
            raise _bad(sample, "the request names it twice")
        seen.add(sample.id)
        if sample.id != sample_id(sample.image, sample.capture):
            raise _bad(sample, "its id does not follow from its image and capture")
        if not sample.split_key:
            raise _bad(sample, "it has no split key; the image's digest will do")
        if problem := problem_with_labels(sample, class_ids):
            raise _bad(sample, problem)


def _bad(sample: Sample, problem: str) -> BadSample:
    return BadSample(sample=sample.id, file_name=sample.file_name, problem=problem)
