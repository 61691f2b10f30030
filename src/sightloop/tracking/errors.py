"""What tracking refuses. The reactions are those of `kernel.errors`."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Conflict, NotFound, Refused


class RunUnknown(NotFound):
    """No run of that id was started in this workspace."""

    code = "TRACK-001"

    def __init__(self, *, run: str) -> None:
        super().__init__(what="run", name=run, hint="`sightloop runs list` shows those there are")


class TagUnknown(NotFound):
    """The run has no tag of that name."""

    code = "TRACK-003"

    def __init__(self, *, run: str, key: str) -> None:
        super().__init__(what="tag", name=key[:80], hint=f"run {run} does not have it")


class RunKnown(Conflict):
    """A run of that id exists already; its inputs are fixed."""

    code = "TRACK-010"

    def __init__(self, *, run: str, state: str) -> None:
        super().__init__(
            f"run {run} was started before and is {state}; give a new run an id of its own",
            run=run,
            state=state,
        )


class RunEnded(Refused):
    """The run has ended; what it measured is history."""

    code = "TRACK-011"

    def __init__(self, *, run: str, state: str, wanted: str) -> None:
        super().__init__(
            f"run {run} is {state}, so it cannot {wanted}; start another run",
            run=run,
            state=state,
            wanted=wanted,
        )


class NotATraining(Refused):
    """What is wanted needs everything that decided a training; of this run nobody recorded it."""

    code = "TRACK-012"

    def __init__(self, *, run: str) -> None:
        super().__init__(
            f"run {run} was tracked but not trained by Sightloop, so what decided it is not "
            "known; train it with `sightloop train`",
            run=run,
        )


class ExperimentUnknown(NotFound):
    """No experiment of that name or number."""

    code = "TRACK-002"

    def __init__(self, *, name: str) -> None:
        super().__init__(what="experiment", name=name)


class ExperimentKnown(Conflict):
    """The name is taken."""

    code = "TRACK-013"

    def __init__(self, *, name: str, is_deleted: bool) -> None:
        state = " (deleted; restore it, or take another name)" if is_deleted else ""
        super().__init__(f"there is an experiment {name[:200]!r} already{state}", name=name[:200])


class ParamChanged(Refused):
    """A parameter is written once."""

    code = "TRACK-014"

    def __init__(self, *, run: str, key: str, before: str, after: str) -> None:
        super().__init__(
            f"parameter {key[:80]!r} of run {run} is {before[:80]!r} and cannot become "
            f"{after[:80]!r}: what a run was given does not change; start another run",
            run=run,
            key=key[:80],
        )


class BadPoint(BadInput):
    """A metric point cannot be stored as it is."""

    code = "TRACK-020"

    def __init__(self, *, run: str, key: str, problem: str) -> None:
        super().__init__(
            f"metric {key[:80]!r} of run {run}: {problem}; no point of this batch was stored",
            run=run,
            key=key[:80],
            problem=problem,
        )


class RunDeleted(Refused):
    """The run was deleted; nothing may be added to it."""

    code = "TRACK-015"

    def __init__(self, *, run: str) -> None:
        super().__init__(f"run {run} is deleted; restore it first", run=run)


class ExperimentDeleted(Refused):
    """The experiment was deleted; no run may be added to it."""

    code = "TRACK-016"

    def __init__(self, *, name: str) -> None:
        super().__init__(f"experiment {name[:200]!r} is deleted; restore it first", name=name[:200])


class BadName(BadInput):
    """A metric, parameter, tag, run or file cannot be called this."""

    code = "TRACK-023"

    def __init__(self, *, what: str, name: str, problem: str) -> None:
        super().__init__(
            f"no {what} can be called {name[:80]!r}: {problem}", what=what, name=name[:80]
        )


class TooMuch(BadInput):
    """More than tracking takes at once, or in one text."""

    code = "TRACK-024"

    def __init__(self, *, what: str, n: int, limit: int, unit: str) -> None:
        super().__init__(
            f"{what} has {n} {unit}, at most {limit} are taken; split it",
            what=what,
            n=n,
            limit=limit,
        )


class BadPageToken(BadInput):
    """A page token is none, or was made for another search."""

    code = "TRACK-022"

    def __init__(self, *, token: str) -> None:
        super().__init__(
            f"page token {token[:40]!r} does not belong to this search; begin without one",
            token=token[:40],
        )


class BadFilter(BadInput):
    """A filter or an order cannot be read."""

    code = "TRACK-021"

    def __init__(self, *, text: str, at: int, problem: str) -> None:
        self.at, self.problem = at + 1, problem
        around = f"{text[max(at - 20, 0) : at]}<here>{text[at : at + 20]}"
        super().__init__(
            f"the filter cannot be used, at character {at + 1}: {problem} ({around!r})",
            at=at + 1,
            problem=problem,
        )


class LoggedModelUnknown(NotFound):
    """No logged model of that id, or it was deleted."""

    code = "TRACK-030"

    def __init__(self, *, model: str) -> None:
        super().__init__(what="logged model", name=model[:80])


class ModelParamChanged(Refused):
    """A parameter of a logged model is written once."""

    code = "TRACK-031"

    def __init__(self, *, model: str, key: str, before: str, after: str) -> None:
        super().__init__(
            f"parameter {key[:80]!r} of logged model {model} is {before[:80]!r} and cannot become "
            f"{after[:80]!r}; log another model",
            model=model,
            key=key[:80],
        )


class ModelTagUnknown(NotFound):
    """The logged model has no tag of that name."""

    code = "TRACK-032"

    def __init__(self, *, model: str, key: str) -> None:
        super().__init__(what="tag", name=key[:80], hint=f"logged model {model} does not have it")


class ExperimentTagUnknown(NotFound):
    """The experiment has no tag of that name."""

    code = "TRACK-033"

    def __init__(self, *, experiment: int, key: str) -> None:
        super().__init__(
            what="tag", name=key[:80], hint=f"experiment {experiment} does not have it"
        )


class NothingToImport(BadInput):
    """The folder or file holds no runs that can be read."""

    code = "TRACK-040"

    def __init__(self, *, path: str, wanted: str) -> None:
        super().__init__(
            f"{path} holds no {wanted}; name the folder of TensorBoard logs, of Ultralytics runs, "
            "MLflow's `mlruns` or its `mlflow.db`",
            path=path,
            wanted=wanted,
        )


class UnreadableSource(BadInput):
    """What should be imported cannot be read; nothing of it was kept."""

    code = "TRACK-041"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"{path} cannot be imported: {problem}; it was left as it is, and what was imported "
            "before it stays",
            path=path,
            problem=problem,
        )


class ExportBlocked(Refused):
    """The folder to export to cannot be one."""

    code = "TRACK-042"

    def __init__(self, *, path: str) -> None:
        super().__init__(f"{path} is a file; name a folder to export to", path=path)
