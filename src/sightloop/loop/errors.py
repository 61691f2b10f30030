"""What can be wrong with a policy, or with asking the loop for something.

BadInput
└── BadPolicy            loop.yaml does not say what it should
Refused
└── TurnUnderWay         the model is on its way round already
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Refused


class BadPolicy(BadInput):
    """`loop.yaml` cannot be used; the loop goes on with nothing rather than with a guess."""

    code = "LOOP-001"

    def __init__(self, *, where: str, problem: str) -> None:
        super().__init__(
            f"{where}: {problem}; docs/reference/policy.md lists every key",
            where=where,
            problem=problem,
        )


class TurnUnderWay(Refused):
    """A second turn of one model cannot start before the first has ended."""

    code = "LOOP-010"

    def __init__(self, *, model: str, turn: str, state: str) -> None:
        super().__init__(
            f"model {model!r} is in turn {turn} ({state}); wait for its end "
            "(`sightloop loop status`)",
            model=model,
            turn=turn,
            state=state,
        )
