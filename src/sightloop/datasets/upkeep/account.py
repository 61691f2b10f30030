"""What garbage collection says it did: what went, what stays, and because of whom. Pure."""

from __future__ import annotations

import msgspec

KINDS = ("commit", "taxonomy", "node", "row", "split key", "image or file", "unfinished", "index")
"""What can go: five kinds of records of the database, three of files."""

IN_DATABASE = KINDS[:5]


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Things of one kind that went, or would go."""

    kind: str
    n: int
    size_bytes: int
    """Of files, what the disk gets back; of records, their own bytes."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What stays because of one holder and of none that is listed above it."""

    holder: str
    """`branch main`, `tag v1`, a table of the workspace, or what else needs it."""
    n_commits: int
    n_objects: int
    n_files: int
    size_bytes: int


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """The whole account."""

    is_dry_run: bool
    grace_s: float
    removed: list[Removed]
    kept: list[Kept]
    n_young: int
    """Files that nothing needs, but that were stored too recently to go."""
    young_bytes: int
    database_before_bytes: int
    database_after_bytes: int
    """Its files on disk; the same as before in a dry run."""

    @property
    def file_bytes(self) -> int:
        """What the disk gets back outside the database."""
        return sum(one.size_bytes for one in self.removed if one.kind not in IN_DATABASE)

    @property
    def record_bytes(self) -> int:
        """Bytes of records that left, or would leave, the database."""
        return sum(one.size_bytes for one in self.removed if one.kind in IN_DATABASE)


class Tally:
    """Adds up things by kind."""

    def __init__(self) -> None:
        self._amounts: dict[str, list[int]] = {}

    def add(self, kind: str, *, n: int = 1, size_bytes: int = 0) -> None:
        """Count `n` more of the kind, which take `size_bytes` together."""
        amount = self._amounts.setdefault(kind, [0, 0])
        amount[0] += n
        amount[1] += size_bytes

    def removed(self) -> list[Removed]:
        """What was counted, in the order of `KINDS`; kinds of which there was nothing are left out.

        >>> tally = Tally()
        >>> tally.add("row", n=2, size_bytes=700)
        >>> [(one.kind, one.n, one.size_bytes) for one in tally.removed()]
        [('row', 2, 700)]
        """
        return [
            Removed(kind=kind, n=amount[0], size_bytes=amount[1])
            for kind in KINDS
            if (amount := self._amounts.get(kind)) and amount[0]
        ]
