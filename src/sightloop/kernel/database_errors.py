"""What can go wrong with the workspace's database, whichever it is."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Damaged, Unavailable


class WorkspaceTooNew(BadInput):
    """The workspace was written by a later Sightloop, whose meaning this one cannot know."""

    code = "SL-120"

    def __init__(self, *, found: int, known: int, url: str) -> None:
        super().__init__(
            f"the workspace database {url} has schema version {found}, this Sightloop knows "
            f"{known}; install the newer Sightloop - nothing was changed",
            found=found,
            known=known,
            url=url,
        )


class NotAWorkspaceDatabase(BadInput):
    """The file or database exists but Sightloop did not make it."""

    code = "SL-121"

    def __init__(self, *, url: str) -> None:
        super().__init__(
            f"{url} is not a Sightloop database; check [database] url in sightloop.toml",
            url=url,
        )


class NumberTooLarge(BadInput):
    """A whole number that no column can hold; nothing was changed."""

    code = "SL-122"

    def __init__(self) -> None:
        super().__init__("a number is beyond 9,223,372,036,854,775,807; give a smaller one")


class UnfitText(BadInput):
    """A text that the database cannot store or find again; nothing was changed."""

    code = "SL-123"

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"{problem}; give another text - nothing was changed", problem=problem)


class UnfitDatabase(BadInput):
    """The address leads to no database that a workspace could use as it is."""

    code = "SL-124"

    def __init__(self, *, url: str, problem: str) -> None:
        super().__init__(
            f"the database {url} cannot be used: {problem}; see docs/postgresql.md",
            url=url,
            problem=problem,
        )


class DatabaseBusy(Unavailable):
    """Another process kept the write lock for longer than the time-out."""

    code = "SL-520"

    def __init__(self, *, url: str, timeout_s: float) -> None:
        super().__init__(
            f"another process has been writing to {url} for more than {timeout_s:g} s; "
            "retry, or find it with `sightloop doctor`",
            url=url,
            timeout_s=timeout_s,
        )


class DatabaseAway(Unavailable):
    """The database server does not answer, or does not let this process in or write now."""

    code = "SL-522"

    def __init__(self, *, url: str, detail: str) -> None:
        super().__init__(
            f"the database {url} does not answer ({detail}); see that its server runs and that "
            "[database] url in sightloop.toml is right, then repeat the call",
            url=url,
            detail=detail,
        )


class WritersCollided(Unavailable):
    """The server undid a transaction because another was in its way; nothing was written."""

    code = "SL-523"

    def __init__(self, *, url: str) -> None:
        super().__init__(
            f"two writers were in each other's way in {url}; nothing was written, retry", url=url
        )


class DatabaseDamaged(Damaged):
    """The database file is corrupt."""

    code = "SL-620"

    def __init__(self, *, url: str, detail: str) -> None:
        super().__init__(
            f"the database {url} is damaged ({detail}); stop Sightloop and restore a backup",
            url=url,
            detail=detail,
        )
