"""What can go wrong in upkeep, by what the caller can do about it; see `kernel.errors`."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, NotFound, Refused


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


class BadDuration(BadInput):
    """A time that cannot be read."""

    code = "DATA-063"

    def __init__(self, *, text: str) -> None:
        super().__init__(
            f"{text[:40]!r} is no time; write a number and s, m, h, d or w, such as 14d",
            text=text[:40],
        )


class NotConfirmed(Refused):
    """Erasing cannot be undone, so somebody has to say that they mean it."""

    code = "DATA-064"

    def __init__(self, *, answer: str) -> None:
        said = f"the answer was {answer[:40]!r}" if answer else "nobody was there to confirm it"
        super().__init__(
            f"nothing was erased: {said}; repeat it, or give --yes", answer=answer[:40]
        )
