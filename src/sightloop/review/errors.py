"""Why a label or a task is refused.

BadInput
├── BadLabels         boxes or slices of one task are wrong
└── BadLabelFile      the same for a file: every problem at once, nothing imported
NotFound
└── NoSuchTask
Refused
├── TaskNotOpen       the task is not waiting for labels
├── ClassesGone       labels name classes that the branch no longer has
└── Conflict
    └── AlreadyLabelled   somebody else was quicker
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
