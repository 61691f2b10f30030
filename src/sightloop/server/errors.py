"""What can go wrong before or around a service.

BadInput
├── UnknownOperation     no service has that name
├── BadRequest           the body does not fit the operation
├── TooLarge             the body is over the limit
├── BadDecision          a form asks neither to approve nor to reject
├── TooManyRuns          more runs are to be compared than a picture holds, or fewer than two
└── NoRunChosen          none of the list was chosen, or a thousand of it
Unavailable
└── PortTaken            something else listens there
Refused
└── ForeignForm          a change that no page of this session sent
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Refused, Unavailable


class UnknownOperation(BadInput):
    """No service is known under the name in the address."""

    code = "SRV-001"
    http_status = 404

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"there is no operation {name!r}; GET /api/v1 lists them all", operation=name
        )


class BadRequest(BadInput):
    """The request's body is not what the operation takes."""

    code = "SRV-002"

    def __init__(self, *, operation: str, problem: str) -> None:
        super().__init__(
            f"the request for {operation} cannot be used: {problem}",
            operation=operation,
            problem=problem,
        )


class TooLarge(BadInput):
    """The body has more bytes than the server takes."""

    code = "SRV-003"
    http_status = 413

    def __init__(self, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the body has {size_bytes} bytes, the limit is {limit_bytes} "
            "([server] max_request_bytes in sightloop.toml)",
            size_bytes=size_bytes,
            limit_bytes=limit_bytes,
        )


class BadDecision(BadInput):
    """A version can be approved or rejected, nothing else."""

    code = "SRV-051"

    def __init__(self, *, given: str) -> None:
        super().__init__(
            f"the decision {given[:40]!r} is neither 'approve' nor 'reject'; use the buttons",
            given=given[:40],
        )


class TooManyRuns(BadInput):
    """More runs are to be compared than a picture can hold, or fewer than two."""

    code = "SRV-050"

    def __init__(self, *, n_runs: int, most: int) -> None:
        super().__init__(
            f"{n_runs} runs were chosen; choose 2 to {most} of the list to compare them",
            n_runs=n_runs,
            most=most,
        )


class NoRunChosen(BadInput):
    """A button for the chosen runs was used and none was chosen, or more than it takes."""

    code = "SRV-070"

    def __init__(self, *, n_runs: int) -> None:
        super().__init__(
            f"{n_runs} runs were chosen; choose 1 to 1000 of the list first", n_runs=n_runs
        )


class PortTaken(Unavailable):
    """The address is in use, most likely by another Sightloop."""

    code = "SRV-010"

    def __init__(self, *, host: str, port: int) -> None:
        super().__init__(
            f"{host}:{port} is already in use; stop what listens there or choose another "
            "with --port (0 takes any free one)",
            host=host,
            port=port,
        )


class ForeignForm(Refused):
    """A change came without the session's CSRF token: from another site, or from an old page."""

    code = "SRV-030"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("this form does not belong to your session; reload the page and try again")
