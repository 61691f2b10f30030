"""Several people at once, and no task twice: whoever takes a task holds it for a while.

A claim is courtesy and not a lock. It keeps a task from being offered to two people; labels are
saved by the rule that the first stay, whoever held the task. So a claim that is forgotten costs
nothing but its ten minutes.
"""

from __future__ import annotations

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.claims import drop_claim, held_tasks, put_claim
from sightloop.review.labels import find_labels, tasks_for_second
from sightloop.review.opinions import tasks_with_opinion
from sightloop.review.tasks import find_task, next_free_task, tasks_matching
from sightloop.review.values import Claim, Purpose, TaskFilter, Work

LEASE_S = 600
"""How long a claim lasts; pages renew theirs while they are open."""

SECOND_SHARE = 0.1
"""Of all tasks that people label, how many are asked for twice."""


class ClaimTask(msgspec.Struct, frozen=True, kw_only=True):
    """Take this task, or with None the next one that nobody holds.

    `purpose` and `incident` narrow what is next. `work` None means whatever there is: labels
    first, for they hold the loop up, and second opinions when none are missing.
    """

    task: str | None = None
    purpose: Purpose | None = None
    incident: str | None = None
    work: Work | None = None
    second_share: float = SECOND_SHARE


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the task, and what is to be done; both None when nothing is left to do.

    `is_yours` is False when somebody else held the task that was asked for.
    """

    claim: Claim | None
    work: Work | None
    is_yours: bool


class ReleaseTask(msgspec.Struct, frozen=True, kw_only=True):
    """Give the task back, if this lease is still the one that holds it."""

    task: str
    lease: str


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the lease was the one."""

    was_held: bool


def claim_task(workspace: Workspace, call: Call, request: ClaimTask) -> Claimed:
    """Hold a task for ten minutes, so that it is offered to nobody else.

    The next task is never one that is held, not even by the caller: several people may share a
    token. Asking for a task by its id again renews the claim. A task that needs nothing any more
    is claimed by nobody.

    Raises:
        NotAllowed: the caller may not label.
        NoSuchTask: there is none of that id.
    """
    require(call.actor, Permission.LABEL)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        found = (
            _next(tx, call, request, now_ms=now_ms)
            if request.task is None
            else _work_on(tx, call, request.task)
        )
        if found is None:
            return Claimed(claim=None, work=None, is_yours=False)
        task, work = found
        wanted = Claim(
            task=task,
            held_by=call.actor.id,
            lease=workspace.ids.new("lease"),
            until_ms=now_ms + LEASE_S * 1000,
        )
        standing = put_claim(tx, wanted, now_ms=now_ms)
    return Claimed(claim=standing, work=work, is_yours=standing.held_by == call.actor.id)


def release_task(workspace: Workspace, call: Call, request: ReleaseTask) -> Released:
    """The task is offered to others again.

    Raises:
        NotAllowed: the caller may not label.
    """
    require(call.actor, Permission.LABEL)
    with workspace.db.write() as tx:
        return Released(was_held=drop_claim(tx, request.task, lease=request.lease))


def _next(tx: Tx, call: Call, request: ClaimTask, *, now_ms: int) -> tuple[str, Work] | None:
    held = held_tasks(now_ms=now_ms)
    wanted = TaskFilter(state="open", purpose=request.purpose, incident=request.incident)
    if request.work != "opinion":
        task = next_free_task(tx, wanted, held=held)
        if task is not None:
            return task.id, "label"
    if request.work != "label":
        narrows = request.purpose is not None or request.incident is not None
        done = msgspec.structs.replace(wanted, state="done")
        due = tasks_for_second(
            tx,
            share=request.second_share,
            labelled_by_other_than=call.actor.id,
            among=tasks_matching(done) if narrows else None,
            outside=[tasks_with_opinion(), held],
            limit=1,
        )
        if due:
            return due[0], "opinion"
    return None


def _work_on(tx: Tx, call: Call, task: str) -> tuple[str, Work] | None:
    state = find_task(tx, task).state
    if state in ("open", "skipped"):
        return task, "label"
    labels = find_labels(tx, task)
    if labels is None or labels.labelled_by == call.actor.id:
        return None
    return task, "opinion"
