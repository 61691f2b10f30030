"""What a sweep refuses.

BadInput
├── BadSweep       the declaration cannot be meant
└── SweepKnown     the id is taken by another declaration
NotFound
├── SweepUnknown   no sweep has that id
└── NoBestTrial    nothing has been measured yet
Refused
└── SweepState     the sweep is not in a state for this
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, NotFound, Refused


class BadSweep(BadInput):
    """The declaration of a sweep cannot be meant; nothing was started."""

    code = "TRAIN-070"

    def __init__(
        self, *, field: str, value: str, problem: str, where: str = "", line: int | None = None
    ) -> None:
        self.field, self.value, self.problem = field, value[:80], problem
        place = f"{where or 'sweep'}{'' if line is None else f', line {line}'}: "
        shown = f"{field} is {self.value!r}, but " if field else ""
        super().__init__(
            f"{place}{shown}{problem}; docs/sweeps.md lists what a sweep may say",
            where=where,
            line=line,
            field=field,
            value=self.value,
            problem=problem,
        )

    def at(self, *, where: str, line: int | None) -> BadSweep:
        """The same problem with its place."""
        return BadSweep(
            field=self.field, value=self.value, problem=self.problem, where=where, line=line
        )


class SweepUnknown(NotFound):
    """No sweep of that id was started in this workspace."""

    code = "TRAIN-071"

    def __init__(self, *, sweep: str) -> None:
        super().__init__(what="sweep", name=sweep, hint="`sightloop sweep list` shows them all")


class SweepKnown(BadInput):
    """The sweep exists with another declaration; it cannot become a different one."""

    code = "TRAIN-072"

    def __init__(self, *, sweep: str) -> None:
        super().__init__(
            f"sweep {sweep} exists with another declaration; give the new one an id of its own",
            sweep=sweep,
        )


class SweepState(Refused):
    """What was asked for makes no sense in the state the sweep is in."""

    code = "TRAIN-073"

    def __init__(self, *, sweep: str, state: str, wanted: str, instead: str) -> None:
        super().__init__(
            f"sweep {sweep} is {state} and cannot {wanted}; {instead}", sweep=sweep, state=state
        )


class NoBestTrial(NotFound):
    """No trial of the sweep has a value for each objective yet."""

    code = "TRAIN-074"

    def __init__(self, *, sweep: str, n_ended: int) -> None:
        super().__init__(
            what="best trial of sweep",
            name=sweep,
            hint=f"{n_ended} of its trials have ended and none is complete; "
            "`sightloop sweep show` says what became of them",
        )
