"""What a person decides about samples: quarantine, its end, and a tag; each one commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from sightloop.datasets.branches import head_of
from sightloop.datasets.changes import Change
from sightloop.datasets.commits import Committed
from sightloop.datasets.curation.columns import ACCEPTED
from sightloop.datasets.curation.errors import BadTag, NotABranch
from sightloop.datasets.curation.leaks import HELD_OUT, check_splits, leaking_pairs
from sightloop.datasets.curation.likeness import Likeness, likeness_of
from sightloop.datasets.drafts import Target, commit_change
from sightloop.datasets.errors import HeadMoved, NoSuchSample
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import find_samples
from sightloop.datasets.values import Sample, SampleId
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace

REVIEW = "review"
"""The tag by which people find samples that somebody wants looked at again."""

MAX_TAG_LENGTH = 60

_SAMPLE_ID = re.compile(r"[0-9a-f]{32}")
_MAX_TRIES = 10


class QuarantineLeaks(msgspec.Struct, frozen=True, kw_only=True):
    """Take the held-out samples that resemble training samples out of their splits."""

    branch: str
    splits: Sequence[str] = HELD_OUT
    message: str = ""


class MarkSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of a branch's head."""

    branch: str
    samples: Sequence[SampleId]
    message: str = ""


class TagSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of a branch's head, and the tag that they get."""

    branch: str
    samples: Sequence[SampleId]
    tag: str = REVIEW
    message: str = ""


def quarantine_leaks(workspace: Workspace, call: Call, request: QuarantineLeaks) -> Committed:
    """Quarantine every held-out sample with a look-alike in training, but accepted ones.

    Repeating it changes nothing: a quarantined sample stands in no split and so leaks nothing.

    Raises:
        NotABranch: there is no branch of that name.
        BadSplitName: one of the splits measures nothing.
    """
    require(call.actor, Permission.WRITE_DATA)
    check_splits(request.splits)

    def leaking(head: Digest) -> list[SampleId]:
        found = likeness_of(workspace, head, progress=call.progress)
        assert isinstance(found, Likeness), "without patience there is nothing but the end"
        rows = leaking_pairs(found, request.splits).rows
        return found.columns.ids_of(rows[~found.columns.accepted[rows]])

    message = request.message or "Quarantine held-out images that resemble training images"
    return _mark(
        workspace,
        call,
        branch=request.branch,
        message=message,
        chosen=leaking,
        marked=_quarantined,
    )


def quarantine_samples(workspace: Workspace, call: Call, request: MarkSamples) -> Committed:
    """Take these samples out of their splits; quarantined ones stay as they are.

    Raises:
        NotABranch: there is no branch of that name.
        NoSuchSample: its head lacks one; nothing was committed.
    """
    require(call.actor, Permission.WRITE_DATA)
    message = request.message or f"Quarantine {_count(request.samples)}"
    return _mark(
        workspace,
        call,
        branch=request.branch,
        message=message,
        chosen=lambda _: request.samples,
        marked=_quarantined,
    )


def lift_quarantine(workspace: Workspace, call: Call, request: MarkSamples) -> Committed:
    """Let these samples back into the split that their key says, and accept what they resemble.

    They get the tag `not-a-leak`, so that the next `quarantine_leaks` leaves them alone. An audit
    sample whose split key is in training stays quarantined: no one may lift that rule.

    Raises:
        NotABranch: there is no branch of that name.
        NoSuchSample: its head lacks one; nothing was committed.
    """
    require(call.actor, Permission.WRITE_DATA)
    message = request.message or f"Lift the quarantine of {_count(request.samples)}"
    return _mark(
        workspace,
        call,
        branch=request.branch,
        message=message,
        chosen=lambda _: request.samples,
        marked=_lifted,
    )


def tag_samples(workspace: Workspace, call: Call, request: TagSamples) -> Committed:
    """Give these samples a tag, by which they can be listed, filtered and checked out.

    Raises:
        NotABranch: there is no branch of that name.
        NoSuchSample: its head lacks one; nothing was committed.
        BadTag: nobody could filter by such a tag.
    """
    require(call.actor, Permission.WRITE_DATA)
    if not (0 < len(request.tag) <= MAX_TAG_LENGTH and _is_plain(request.tag)):
        raise BadTag(tag=request.tag, limit=MAX_TAG_LENGTH)
    message = request.message or f"Tag {_count(request.samples)} with {request.tag}"
    return _mark(
        workspace,
        call,
        branch=request.branch,
        message=message,
        chosen=lambda _: request.samples,
        marked=lambda sample: _tagged(sample, request.tag),
    )


def _mark(
    workspace: Workspace,
    call: Call,
    *,
    branch: str,
    message: str,
    chosen: Callable[[Digest], Sequence[SampleId]],
    marked: Callable[[Sample], Sample],
) -> Committed:
    """Commit the chosen samples of the head as marked; what they are is read from that very head.

    Whoever commits to the branch meanwhile is not overwritten: it is done again on the new head.
    """
    for left in reversed(range(_MAX_TRIES)):
        with workspace.db.read() as tx:
            head = head_of(tx, branch)
        if head is None:
            raise NotABranch(name=branch)
        samples = _found(workspace, head, chosen(head))
        upserts = [marked(one) for one in samples.values()]

        def change_on(record: CommitRecord | None, upserts: list[Sample] = upserts) -> Change:
            assert record is not None, "the commit is made on this very head or not at all"
            return Change(upserts, record.taxonomy)

        try:
            draft = commit_change(
                workspace, call, target=Target(branch, message, head), change_on=change_on
            )
        except HeadMoved:
            if not left:
                raise
            continue
        return Committed(
            commit=draft.commit,
            is_new=draft.is_new,
            n_added=draft.n_added,
            n_changed=draft.n_changed,
            n_removed=draft.n_removed,
        )
    raise AssertionError("the last try returns or raises")


def _found(
    workspace: Workspace, head: Digest, ids: Sequence[SampleId]
) -> Mapping[SampleId, Sample]:
    for one in ids:
        if not _SAMPLE_ID.fullmatch(one):
            raise NoSuchSample(sample=one, commit=head)
    found = find_samples(workspace, head, list(ids))
    for one in ids:
        if one not in found:
            raise NoSuchSample(sample=one, commit=head)
    return found


def _quarantined(sample: Sample) -> Sample:
    tags = [tag for tag in sample.tags if tag != ACCEPTED]
    return msgspec.structs.replace(sample, quarantined=True, tags=tags)


def _lifted(sample: Sample) -> Sample:
    return _tagged(msgspec.structs.replace(sample, quarantined=False), ACCEPTED)


def _tagged(sample: Sample, tag: str) -> Sample:
    return msgspec.structs.replace(sample, tags=sorted({*sample.tags, tag}))


def _is_plain(tag: str) -> bool:
    return tag.isprintable() and tag == tag.strip()


def _count(samples: Sequence[SampleId]) -> str:
    return "1 image" if len(samples) == 1 else f"{len(samples)} images"
