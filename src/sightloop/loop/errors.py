"""What can be wrong with a policy, or with asking the loop for something.

BadInput
├── BadPolicy            loop.yaml does not say what it should
└── BadDestination       news cannot be sent there, or under that name
Refused
├── TurnUnderWay         the model is on its way round already
└── Conflict
    └── PolicyMoved      loop.yaml is not what was edited any more
Unavailable
├── NotDelivered         a destination did not take a message
└── SenderMissing        the library that sends is not installed
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Conflict, Refused, Unavailable


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


class PolicyMoved(Conflict):
    """Somebody saved `loop.yaml`, here or on disk, since it was read for this edit."""

    code = "LOOP-020"

    def __init__(self, *, path: str, expected: str, found: str) -> None:
        super().__init__(
            f"{path} was changed since you began to edit it; nothing was saved - look at what "
            "differs, then save again",
            path=path,
            expected=expected,
            found=found,
        )


class BadDestination(BadInput):
    """A destination's name, address or choice of news cannot be used."""

    code = "LOOP-030"

    def __init__(self, *, name: str, problem: str) -> None:
        super().__init__(f"destination {name[:100]!r}: {problem}", name=name[:100], problem=problem)


class NotDelivered(Unavailable):
    """The destination did not take the message; its address is never part of what is said."""

    code = "LOOP-031"
    http_status = 502

    def __init__(self, *, name: str, problem: str) -> None:
        super().__init__(f"nothing reached {name!r}: {problem}", name=name, problem=problem)


class SenderMissing(Unavailable):
    """Notifications need a library that this installation leaves out."""

    code = "LOOP-032"

    def __init__(self) -> None:
        super().__init__("notifications need apprise; install sightloop with its 'server' extra")
