"""Every error Sightloop raises on purpose, by what the caller can do about it.

    SightloopError
    ├── BadInput          the value is wrong: fix it, do not retry
    ├── NotFound          no such object: check the name
    ├── NotAllowed        this actor may not: ask for the role
    │   └── Unauthenticated   nobody was named: send a token
    ├── Refused           a rule says no in the present state
    │   └── Conflict          someone else was quicker: read again and retry
    ├── Unavailable       the machine or a peer cannot now: retry later
    └── Damaged           stored bytes are not what they were: restore them

Rooms derive their own errors from these in their `errors.py`. Each has a stable `code`, keeps its
facts, and says what happened, to what, with which value, and what to do next.
"""

from __future__ import annotations


def last_line(error: str | None) -> str:
    r"""What a traceback or a message of several lines comes to.

    >>> last_line("Traceback:\n  here\nValueError: no\n"), last_line(None)
    ('ValueError: no', '')
    """
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else ""


Fact = str | int | float | bool | list[str] | None


class SightloopError(Exception):
    """Base of the tree; never raised itself."""

    code: str = "SL-000"
    http_status: int = 500

    def __init__(self, message: str, **facts: Fact) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class BadInput(SightloopError):
    """What the caller gave cannot be right; nothing was changed."""

    code = "SL-100"
    http_status = 400


class NotFound(SightloopError):
    """The named object does not exist here."""

    code = "SL-200"
    http_status = 404

    def __init__(self, *, what: str, name: str, hint: str = "") -> None:
        end = f"; {hint}" if hint else ""
        super().__init__(f"there is no {what} {name!r}{end}", what=what, name=name)


class NotAllowed(SightloopError):
    """The actor is known but lacks the permission."""

    code = "SL-300"
    http_status = 403

    def __init__(self, *, actor: str, role: str, permission: str) -> None:
        super().__init__(
            f"{actor} ({role}) may not {permission}; ask an admin for a token with that right",
            actor=actor,
            role=role,
            permission=permission,
        )


class Unauthenticated(SightloopError):
    """No valid token came with the request."""

    code = "SL-310"
    http_status = 401

    def __init__(self, *, why: str) -> None:
        super().__init__(
            f"{why}; send the header 'Authorization: Bearer TOKEN' "
            "(the workspace's own token is in .sightloop/token)",
            why=why,
        )


class Refused(SightloopError):
    """A rule of Sightloop forbids this in the present state of the object."""

    code = "SL-400"
    http_status = 409


class Conflict(Refused):
    """The object changed since it was read; read it again and retry."""

    code = "SL-410"


class Unavailable(SightloopError):
    """A resource is missing for now (disk, port, peer, lock); the same call may work later."""

    code = "SL-500"
    http_status = 503


class DiskFull(Unavailable):
    """A write found no room; what was committed before is intact."""

    code = "SL-510"
    http_status = 507

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"the disk that holds {path} is full; nothing was half written - "
            "free some space and repeat the command",
            path=path,
        )


class Damaged(SightloopError):
    """Bytes that were stored are missing or no longer match their digest."""

    code = "SL-600"
    http_status = 500
