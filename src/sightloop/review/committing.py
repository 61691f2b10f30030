"""From labels to a version of the data set.

Two things have to become true: the branch's head holds the samples, and the labels say so. They
are two transactions, of two rooms, and a crash may come between them.

- Before the first: nothing happened.
- After the first: the head holds the samples and the labels still wait. The next call builds the
  same samples (their ids follow from image and capture, those of their annotations from what they
  show), finds them in the head, adds nothing and only marks the labels. A sample that is in the
  head is never written again, so what somebody corrected in the meantime stays.
- After the second: the labels name the commit, and the event was told with the marking, once.

`tests/review/test_committing.py` crashes before every write and compares what is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from sightloop.datasets.branches import head_of
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import NoSuchRef
from sightloop.datasets.samples import find_samples
from sightloop.datasets.tombstones import find_tombstones
from sightloop.datasets.values import (
    Capture,
    LabelledObject,
    Sample,
    SampleId,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.coco import file_extension
from sightloop.review.labels import labels_to_commit, mark_committed
from sightloop.review.tasks import find_tasks
from sightloop.review.values import Task, TaskLabels

MAX_LABELS = 10_000
LABELS_COMMITTED = EventKind("labels.committed")


class CommitLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Commit the oldest `limit` labels of the branch that no commit holds yet.

    No more than `MAX_LABELS` go into one commit; call again for the rest.
    """

    branch: str
    limit: int = MAX_LABELS


class CommittedLabels(msgspec.Struct, frozen=True, kw_only=True):
    """The commit that holds the labels of these tasks."""

    commit: Digest
    tasks: list[str]
    n_audit: int
    n_train: int


class _Labelled(NamedTuple):
    task: Task
    labels: TaskLabels
    sample: Sample


def commit_labels(
    workspace: Workspace, call: Call, request: CommitLabels
) -> CommittedLabels | None:
    """Make the labels part of the branch's data set; None when none wait.

    Audited images enter reserved for audit, with their lane and inclusion probability; the others
    are split by their key: the one given with the labels, else the image's group, else the image
    itself. A sample the branch has already stays as it is.

    Raises:
        NotAllowed: the caller may not write data.
        NoSuchRef: there is no such branch.
        HeadMoved: somebody committed meanwhile; nothing was marked, call again.
    """
    require(call.actor, Permission.WRITE_DATA)
    with workspace.db.read() as tx:
        head = head_of(tx, request.branch)
        waiting = labels_to_commit(tx, request.branch, limit=min(request.limit, MAX_LABELS))
        tasks = find_tasks(tx, [labels.task for labels in waiting])
    if head is None:
        raise NoSuchRef(name=request.branch)
    if not waiting:
        return None
    labelled = [_labelled(tasks[labels.task], labels) for labels in waiting]
    commit = _publish(workspace, call, labelled, branch=request.branch, head=head)
    _mark(workspace, call, labelled, branch=request.branch, commit=commit)
    by_purpose = Counter(each.labels.purpose for each in labelled)
    return CommittedLabels(
        commit=commit,
        tasks=[each.task.id for each in labelled],
        n_audit=by_purpose["audit"],
        n_train=by_purpose["train"],
    )


def _publish(
    workspace: Workspace, call: Call, labelled: Sequence[_Labelled], *, branch: str, head: Digest
) -> Digest:
    """A commit on top of `head` that holds every sample; `head` itself when it does."""
    by_id: dict[SampleId, Sample] = {}
    for each in sorted(labelled, key=lambda each: each.labels.purpose, reverse=True):
        by_id[each.sample.id] = each.sample  # of one capture, kept for both, the audit comes last
    present = find_samples(workspace, head, list(by_id))
    with workspace.db.read() as tx:  # labels of an erased image are done with, without a sample
        erased = find_tombstones(tx, {sample.image for sample in by_id.values()})
    missing = [
        sample
        for identity, sample in by_id.items()
        if identity not in present and sample.image not in erased
    ]
    if not missing:
        return head
    n_audit = sum(sample.reserved == "audit" for sample in missing)
    committed = commit_samples(
        workspace,
        call,
        CommitSamples(
            branch=branch,
            upserts=missing,
            removals=[],
            message=f"{len(missing)} labelled images, {n_audit} of them audited",
            expected_head=head,
        ),
    )
    return committed.commit


def _mark(
    workspace: Workspace, call: Call, labelled: Sequence[_Labelled], *, branch: str, commit: Digest
) -> None:
    with workspace.db.write() as tx:
        marked = mark_committed(tx, [each.labels.number for each in labelled], commit)
        if marked:
            told = [each for each in labelled if each.labels.number in marked]
            tell(
                tx,
                LABELS_COMMITTED,
                commit,
                by=call.actor,
                at_ms=workspace.clock.now_ms(),
                data=_facts(told, branch=branch, commit=commit),
            )


def _facts(labelled: Sequence[_Labelled], *, branch: str, commit: Digest) -> dict[str, Any]:
    strata: dict[str, Counter[str]] = {}
    for each in labelled:
        for stratum in each.labels.strata:
            strata.setdefault(stratum, Counter())[each.labels.purpose] += 1
    by_purpose = Counter(each.labels.purpose for each in labelled)
    return {
        "commit": commit,
        "branch": branch,
        "tasks": [each.task.id for each in labelled],
        "n_audit": by_purpose["audit"],
        "n_train": by_purpose["train"],
        "strata": {stratum: dict(counts) for stratum, counts in strata.items()},
    }


def _labelled(task: Task, labels: TaskLabels) -> _Labelled:
    capture = Capture(task.device, task.stream, task.captured_at_ms)
    identity = sample_id(task.image, capture)
    seen = [LabelledObject(label.class_id, label.box, {}) for label in labels.boxes]
    sample = Sample(
        id=identity,
        image=task.image,
        width_px=task.width_px,
        height_px=task.height_px,
        media_type=task.media_type,
        file_name=_file_name(task),
        split_key=labels.split_key or task.group or task.image,
        slices=labels.slices,
        capture=capture,
        lane=task.lane,
        inclusion_probability=task.inclusion_probability,
        labelled_for=labels.labelled_for,
        reserved="audit" if task.purpose == "audit" else None,
        annotations=imported_annotations(identity, seen, source=labels.source),
    )
    return _Labelled(task, labels, sample)


def _file_name(task: Task) -> str:
    extension = file_extension(task.media_type)
    return f"{task.device}/{task.stream}/{task.captured_at_ms}.{extension}"
