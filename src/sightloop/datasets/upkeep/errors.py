"""What can go wrong in upkeep, by what the caller can do about it; see `kernel.errors`."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, NotFound


class NothingNamed(BadInput):
    """A request to erase that would fit every sample there is."""

    code = "DATA-061"

    def __init__(self) -> None:
        super().__init__(
            "nothing says what to erase; give --sample, --image, --slice or --tag, "
            "of which at least one must apply"
        )


class NothingToErase(NotFound):
    """No version has a sample that fits."""

    code = "DATA-062"

    def __init__(self, *, wanted: str) -> None:
        super().__init__(
            what="sample", name=wanted[:200], hint="no version of any branch has one that fits"
        )
