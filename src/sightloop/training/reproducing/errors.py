"""What keeps a run from being repeated."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, NotFound, Refused, Unavailable


class NoRecipe(Refused):
    """Nobody recorded what decided this model."""

    code = "TRAIN-060"

    def __init__(self, *, what: str, why: str) -> None:
        super().__init__(
            f"{what} cannot be reproduced: {why}; only runs that Sightloop trained itself have a "
            "record to train from",
            what=what,
            why=why,
        )


class RecordGone(NotFound):
    """Part of what a model was made from is no longer here."""

    code = "TRAIN-061"

    def __init__(self, *, what: str, name: str, of: str) -> None:
        super().__init__(
            what=f"{what} any more, of {of},",
            name=name,
            hint="name a data remote that has it with --remote, or restore a backup",
        )


class BadChoice(BadInput):
    """A reproduction was asked for in a way that cannot be."""

    code = "TRAIN-062"

    def __init__(self, *, field: str, value: str, problem: str) -> None:
        super().__init__(
            f"reproduce: {field} is {value[:80]!r}, but {problem}",
            field=field,
            value=value[:80],
            problem=problem,
        )


class EnvironmentUnavailable(Unavailable):
    """The recorded packages cannot be installed here."""

    code = "TRAIN-063"

    def __init__(self, *, step: str, problem: str) -> None:
        super().__init__(
            f"the recorded environment cannot be built here: {step} failed: {problem}; check the "
            "network and the package index, or use this environment with --environment this",
            step=step,
            problem=problem,
        )


class NoRoom(Unavailable):
    """The disk is too small for another training."""

    code = "TRAIN-064"
    http_status = 507

    def __init__(self, *, folder: str, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"reproducing takes about {needed_bytes / 1e6:.0f} MB in {folder}, and "
            f"{free_bytes / 1e6:.0f} MB are free; free some space and repeat the command",
            folder=folder,
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
        )


class PatchRefused(Refused):
    """The recorded changes do not fit the recorded commit."""

    code = "TRAIN-065"

    def __init__(self, *, commit: str, problem: str) -> None:
        super().__init__(
            f"the recorded patch does not apply to commit {commit}: {problem}; the commit must be "
            "the one of the record, name its repository with --code",
            commit=commit,
            problem=problem,
        )


class ImagesMissing(Unavailable):
    """Images of the dataset commit are neither here nor at a remote that is known."""

    code = "TRAIN-066"

    def __init__(self, *, dataset_commit: str, n_missing: int, example: str) -> None:
        super().__init__(
            f"{n_missing} images of commit {dataset_commit} are not here and no remote is known "
            f"to have them, {example} for one; name one that has with --remote",
            dataset_commit=dataset_commit,
            n_missing=n_missing,
            example=example,
        )
