"""What can go wrong when people decide about samples."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, NotFound


class NotABranch(NotFound):
    """Decisions are commits, and only a branch can take one."""

    code = "DATA-090"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            what="branch",
            name=name[:120],
            hint="a decision is a commit, so give a branch and not a commit or tag; "
            "`sightloop data branch` lists branches",
        )


class BadTag(BadInput):
    """A tag by which nobody could filter."""

    code = "DATA-091"

    def __init__(self, *, tag: str, limit: int) -> None:
        super().__init__(
            f"{tag[:80]!r} cannot be a tag; give 1 to {limit} printable characters without "
            "blanks at the ends",
            tag=tag[:80],
            limit=limit,
        )


class BadSplitName(BadInput):
    """A split that cannot leak."""

    code = "DATA-092"

    def __init__(self, *, name: str, known: list[str]) -> None:
        super().__init__(
            f"{name[:80]!r} is no split that measures a model; one of: {', '.join(known)}",
            name=name[:80],
            known=known,
        )
