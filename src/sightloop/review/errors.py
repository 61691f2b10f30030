"""Why a label or a task is refused.

BadInput
├── BadLabels         boxes or slices of one task are wrong
└── BadLabelFile      the same for a file: every problem at once, nothing imported
NotFound
└── NoSuchTask
Refused
├── TaskNotOpen       the task is not waiting for labels
├── NoLabelsYet       there is nothing a second opinion could be compared with
├── OwnLabels         a second opinion must be somebody else's
└── Conflict
    ├── AlreadyLabelled   somebody else was quicker
    └── OpinionGiven      the task has a second opinion
"""

from __future__ import annotations

from sightloop.kernel.clock import format_utc
from sightloop.kernel.errors import BadInput, Conflict, NotFound, Refused


class BadLabels(BadInput):
    """Labels that cannot be right; none of them was saved."""

    code = "REV-001"

    def __init__(self, *, task: str, problems: list[str]) -> None:
        super().__init__(
            f"the labels of task {task} were not saved: {'; '.join(problems)}; "
            "correct them and save again",
            task=task,
            problems=problems,
        )


class BadLabelFile(BadInput):
    """A file of labels with problems; nothing of it was imported."""

    code = "REV-002"
    N_LISTED = 20

    def __init__(self, *, file: str, problems: list[str]) -> None:
        listed = problems[: self.N_LISTED]
        lines = "".join(f"\n  {problem}" for problem in listed)
        n_more = len(problems) - len(listed)
        more = f"\n  ... and {n_more} more" if n_more else ""
        super().__init__(
            f"{file}: {len(problems)} problem(s), nothing was imported:{lines}{more}\n"
            "correct the file and import it again",
            file=file,
            n_problems=len(problems),
            problems=listed,
        )


class NoSuchTask(NotFound):
    """There is no task of this id."""

    code = "REV-010"

    def __init__(self, *, task: str) -> None:
        super().__init__(what="task", name=task, hint="`sightloop review list` shows all")


class AlreadyLabelled(Conflict):
    """Another set of labels was saved for this task first; it stays."""

    code = "REV-020"

    def __init__(self, *, task: str, labelled_by: str, labelled_at_ms: int) -> None:
        super().__init__(
            f"task {task} was labelled by {labelled_by} at {format_utc(labelled_at_ms)}; those "
            "labels stay and yours were not saved - look at them, then take the next open task",
            task=task,
            labelled_by=labelled_by,
            labelled_at_ms=labelled_at_ms,
        )


class TaskNotOpen(Refused):
    """The task's state does not allow this."""

    code = "REV-021"

    def __init__(self, *, task: str, state: str, wanted: str) -> None:
        super().__init__(
            f"task {task} is {state} and cannot be {wanted}; "
            "take one that `sightloop review list` shows as open",
            task=task,
            state=state,
            wanted=wanted,
        )


class NoLabelsYet(Refused):
    """A second opinion needs a first one."""

    code = "REV-022"

    def __init__(self, *, task: str, state: str) -> None:
        super().__init__(
            f"task {task} is {state} and has no labels that a second opinion could be compared "
            "with; label it, or take a task that `sightloop review list --state done` shows",
            task=task,
            state=state,
        )


class OwnLabels(Refused):
    """Whoever labelled a task cannot give the second opinion on it as well."""

    code = "REV-023"

    def __init__(self, *, task: str, labelled_by: str) -> None:
        super().__init__(
            f"task {task} was labelled by {labelled_by}, whose second opinion on it would be the "
            "first again; leave it to somebody else",
            task=task,
            labelled_by=labelled_by,
        )


class OpinionGiven(Conflict):
    """The task has its second opinion; it stays."""

    code = "REV-024"

    def __init__(self, *, task: str, given_by: str, given_at_ms: int) -> None:
        super().__init__(
            f"task {task} got its second opinion from {given_by} at {format_utc(given_at_ms)}; it "
            "stays and yours was not saved - take the next task",
            task=task,
            given_by=given_by,
            given_at_ms=given_at_ms,
        )
